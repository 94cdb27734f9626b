//! The group's format version: the newest format that all of its members read.
//!
//! It begins at [`BASE`] and only grows, by an entry of the log, and only to what every member says it reads. A command in a
//! newer format is refused when it is proposed, by the leader whoever sent it, so that no member ever meets one it cannot
//! read. A node that reads less than the group's version does not start, is not added, and takes no checkpoint of it.
//! Must not know what the formats are.

use crate::{
    identity::Identity,
    limits::{FORWARD_DEFAULT, VERSION_EVERY, VERSION_PATIENCE},
    machine::{Machine, StoreError},
    network::Peers,
    propose::{Leader, leader},
    store::Store,
    types::{Command, Raft},
};
use bulkhead_model::Timestamp;
use openraft::async_runtime::watch::WatchReceiver;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};
use tokio::time;
use tokio_util::sync::CancellationToken;

/// The first format of everything.
pub(crate) const BASE: u8 = 1;
/// What this crate's own commands begin with: a format that no machine's command has.
const OWN: u8 = 0;
/// The format of the own commands.
const OWN_V1: u8 = 1;

/// Raises the version, if these are still all members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Raise {
    pub to: u8,
    /// Who was asked: one that joined since may read less.
    pub members: BTreeSet<u64>,
}

impl Raise {
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![OWN, OWN_V1]).expect("numbers, and a vector takes all of them")
    }

    /// Reads a command of this crate's own; `None` when it is a machine's.
    pub fn decode(command: &[u8]) -> Result<Option<Self>, StoreError> {
        let corrupt = |why| StoreError::Corrupt { what: "a command of the group", why };
        match command {
            [OWN, OWN_V1, raise @ ..] => postcard::from_bytes(raise).map(Some).map_err(|e| corrupt(e.to_string())),
            [OWN, ..] => Err(corrupt("its format is not known here".into())),
            [_, ..] | [] => Ok(None),
        }
    }

    /// The version after this command. Pure: the same on every replica.
    pub fn decide(&self, current: u8, members: impl IntoIterator<Item = u64>) -> u8 {
        let all_asked = members.into_iter().all(|member| self.members.contains(&member));
        if all_asked { self.to.max(current) } else { current }
    }
}

/// Refuses a state that this build cannot read.
pub(crate) fn check(version: u8, newest: u8) -> Result<(), StoreError> {
    if version <= newest {
        return Ok(());
    }
    let why = format!("the group has format version {version}, and this build reads up to {newest}: run a newer one");
    Err(StoreError::Corrupt { what: "the group's version", why })
}

/// Lets commands pass that the whole group reads.
#[derive(Clone)]
pub(crate) struct Gate {
    pub store: Arc<Store>,
    pub machine: Arc<dyn Machine>,
}

impl Gate {
    /// Why a command may not be proposed, if it may not.
    pub fn refusal(&self, command: &[u8]) -> Option<String> {
        let (format, version) = (self.machine.format_of(command), self.store.version());
        if command.first() == Some(&OWN) || format == OWN {
            return Some("a command begins with its format, which is never 0".into());
        }
        (format > version)
            .then(|| format!("the command has format {format}, but not all members read more than {version}"))
    }

    /// What this node says of itself.
    pub fn identity(&self, node: u64, life: u64, clock: Timestamp) -> Identity {
        Identity { node, life, newest_format: self.machine.newest_format(), clock }
    }
}

/// Raises the version once every member reads a newer one. Acts on the leader only.
pub(crate) struct Raiser {
    pub raft: Raft,
    pub node: u64,
    pub gate: Gate,
    pub peers: Peers,
    pub stop: CancellationToken,
}

impl Raiser {
    /// Until the replica stops.
    pub async fn run(self) {
        while self.stop.run_until_cancelled(time::sleep(VERSION_EVERY)).await.is_some() {
            let current = self.gate.store.version();
            if self.gate.machine.newest_format() <= current || !matches!(leader(&self.raft, self.node), Leader::This) {
                continue;
            }
            if let Some(raise) = plan(current, self.gate.machine.newest_format(), &self.answers().await) {
                tracing::info!(to = raise.to, "all members read a newer format: the group's version is raised");
                let command = Command(raise.encode().into());
                match time::timeout(FORWARD_DEFAULT, self.raft.client_write(command)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "the group's version was not raised"),
                    Err(_) => tracing::warn!("that the group's version is raised was not confirmed in time"),
                }
            }
        }
    }

    /// What the other members read; `None` of one that does not say.
    async fn answers(&self) -> Vec<(u64, Option<u8>)> {
        let members: Vec<_> = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let members = metrics.membership_config.membership();
            members.nodes().map(|(id, peer)| (*id, peer.clone())).collect()
        };
        let asked = members.into_iter().map(|(id, peer)| async move {
            if id == self.node {
                return (id, Some(self.gate.machine.newest_format()));
            }
            let said = self.peers.meet(peer.addr, VERSION_PATIENCE).await.ok();
            (id, said.filter(|said| (said.node, said.life) == (id, peer.life)).map(|said| said.newest_format))
        });
        futures::future::join_all(asked).await
    }
}

/// What to propose, if every member reads more than `current`. Pure.
fn plan(current: u8, newest: u8, members: &[(u64, Option<u8>)]) -> Option<Raise> {
    let read = members.iter().map(|(_, reads)| reads.unwrap_or(0)).min()?;
    let to = read.min(newest);
    (to > current).then(|| Raise { to, members: members.iter().map(|(id, _)| *id).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raise_has_the_bytes_of_version_one() {
        let raise = Raise { to: 2, members: BTreeSet::from([1, 300]) };
        assert_eq!(raise.encode(), [0, 1, 2, 2, 1, 0xAC, 2]);
        assert_eq!(Raise::decode(&raise.encode()).ok(), Some(Some(raise)));
        assert_eq!(Raise::decode(b"\x01machine's").ok(), Some(None));
        assert!(Raise::decode(&[0, 9]).is_err());
    }

    #[test]
    fn the_version_is_raised_to_what_every_member_reads_and_no_further() {
        let to = |members: &[(u64, Option<u8>)]| plan(1, 3, members).map(|raise| raise.to);
        assert_eq!(to(&[(1, Some(3)), (2, Some(2)), (3, Some(4))]), Some(2));
        assert_eq!(to(&[(1, Some(4)), (2, Some(5)), (3, Some(4))]), Some(3), "not beyond what this build reads");
        assert_eq!(to(&[(1, Some(3)), (2, Some(1)), (3, Some(3))]), None);
        assert_eq!(to(&[(1, Some(3)), (2, None), (3, Some(3))]), None, "one does not say");
        assert_eq!(to(&[]), None);
    }

    #[test]
    fn a_raise_that_did_not_ask_a_member_raises_nothing() {
        let raise = Raise { to: 2, members: BTreeSet::from([1, 2, 3]) };
        assert_eq!(raise.decide(1, [1, 2, 3]), 2);
        assert_eq!(raise.decide(1, [1, 3]), 2, "one has left");
        assert_eq!(raise.decide(1, [1, 2, 3, 4]), 1, "one has joined");
        assert_eq!(raise.decide(3, [1, 2, 3]), 3, "it never goes back");
    }
}
