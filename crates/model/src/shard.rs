//! Which nodes of its cell serve an account: one in each AZ, its hand. Pure, and the same everywhere.
//!
//! In a cell with several nodes per AZ whatever an account does to the nodes that serve it, most neighbours share at most some of them: with
//! `n` nodes per AZ there are `n³` hands. The choice is by rendezvous hashing with a fixed key, so a node that comes or goes changes the
//! hands it is in and no others, and golden vectors hold it in place.

use crate::{AccountId, Az, NodeId};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The account's node in each AZ, out of the cell's nodes. Their order does not matter.
pub fn nodes_of(account: AccountId, nodes: &[(Az, NodeId)]) -> BTreeMap<Az, NodeId> {
    let mut best: BTreeMap<&Az, ([u8; 32], NodeId)> = BTreeMap::new();
    for (az, node) in nodes {
        let candidate = (score(account, *node), *node);
        let chosen = best.entry(az).or_insert(candidate);
        *chosen = (*chosen).max(candidate);
    }
    best.into_iter().map(|(az, (_, node))| (az.clone(), node)).collect()
}

fn score(account: AccountId, node: NodeId) -> [u8; 32] {
    let key = Sha256::new().chain_update(b"bulkhead nodes 1").chain_update(account.value().to_le_bytes());
    key.chain_update(node.0.to_le_bytes()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(per_az: u64) -> Vec<(Az, NodeId)> {
        let az = |node: u64| ["az-a", "az-b", "az-c"][(node % 3) as usize].parse().expect("a label");
        (1..=per_az * 3).map(|node| (az(node), NodeId(node))).collect()
    }

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    fn hand(n: u64, nodes: &[(Az, NodeId)]) -> Vec<u64> {
        nodes_of(account(n), nodes).values().map(|node| node.0).collect()
    }

    #[test]
    fn hands_are_frozen() {
        let nine = cell(3);
        assert_eq!([0, 1, 2].map(|n| hand(n, &nine)), GOLDEN);
    }

    const GOLDEN: [[u64; 3]; 3] = [[9, 1, 5], [3, 4, 5], [9, 7, 8]];

    #[test]
    fn with_one_node_per_az_all_are_everybodys() {
        assert_eq!(hand(7, &cell(1)), [3, 1, 2]);
        assert!(hand(7, &[]).is_empty());
    }

    #[test]
    fn every_hand_is_dealt_and_few_neighbours_share_all_of_one() {
        let nine = cell(3);
        let mut hands: BTreeMap<Vec<u64>, u32> = BTreeMap::new();
        for n in 0..2_700 {
            let mut order = nine.clone();
            order.rotate_left((n % 9) as usize);
            assert_eq!(hand(n, &order), hand(n, &nine), "whatever the order");
            *hands.entry(hand(n, &nine)).or_default() += 1;
        }
        assert_eq!(hands.len(), 27);
        assert!(hands.values().all(|count| (60..=145).contains(count)), "{hands:?}");
    }

    #[test]
    fn a_node_that_goes_changes_only_the_hands_it_was_in() {
        let nine = cell(3);
        let gone = nine[4].1;
        let left: Vec<_> = nine.iter().filter(|(_, node)| *node != gone).cloned().collect();
        for n in 0..500 {
            let (before, after) = (hand(n, &nine), hand(n, &left));
            let changed = before.iter().zip(&after).filter(|(one, other)| one != other).count();
            assert_eq!(changed, usize::from(before.contains(&gone.0)));
        }
    }
}
