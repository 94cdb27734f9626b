//! How a node takes another's place, step by step. Pure.
//!
//! ```text
//!  Joining ─► Swapping ─► Repairing ─► (done)
//! ```
//! A node id is never used again, since under it a node may have voted. The old node is stopped only when the new one has
//! caught up, and before it leaves the group: a node that is outside without knowing it would count itself as a copy.

use bulkhead_model::{
    NodeId,
    api::{
        cell::{Member, NodeStatus},
        control_plane::{CellNode, ReplaceStep},
    },
};
use std::collections::BTreeSet;

use crate::limits::CAUGHT_UP_ENTRIES;

/// Whether a replacement may go from one step to another.
pub fn may_become(from: ReplaceStep, to: ReplaceStep) -> bool {
    match (from, to) {
        (ReplaceStep::Joining, ReplaceStep::Swapping) | (ReplaceStep::Swapping, ReplaceStep::Repairing) => true,
        (ReplaceStep::Joining | ReplaceStep::Swapping | ReplaceStep::Repairing, _) => false,
    }
}

/// What is known of a cell in which `old` is replaced.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    pub old: NodeId,
    pub new: &'a CellNode,
    pub step: ReplaceStep,
    /// Whether the old node's process runs.
    pub old_runs: bool,
    /// The nodes that should go on, the new one included: what each says, if it does.
    pub nodes: &'a [(NodeId, Option<NodeStatus>)],
    /// What the old node says, if it does.
    pub old_says: Option<&'a NodeStatus>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Wait(String),
    /// Have the leader add the new node as a learner.
    Add {
        leader: NodeId,
    },
    /// Have the leader make these the voters.
    SetVoters {
        leader: NodeId,
        voters: Vec<NodeId>,
    },
    StopOld,
    Move(ReplaceStep),
    Finish,
}

impl Seen<'_> {
    /// Decides one step.
    pub fn decide(&self) -> Action {
        match self.step {
            ReplaceStep::Joining => self.joining(),
            ReplaceStep::Swapping => self.swapping(),
            ReplaceStep::Repairing => self.repairing(),
        }
    }

    fn joining(&self) -> Action {
        let Some(new) = self.says(self.new.node) else { return wait("the new node does not answer yet") };
        let Some(leader) = self.leader() else { return wait("the cell has no leader") };
        let is_new = |member: &Member| member.node == self.new.node;
        if !leader.learners.iter().chain(&leader.members).any(is_new) {
            return Action::Add { leader: leader.node };
        }
        let behind = leader.applied.saturating_sub(new.applied);
        if behind > CAUGHT_UP_ENTRIES {
            return Action::Wait(format!("the new node is {behind} entries behind"));
        }
        Action::Move(ReplaceStep::Swapping)
    }

    fn swapping(&self) -> Action {
        let Some(leader) = self.leader() else { return wait("the cell has no leader") };
        let wanted: BTreeSet<NodeId> = self.nodes.iter().map(|(node, _)| *node).collect();
        let voters: BTreeSet<NodeId> = leader.members.iter().map(|member| member.node).collect();
        let set = || Action::SetVoters { leader: leader.node, voters: wanted.iter().copied().collect() };
        if voters == wanted {
            // The old one may have been started again by hand.
            return if self.old_runs { Action::StopOld } else { Action::Move(ReplaceStep::Repairing) };
        }
        if !self.old_runs {
            return set();
        }
        // A node that serves is not stopped while the cell cannot spare it.
        if let Some(wait) = self.not_ready() {
            return wait;
        }
        // A leader that is to leave hands over when it is told, sparing the cell an election.
        if leader.node == self.old { set() } else { Action::StopOld }
    }

    fn repairing(&self) -> Action {
        if let Some(wait) = self.not_ready() {
            return wait;
        }
        if self.old_runs {
            return Action::StopOld;
        }
        // Not knowing is not being whole: another replacement now could take the last copy.
        let mut all = self.nodes.iter().filter_map(|(_, says)| says.as_ref());
        match all.try_fold(0_u64, |sum, status| Some(sum + status.missing_copies?)) {
            None => wait("the cell does not say yet whether copies are missing"),
            Some(0) => Action::Finish,
            Some(missing) => Action::Wait(format!("{missing} copies are missing")),
        }
    }

    /// Waits for the first of the nodes that should go on and is not ready, if there is one.
    fn not_ready(&self) -> Option<Action> {
        self.nodes.iter().find_map(|(node, says)| match says {
            None => Some(Action::Wait(format!("node {node} does not answer"))),
            Some(status) if !status.ready => {
                Some(Action::Wait(format!("node {node} waits for {}", status.waits_for.join(", "))))
            }
            Some(_) => None,
        })
    }

    fn says(&self, node: NodeId) -> Option<&NodeStatus> {
        self.nodes.iter().find(|(known, _)| *known == node).and_then(|(_, says)| says.as_ref())
    }

    /// The leader's own word, of the latest term.
    fn leader(&self) -> Option<&NodeStatus> {
        let all = self.nodes.iter().filter_map(|(_, says)| says.as_ref()).chain(self.old_says);
        all.filter(|status| status.leader == Some(status.node)).max_by_key(|status| status.term)
    }
}

