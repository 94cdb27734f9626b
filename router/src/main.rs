//! Finds the account's cell and streams bytes both ways.
fn main() {}
