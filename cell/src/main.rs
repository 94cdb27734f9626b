//! One node of a cell: S3 API, metadata index, chunk store.
fn main() {}
