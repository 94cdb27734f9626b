//! Which nodes hold a chunk: one in each AZ, found on a ring of hashes. Pure, and the same on every node.
//!
//! Placement must never change by accident: the ring's hash has fixed keys, and the tests hold golden vectors.

use crate::chunks::ChunkId;
use bulkhead_model::{NodeId, api::cell::Member};
use consistent_hash::{DefaultHash, Node, StaticHashRing};
use std::collections::{BTreeMap, BTreeSet};

/// Points of a node on the ring. Part of the placement: another number moves chunks.
const POINTS_PER_NODE: usize = 128;

/// The cell's nodes, and the ring that places chunks on them.
pub struct Topology {
    members: BTreeMap<NodeId, Member>,
    ring: StaticHashRing<'static, u64, (), DefaultHash>,
}

impl Topology {
    /// The topology of these nodes. Their order does not matter.
    pub fn new(members: Vec<Member>) -> Self {
        let members: BTreeMap<_, _> = members.into_iter().map(|member| (member.node, member)).collect();
        let nodes = members.keys().map(|node| Node::new(node.0).quantity(POINTS_PER_NODE));
        let ring = StaticHashRing::new(DefaultHash, nodes.collect::<Vec<_>>().into_iter());
        Self { members, ring }
    }

    /// The nodes that hold this chunk: the first one of each AZ on the ring.
    pub fn replicas(&self, id: ChunkId) -> Vec<&Member> {
        let key = (id.blob.to_le_bytes(), id.index);
        let mut azs = BTreeSet::new();
        let candidates =
            self.ring.calc_candidates(&key).filter_map(|candidate| self.members.get(&NodeId(candidate.key)));
        candidates.filter(|member| azs.insert(&member.az)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(nodes_per_az: u64) -> Topology {
        let member = |node: u64| Member {
            node: NodeId(node),
            az: ["az-a", "az-b", "az-c"][node as usize % 3].parse().expect("a label"),
            peer: ([127, 0, 0, 1], 1000).into(),
        };
        Topology::new((1..=nodes_per_az * 3).map(member).collect())
    }

    fn placed(topology: &Topology, blob: u128, index: u32) -> Vec<u64> {
        topology.replicas(ChunkId { blob, index }).iter().map(|member| member.node.0).collect()
    }

    #[test]
    fn placement_is_frozen() {
        let nine = cell(3);
        let chunks = [(0, 0), (1 << 64, 0), (1 << 64, 1), ((7 << 64) | 99, 5), (u128::MAX, u32::MAX)];
        assert_eq!(
            chunks.map(|(blob, index)| placed(&nine, blob, index)),
            [[6, 7, 2], [5, 1, 3], [7, 9, 5], [5, 6, 1], [3, 5, 1]]
        );
    }

    #[test]
    fn a_cell_of_three_holds_every_chunk_on_all_three() {
        let mut nodes = placed(&cell(1), 5, 6);
        nodes.sort_unstable();
        assert_eq!(nodes, [1, 2, 3]);
    }

    #[test]
    fn no_node_gets_much_more_than_its_share() {
        let nine = cell(3);
        let mut counts = BTreeMap::<u64, u32>::new();
        for number in 0..3_000 {
            for node in placed(&nine, number, 0) {
                *counts.entry(node).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 9);
        assert!(counts.values().all(|count| (700..1_300).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn every_chunk_is_in_every_az_once(blob: u128, index: u32, nodes_per_az in 1..6_u64) {
            let topology = cell(nodes_per_az);
            let azs: BTreeSet<_> = topology.replicas(ChunkId { blob, index }).iter().map(|member| member.az.clone()).collect();
            prop_assert_eq!(azs.len(), 3);
            prop_assert_eq!(topology.replicas(ChunkId { blob, index }).len(), 3);
        }
    }
}
