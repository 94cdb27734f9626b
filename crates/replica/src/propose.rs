//! From a command to its outcome, and what is known when there is none.
//!
//! Invariant: [`ProposeError::NotExecuted`] is said only when no log can hold the command: nothing was sent, or the node
//! that was asked did not append it. Everything else that is no outcome is [`ProposeError::Unknown`].

use crate::{
    handle::ProposeError,
    limits::{DEPOSED_GRACE, LEADER_PAUSE, PROPOSALS_MAX, RAFT_ENTRY_BYTES_MAX},
    network::{CallError, Peers, ProposeAnswer, path},
    types::{Command, Peer, Raft, position},
    version::Gate,
};
use bulkhead_service::{Env, client};
use bytes::Bytes;
use openraft::{
    ReadPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, RaftError},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio::{sync::Semaphore, time};

/// Who leads, as this node knows.
pub(crate) enum Leader {
    This,
    Other(u64, Peer),
    Unknown,
}

/// Finds the leader.
pub(crate) fn leader(raft: &Raft, node: u64) -> Leader {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    match metrics.current_leader {
        Some(id) if id == node => Leader::This,
        Some(id) => match metrics.membership_config.membership().get_node(&id) {
            Some(peer) => Leader::Other(id, peer.clone()),
            None => Leader::Unknown,
        },
        None => Leader::Unknown,
    }
}

/// What only the leader can do.
#[derive(Clone)]
pub(crate) struct Leading {
    pub raft: Raft,
    pub env: Env,
    pub gate: Gate,
}

impl Leading {
    /// Appends, commits and applies, while this node leads. A command that not every member reads is refused here, whoever sent
    /// it.
    pub async fn propose(&self, command: Bytes, deadline: Instant) -> Result<Bytes, ProposeError> {
        if let Some(why) = self.gate.refusal(&command) {
            return Err(ProposeError::NotExecuted(why));
        }
        let write = self.raft.client_write(Command(command));
        match time::timeout_at(deadline, write).await {
            Ok(Ok(done)) => Ok(done.data.0),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))) => {
                Err(ProposeError::NotExecuted(format!("this node does not lead: {to}")))
            }
            Ok(Err(error)) => Err(ProposeError::Unknown(error.to_string())),
            Err(_) => Err(ProposeError::Unknown("not committed and applied within the deadline".into())),
        }
    }

    /// As [`Leading::propose`], for a peer that forwards.
    pub async fn answer(&self, command: Bytes, patience: Duration) -> ProposeAnswer {
        match self.propose(command, self.env.clock.now() + patience).await {
            Ok(outcome) => ProposeAnswer::Outcome(outcome),
            Err(ProposeError::NotExecuted(why)) => ProposeAnswer::NotExecuted(why),
            Err(ProposeError::Unknown(why)) => ProposeAnswer::Unknown(why),
            Err(error @ ProposeError::TooLarge { .. }) => ProposeAnswer::NotExecuted(error.to_string()),
        }
    }

    /// The position that holds every command acknowledged so far, confirmed by a majority now.
    pub async fn confirm_position(&self) -> Result<u64, String> {
        let linearizer =
            self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await.map_err(|error| error.to_string())?;
        Ok(position(Some(linearizer.read_log_id().log_id())))
    }
}

/// Proposes from any node.
pub(crate) struct Proposals {
    pub node: u64,
    pub leading: Leading,
    pub peers: Peers,
    slots: Arc<Semaphore>,
}

impl Proposals {
    pub fn new(node: u64, leading: Leading, peers: Peers) -> Self {
        Self { node, leading, peers, slots: Arc::new(Semaphore::new(PROPOSALS_MAX)) }
    }

