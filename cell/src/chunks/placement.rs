//! Which nodes hold a chunk. Pure.

use bulkhead_model::api::cell::Member;

/// The cell's nodes, and the ring that places chunks on them.
pub struct Topology {
    #[expect(dead_code, reason = "the bodies are being written")]
    members: Vec<Member>,
}

impl Topology {
    /// The topology of these nodes.
    pub fn new(members: Vec<Member>) -> Self {
        Self { members }
    }
}
