//! What the nodes of a cell serve each other: `/chunks/...`. Knows the chunk store and HTTP, no S3.

pub mod server;

pub use server::routes;