    /// Has a command applied. While no leader is known, or the one that is known certainly did not take the command, it
    /// waits for the next: nothing is lost by that, and an election ends before most deadlines.
    pub async fn propose(&self, command: Bytes, deadline: Instant) -> Result<Bytes, ProposeError> {
        if command.len() > RAFT_ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes: command.len(), max: RAFT_ENTRY_BYTES_MAX });
        }
        let Ok(_slot) = self.slots.try_acquire() else {
            return Err(ProposeError::NotExecuted(format!("this node carries {PROPOSALS_MAX} proposals already")));
        };
        loop {
            let outcome = match leader(&self.leading.raft, self.node) {
                Leader::This => self.leading.propose(command.clone(), deadline).await,
                Leader::Other(id, peer) => self.forward(id, &peer, command.clone(), deadline).await,
                Leader::Unknown => Err(ProposeError::NotExecuted("no leader is known".into())),
            };
            match outcome {
                Err(ProposeError::NotExecuted(_)) if self.env().clock.now() < deadline => {
                    self.leader_change(deadline).await;
                }
                Ok(_) | Err(_) => return outcome,
            }
        }
    }

    /// Waits for news of the leader, a short while.
    pub async fn leader_change(&self, deadline: Instant) {
        let mut news = self.leading.raft.server_metrics();
        // What is known already is no news: without this the wait is none, and whoever waits for a leader spins.
        drop(news.borrow_and_update());
        let until = deadline.min(self.env().clock.now() + LEADER_PAUSE);
        if let Ok(Err(_stopped)) = time::timeout_at(until, news.changed()).await {
            time::sleep_until(until).await;
        }
    }

    /// Ends a moment after another node than `id` has become the leader: a leader that hangs would be waited for until the deadline.
    async fn deposed(&self, id: u64) {
        let mut news = self.leading.raft.server_metrics();
        loop {
            let leader = news.borrow_and_update().current_leader;
            if leader.is_some_and(|leader| leader != id) {
                return time::sleep(DEPOSED_GRACE).await;
            }
            if news.changed().await.is_err() {
                // Consensus has stopped: what has been sent is waited for all the same.
                return std::future::pending().await;
            }
        }
    }

    fn env(&self) -> &Env {
        &self.leading.env
    }

    async fn forward(&self, id: u64, peer: &Peer, command: Bytes, deadline: Instant) -> Result<Bytes, ProposeError> {
        let patience = deadline.saturating_duration_since(self.env().clock.now());
        if patience.is_zero() {
            return Err(ProposeError::NotExecuted("the deadline has passed".into()));
        }
        let sent = self.peers.send::<ProposeAnswer>(id, peer, path::PROPOSE, client::full(command), patience);
        let answer = tokio::select! {
            biased;
            answer = sent => answer,
            () = self.deposed(id) => {
                return Err(ProposeError::Unknown(format!("node {id} leads no more and has not answered")));
            }
        };
        match answer {
            Ok(ProposeAnswer::Outcome(outcome)) => Ok(outcome),
            Ok(ProposeAnswer::NotExecuted(why)) => Err(ProposeError::NotExecuted(why)),
            Ok(ProposeAnswer::Unknown(why)) => Err(ProposeError::Unknown(why)),
            Err(error) => Err(explain(id, &error)),
        }
    }
}

/// What is known of a proposal whose forwarding failed.
fn explain(leader: u64, error: &CallError) -> ProposeError {
    let text = format!("node {leader}: {error}");
    match error {
        CallError::Transport(transport) if transport.certainly_not_sent() => ProposeError::NotExecuted(text),
        CallError::Transport(_) | CallError::Refused(_) | CallError::Wire(_) => ProposeError::Unknown(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::client::ClientError;

    #[test]
    fn only_what_was_never_sent_is_called_not_executed() {
        let not_executed = |error| matches!(explain(1, &error), ProposeError::NotExecuted(_));
        assert!(not_executed(CallError::Transport(ClientError::Unreachable("refused".into()))));
        assert!(!not_executed(CallError::Transport(ClientError::Lost("reset".into()))));
        assert!(!not_executed(CallError::Transport(ClientError::TimedOut(Duration::from_secs(1)))));
        assert!(!not_executed(CallError::Refused("503".into())));
    }
}
