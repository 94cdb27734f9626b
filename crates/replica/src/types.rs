//! The one choice of openraft's types; everything else in the crate names these aliases.
//!
//! Commands and outcomes are opaque bytes here. Must not know what they mean.

use bulkhead_model::{Az, NodeId, api::cell::Member};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

openraft::declare_raft_types!(
    /// Consensus over opaque commands.
    pub(crate) TypeConfig:
        D = Command,
        R = Outcome,
        NodeId = u64,
        Node = Peer,
);

/// The consensus of one node.
pub(crate) type Raft = openraft::Raft<TypeConfig, crate::apply::StateMachine>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::type_config::alias::PayloadOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, Peer>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// What a proposer wants done.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command(pub Bytes);

/// What the machine answered.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Outcome(pub Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outcome({} bytes)", self.0.len())
    }
}

/// Where a node is. Part of the replicated membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub addr: SocketAddr,
    pub az: Az,
    /// The node with this directory, and no other of the same id: see [`crate::identity`].
    pub life: u64,
}

impl Default for Peer {
    /// Nowhere. openraft's conformance suite makes nodes that are never called.
    fn default() -> Self {
        let az = "nowhere".parse().expect("a lower-case word is an AZ");
        Self { addr: (Ipv4Addr::UNSPECIFIED, 0).into(), az, life: 0 }
    }
}

impl Peer {
    /// A member in one of its lives.
    pub fn of(member: &Member, life: u64) -> Self {
        Self { addr: member.peer, az: member.az.clone(), life }
    }
}

/// The member with this id, as the rest of the system knows it.
pub(crate) fn member(id: u64, peer: &Peer) -> Member {
    Member { node: NodeId(id), az: peer.az.clone(), peer: peer.addr }
}

/// An index of the log as the number of entries up to and including it: `None` is 0, the first entry makes 1.
///
/// Gives "nothing" a place below the first entry, so that positions compare as numbers.
pub(crate) fn position(id: Option<&LogId>) -> u64 {
    id.map_or(0, |id| id.index() + 1)
}
