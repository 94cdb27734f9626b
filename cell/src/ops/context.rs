//! What the calls need of their node, and nothing else.

use bulkhead_model::blueprint::Sizes;
use bulkhead_service::Env;

/// The node as the calls see it. Cheap to clone.
#[derive(Clone)]
pub struct Cell {
    pub env: Env,
    pub sizes: Sizes,
}
