//! A node takes another's place, in the steps in which the control plane has it done.

use crate::{
    faults::SLOTS,
    host::{Down, Parts},
    net::HostId,
    world::World,
};
use bulkhead_model::NodeId;
use std::collections::BTreeSet;
use tokio::task::JoinHandle;

/// Between two looks, milliseconds.
const LOOK_MS: u64 = 50;
/// Entries by which a node that joins may be behind.
const BEHIND_MAX: u64 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Joining,
    Swapping,
    Repairing,
}

/// One that is under way.
pub struct Replacement {
    old: HostId,
    new: HostId,
    step: Step,
    /// What was asked of the leader, until it has answered or died.
    asked: Option<JoinHandle<()>>,
}

/// What to do next.
enum Action {
    Wait,
    Add(HostId),
    SetVoters(HostId),
    StopOld,
    Move(Step),
    Finish,
}

impl Replacement {
    pub fn new(old: HostId, new: HostId) -> Self {
        Self { old, new, step: Step::Joining, asked: None }
    }
}

impl World {
    /// One step, if it is time.
    pub fn advance_replacement(&mut self) {
        if !self.now.is_multiple_of(LOOK_MS) {
            return;
        }
        let Some(mut replacement) = self.replacement.take() else { return };
        if replacement.asked.as_ref().is_some_and(|asked| !asked.is_finished()) {
            self.replacement = Some(replacement);
            return;
        }
        match self.decide(&replacement) {
            Action::Wait => {}
            Action::Add(leader) => {
                let member = self.hosts[replacement.new - 1].member();
                let add = |parts: Parts| async move { parts.replica.add_learner(&member).await.is_ok() };
                replacement.asked = self.ask(leader, "add a learner", add);
            }
            Action::SetVoters(leader) => {
                let voters: Vec<_> = self.wanted(&replacement).into_iter().collect();
                let set = |parts: Parts| async move { parts.replica.set_voters(&voters).await.is_ok() };
                replacement.asked = self.ask(leader, "set the voters", set);
            }
            Action::StopOld => {
                self.stop(replacement.old, Down::Kill);
                self.hosts[replacement.old - 1].retired = true;
                self.tell_routers();
            }
            Action::Move(step) => {
                self.wires.note(format_args!("node {} for {}: {step:?}", replacement.new, replacement.old));
                replacement.step = step;
            }
            Action::Finish => {
                self.wires.note(format_args!("node {} has replaced {}", replacement.new, replacement.old));
                self.events.replaced += 1;
                return;
            }
        }
        self.replacement = Some(replacement);
    }

    fn decide(&self, replacement: &Replacement) -> Action {
        let Some(leader) = self.leader() else { return Action::Wait };
        let (Some(leads), Some(joins)) = (self.hosts[leader - 1].parts(), self.hosts[replacement.new - 1].parts())
        else {
            return Action::Wait;
        };
        let (leads, joins) = (leads.replica.status(), joins.replica.status());
        let old_runs = !self.hosts[replacement.old - 1].retired;
        let all: Vec<_> = self.ids().into_iter().filter(|id| *id != replacement.old).collect();
        let parts: Vec<&Parts> = all.iter().filter_map(|id| self.hosts[id - 1].parts()).collect();
        let ready = parts.len() == SLOTS && parts.iter().all(|parts| parts.replica.status().ready);
        match replacement.step {
            Step::Joining => {
                let is_new = |node: NodeId| node.0 == replacement.new as u64;
                if !leads.learners.iter().chain(&leads.members).any(|member| is_new(member.node)) {
                    return Action::Add(leader);
                }
                let is_behind = leads.applied.saturating_sub(joins.applied) > BEHIND_MAX;
                if is_behind { Action::Wait } else { Action::Move(Step::Swapping) }
            }
            Step::Swapping => {
                let voters: BTreeSet<_> = leads.members.iter().map(|member| member.node).collect();
                match (voters == self.wanted(replacement), old_runs) {
                    (true, true) => Action::StopOld,
                    (true, false) => Action::Move(Step::Repairing),
                    (false, false) => Action::SetVoters(leader),
                    (false, true) if !ready => Action::Wait,
                    (false, true) if leader == replacement.old => Action::SetVoters(leader),
                    (false, true) => Action::StopOld,
                }
            }
            Step::Repairing => {
                let whole = ready && parts.iter().all(|parts| parts.missing_copies() == Some(0));
                if whole { Action::Finish } else { Action::Wait }
            }
        }
    }

    /// The voters to be.
    fn wanted(&self, replacement: &Replacement) -> BTreeSet<NodeId> {
        let others = self.ids().into_iter().filter(|id| *id != replacement.old);
        others.map(|id| NodeId(id as u64)).collect()
    }

    fn ask<F: Future<Output = bool> + Send + 'static>(
        &self,
        leader: HostId,
        what: &'static str,
        work: impl FnOnce(Parts) -> F,
    ) -> Option<JoinHandle<()>> {
        let (up, parts) = (self.hosts[leader - 1].up.as_ref()?, self.hosts[leader - 1].parts()?);
        let (work, wires) = (work(parts.clone()), self.wires.clone());
        Some(up.runtime.spawn(async move {
            let done = work.await;
            wires.note(format_args!("node {leader} was asked to {what}: {done}"));
        }))
    }

    /// Lets one that is under way come to its end.
    pub fn finish_replacement(&mut self) -> Result<(), String> {
        self.until("a replacement does not come to its end", |world| world.replacement.is_none())
    }
}