fn wait(why: &str) -> Action {
    Action::Wait(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{Az, CellId, api::cell::CellUsage};
    use std::net::SocketAddr;

    const OLD: NodeId = NodeId(1);
    const NEW: NodeId = NodeId(4);

    fn member(node: u64) -> Member {
        Member { node: NodeId(node), az: az(), peer: any() }
    }

    fn az() -> Az {
        "az-a".parse().expect("a label")
    }

    fn any() -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }

    fn status(node: u64, leader: u64, voters: &[u64], learners: &[u64]) -> NodeStatus {
        let cell: CellId = "c1".parse().expect("a label");
        NodeStatus {
            cell,
            node: NodeId(node),
            az: az(),
            blueprint_hash: String::new(),
            build: String::new(),
            ready: true,
            waits_for: Vec::new(),
            leader: Some(NodeId(leader)),
            term: 1,
            applied: 5_000,
            members: voters.iter().copied().map(member).collect(),
            learners: learners.iter().copied().map(member).collect(),
            wiped: false,
            missing_copies: None,
            usage: CellUsage::default(),
        }
    }

    fn decide(step: ReplaceStep, old_runs: bool, says: [Option<NodeStatus>; 3], old: Option<NodeStatus>) -> Action {
        let new = CellNode { node: NEW, az: az(), s3: any(), admin: any(), peer: any() };
        let nodes: Vec<_> = [NodeId(2), NodeId(3), NEW].into_iter().zip(says).collect();
        Seen { old: OLD, new: &new, step, old_runs, nodes: &nodes, old_says: old.as_ref() }.decide()
    }

    #[test]
    fn the_new_node_is_added_and_swapped_in_only_once_it_has_caught_up() {
        let (leader, learner) = (status(2, 2, &[1, 2, 3], &[]), status(4, 2, &[], &[]));
        let silent = decide(ReplaceStep::Joining, false, [Some(leader.clone()), None, None], None);
        assert!(matches!(silent, Action::Wait(_)));
        let add = decide(ReplaceStep::Joining, false, [Some(leader), None, Some(learner.clone())], None);
        assert_eq!(add, Action::Add { leader: NodeId(2) });
        let knows = status(2, 2, &[1, 2, 3], &[4]);
        let far = NodeStatus { applied: 5_000 - CAUGHT_UP_ENTRIES - 1, ..learner.clone() };
        let behind = decide(ReplaceStep::Joining, true, [Some(knows.clone()), None, Some(far)], None);
        assert!(matches!(behind, Action::Wait(_)));
        let caught_up = decide(ReplaceStep::Joining, true, [Some(knows), None, Some(learner)], None);
        assert_eq!(caught_up, Action::Move(ReplaceStep::Swapping));
    }

    #[test]
    fn an_old_node_that_leads_hands_over_then_stops_then_leaves() {
        let wanted = vec![NodeId(2), NodeId(3), NEW];
        let says = |leader: u64| [2, 3, 4].map(|node| Some(status(node, leader, &[1, 2, 3], &[4])));
        let leading = status(1, 1, &[1, 2, 3], &[4]);
        let first = decide(ReplaceStep::Swapping, true, says(1), Some(leading));
        assert_eq!(first, Action::SetVoters { leader: OLD, voters: wanted.clone() });
        let successor = || Some(status(2, 2, &[1, 2, 3], &[4]));
        let spared = decide(ReplaceStep::Swapping, true, [successor(), None, None], None);
        assert!(matches!(spared, Action::Wait(_)), "two are silent: the old one is needed");
        assert_eq!(decide(ReplaceStep::Swapping, true, says(2), None), Action::StopOld);
        let then = decide(ReplaceStep::Swapping, false, [successor(), None, None], None);
        assert_eq!(then, Action::SetVoters { leader: NodeId(2), voters: wanted });
        let done = Some(status(2, 2, &[2, 3, 4], &[]));
        let moved = decide(ReplaceStep::Swapping, false, [done.clone(), None, None], None);
        assert_eq!(moved, Action::Move(ReplaceStep::Repairing));
        assert_eq!(decide(ReplaceStep::Swapping, true, [done, None, None], None), Action::StopOld);
    }

    #[test]
    fn a_replacement_is_over_when_every_node_is_ready_and_no_copy_is_missing() {
        let all = |missing| {
            [2, 3, 4].map(|node| Some(NodeStatus { missing_copies: missing, ..status(node, 2, &[2, 3, 4], &[]) }))
        };
        assert!(matches!(decide(ReplaceStep::Repairing, false, all(Some(1)), None), Action::Wait(_)));
        assert_eq!(decide(ReplaceStep::Repairing, false, all(Some(0)), None), Action::Finish);
        assert!(matches!(decide(ReplaceStep::Repairing, false, all(None), None), Action::Wait(_)), "nobody knows");
        let [two, three, _] = all(Some(0));
        assert!(matches!(decide(ReplaceStep::Repairing, false, [two, three, None], None), Action::Wait(_)));
    }

    #[test]
    fn a_leader_of_an_earlier_term_is_not_asked() {
        let (past, present) = (status(3, 3, &[1, 2, 3], &[]), status(2, 2, &[1, 2, 3], &[4]));
        let present = NodeStatus { term: 2, ..present };
        let decided = decide(ReplaceStep::Swapping, false, [Some(present), Some(past), None], None);
        assert!(matches!(decided, Action::SetVoters { leader: NodeId(2), .. }), "{decided:?}");
    }

    #[test]
    fn only_the_drawn_moves_are_legal() {
        let steps = [ReplaceStep::Joining, ReplaceStep::Swapping, ReplaceStep::Repairing];
        for (i, from) in steps.into_iter().enumerate() {
            for (j, to) in steps.into_iter().enumerate() {
                assert_eq!(may_become(from, to), j == i + 1, "{from:?} to {to:?}");
            }
        }
    }
}
