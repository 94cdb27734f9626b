//! Which missing copy is made next. Pure.

use crate::{
    chunks::{ChunkId, Wanted, repairs::MissingCopy},
    meta::{
        bookkeeping::BlobState,
        bytes::{Bytes, Verdict, chunk_count},
        keys,
    },
};
use bulkhead_model::{NodeId, api::cell::Member};
use bulkhead_replica::{Reader, StoreError};
use std::collections::{BTreeMap, HashSet};

/// What the index says of a chunk of which a copy is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is named: the copy is to be made.
    Copy(Wanted),
    /// It may be named yet: it is looked at again.
    Later,
    /// Nobody needs it.
    Nothing,
}

/// What the index says of a chunk.
///
/// # Errors
/// When the index cannot be read.
pub fn need<R: Reader>(bytes: &Bytes<R>, chunk: ChunkId) -> Result<Need, StoreError> {
    let blob = chunk.blob.into();
    // What was let go of is named no more, though its copies are kept for readers that have begun: the others will do.
    if let Some(BlobState::Released { .. }) = bytes.state(blob)? {
        return Ok(Need::Nothing);
    }
    match bytes.verdict(blob)? {
        Verdict::Free => return Ok(Need::Nothing),
        Verdict::Kept => return Ok(Need::Later),
        Verdict::Needed => {}
    }
    let Some(BlobState::Named { bucket, len, chunk_bytes, .. }) = bytes.state(blob)? else { return Ok(Need::Later) };
    if u64::from(chunk.index) >= chunk_count(len, chunk_bytes) {
        return Ok(Need::Nothing);
    }
    // The bucket is gone, and what its uploads left is being cleared away.
    let Some(state) = keys::buckets::state(bucket).get(bytes.view().reader())? else { return Ok(Need::Later) };
    let left = len - u64::from(chunk.index) * u64::from(chunk_bytes);
    let len = u32::try_from(left).unwrap_or(u32::MAX).min(chunk_bytes);
    Ok(Need::Copy(Wanted { chunk, account: state.owner, len }))
}

/// Which nodes have which chunks. A node that did not answer is not in it.
#[derive(Debug, Default)]
pub struct Survey {
    pub held: BTreeMap<NodeId, HashSet<ChunkId>>,
}

/// A copy to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub wanted: Wanted,
    pub to: Member,
    /// Copies that are known to exist elsewhere.
    pub copies: usize,
}

/// What becomes of the missing copies.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The chunks with the fewest copies first.
    pub tasks: Vec<Task>,
    /// There already, or placed elsewhere by now.
    pub settled: Vec<MissingCopy>,
    /// Copies of nodes that do not answer: they wait.
    pub waiting: usize,
    /// Of the tasks, the chunks that no node has, though all have answered.
    pub without_source: u64,
}

/// Orders the copies that are to be made.
pub fn plan(missing: &[(MissingCopy, Wanted)], survey: &Survey, placed_on: impl Fn(ChunkId) -> Vec<Member>) -> Plan {
    let mut plan = Plan::default();
    for (copy, wanted) in missing {
        let replicas = placed_on(copy.chunk);
        let has = |node: NodeId| survey.held.get(&node).map(|held| held.contains(&copy.chunk));
        let Some(to) = replicas.iter().find(|member| member.node == copy.node) else {
            plan.settled.push(*copy);
            continue;
        };
        match has(to.node) {
            Some(true) => {
                plan.settled.push(*copy);
                continue;
            }
            None => {
                plan.waiting += 1;
                continue;
            }
            Some(false) => {}
        }
        let others = || replicas.iter().filter(|member| member.node != copy.node).map(|member| has(member.node));
        let copies = others().filter(|has| *has == Some(true)).count();
        if others().all(|has| has == Some(false)) {
            plan.without_source += 1;
        }
        plan.tasks.push(Task { wanted: *wanted, to: to.clone(), copies });
    }
    plan.tasks.sort_by_key(|task| task.copies);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::AccountId;

    const ACCOUNT: u64 = AccountId::FIRST;

    fn members() -> Vec<Member> {
        let member = |(node, az): (u64, &str)| Member {
            node: NodeId(node),
            az: az.parse().expect("a label"),
            peer: ([127, 0, 0, 1], 1).into(),
        };
        [(1, "az-a"), (2, "az-b"), (3, "az-c")].map(member).to_vec()
    }

    fn chunk(number: u128) -> ChunkId {
        ChunkId { blob: number, index: 0 }
    }

    fn missing(number: u128, node: u64) -> (MissingCopy, Wanted) {
        let account = AccountId::new(ACCOUNT).expect("in range");
        let copy = MissingCopy { chunk: chunk(number), node: NodeId(node) };
        (copy, Wanted { chunk: chunk(number), account, len: 1 })
    }

    fn survey(held: &[(u64, &[u128])]) -> Survey {
        let held = held.iter().map(|(node, chunks)| (NodeId(*node), chunks.iter().copied().map(chunk).collect()));
        Survey { held: held.collect() }
    }

    #[test]
    fn the_chunk_with_the_fewest_copies_comes_first() {
        let survey = survey(&[(1, &[]), (2, &[1, 3]), (3, &[1, 2])]);
        let plan = plan(&[missing(1, 1), missing(2, 1), missing(2, 2), missing(3, 1)], &survey, |_| members());
        let order: Vec<_> =
            plan.tasks.iter().map(|task| (task.wanted.chunk.blob, task.to.node.0, task.copies)).collect();
        assert_eq!(order, [(2, 1, 1), (2, 2, 1), (3, 1, 1), (1, 1, 2)]);
        assert_eq!((plan.settled.len(), plan.without_source), (0, 0));
    }

    #[test]
    fn a_node_that_does_not_answer_counts_as_no_copy_but_not_as_a_loss() {
        let silent = plan(&[missing(1, 1)], &survey(&[(1, &[]), (2, &[])]), |_| members());
        assert_eq!((silent.tasks[0].copies, silent.without_source), (0, 0));
        let lost = plan(&[missing(1, 1)], &survey(&[(1, &[]), (2, &[]), (3, &[])]), |_| members());
        assert_eq!((lost.tasks[0].copies, lost.without_source), (0, 1));
    }

    #[test]
    fn copies_of_a_node_that_does_not_answer_wait() {
        let plan = plan(&[missing(1, 1), missing(1, 2)], &survey(&[(2, &[]), (3, &[1])]), |_| members());
        assert_eq!((plan.tasks.len(), plan.tasks[0].to.node, plan.waiting), (1, NodeId(2), 1));
    }

    #[test]
    fn what_is_there_or_placed_elsewhere_is_settled() {
        let survey = survey(&[(1, &[1]), (2, &[]), (3, &[])]);
        let plan = plan(&[missing(1, 1), missing(2, 9)], &survey, |_| members());
        assert_eq!((plan.tasks, plan.settled), (vec![], vec![missing(1, 1).0, missing(2, 9).0]));
    }
}
