//! The chunk routes of a node, for its peers.
//!
//! SKELETON: the signature is the contract; the body is being written.

use crate::chunks::ChunkStore;

/// `/chunks/{blob}/{index}`: PUT and GET, with the cell's bearer token (from the store's configuration).
pub fn routes(_store: ChunkStore) -> axum::Router {
    todo!("skeleton")
}
