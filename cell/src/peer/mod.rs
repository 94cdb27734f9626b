//! What the nodes of a cell serve each other: `/chunks/...`. Knows the chunk store and HTTP, no S3.
//!
//! | call | sent | answer |
//! |---|---|---|
//! | `PUT /chunks/{blob}/{index}` | the bytes; account and CRCs in headers | `204` once they are on stable storage |
//! | `GET /chunks/{blob}/{index}?from=&to=` | – | the blocks that cover bytes `from` to `to`, their start and CRCs in headers |
//! | `POST /chunks/held` | ids, 20 bytes each | a byte for each: whether this node has it |
//!
//! `blob` is 32 hex digits, `index` decimal. Every call carries a bearer token and its deadline; every byte is verified by its receiver.

pub mod client;
pub mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use client::PeerClient;
pub use server::routes;
