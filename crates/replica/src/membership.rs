//! Who belongs to the group: forming it, adding a node, replacing voters, handing over the lead.
//!
//! Every node says who it is, and what it reads, before it becomes a member ([`crate::identity`], [`crate::version`]).

use crate::{
    handle::FormError,
    identity::Identity,
    limits::{LEADER_PAUSE, MEET_PATIENCE},
    network::Peers,
    types::{Peer, Raft, StoredMembership, member},
};
use bulkhead_model::{NodeId, api::cell::Member};
use bulkhead_service::Env;
use openraft::{
    ChangeMembers,
    async_runtime::watch::WatchReceiver,
    errors::{InitializeError, RaftError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::time;

/// Why the group is not as it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the membership was not changed: {0}")]
pub struct MembershipError(pub String);

/// Who belongs to a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Members {
    pub voters: Vec<Member>,
    pub learners: Vec<Member>,
}

impl Members {
    pub fn of(stored: &StoredMembership) -> Self {
        let ids: BTreeSet<u64> = stored.membership().voter_ids().collect();
        let (voters, learners): (Vec<_>, Vec<_>) = stored.membership().nodes().partition(|(id, _)| ids.contains(id));
        let named = |nodes: Vec<(&u64, &Peer)>| nodes.into_iter().map(|(id, peer)| member(*id, peer)).collect();
        Self { voters: named(voters), learners: named(learners) }
    }
}

/// What a change of the membership works with.
pub(crate) struct Membership<'a> {
    pub raft: &'a Raft,
    /// This node's.
    pub identity: Identity,
    pub peers: &'a Peers,
    /// The group's.
    pub version: u8,
    pub env: &'a Env,
}

impl Membership<'_> {
    /// Forms the group out of fresh nodes.
    pub async fn form(&self, members: &[Member]) -> Result<(), FormError> {
        let wanted: BTreeMap<NodeId, &Member> = members.iter().map(|member| (member.node, member)).collect();
        let node = NodeId(self.identity.node);
        if wanted.len() != members.len() {
            return Err(FormError("a node is named twice".into()));
        }
        if !wanted.contains_key(&node) {
            return Err(FormError(format!("node {node}, which was asked, is not among the members")));
        }
        if !self.voters_now().await?.is_empty() {
            return self.is_formed(&wanted).await;
        }
        let met = members.iter().map(|member| async move { Ok((member.node.0, self.meet(member).await?)) });
        let met = futures::future::join_all(met).await.into_iter().collect::<Result<BTreeMap<u64, Peer>, String>>();
        match self.raft.initialize(met.map_err(FormError)?).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => self.is_formed(&wanted).await,
            Err(error) => Err(FormError(error.to_string())),
        }
    }

    async fn is_formed(&self, wanted: &BTreeMap<NodeId, &Member>) -> Result<(), FormError> {
        let found = self.voters_now().await?;
        if found.len() == wanted.len() && found.iter().all(|member| wanted.get(&member.node) == Some(&member)) {
            return Ok(());
        }
        let ids: Vec<_> = found.iter().map(|member| member.node.0).collect();
        Err(FormError(format!("the group exists with other members: {ids:?}")))
    }

    /// The voters as consensus itself has them: the metrics may still be from before the group was formed.
    async fn voters_now(&self) -> Result<Vec<Member>, FormError> {
        let membership = self.raft.with_raft_state(|state| Arc::clone(state.membership_state.effective())).await;
        Ok(Members::of(&*membership.map_err(|error| FormError(error.to_string()))?).voters)
    }

    /// Who a node to be is. It is asked for a while, since it may just be starting.
    async fn meet(&self, member: &Member) -> Result<Peer, String> {
        if member.node.0 == self.identity.node {
            return Ok(Peer::of(member, self.identity.life));
        }
        let deadline = self.env.clock.now() + MEET_PATIENCE;
        let met = loop {
            let now = self.env.clock.now();
            match self.peers.meet(member.peer, deadline.saturating_duration_since(now)).await {
                Ok(met) => break met,
                Err(error) if now + LEADER_PAUSE >= deadline => {
                    return Err(format!("node {} does not say who it is: {error}", member.node));
                }
                Err(_) => time::sleep(LEADER_PAUSE).await,
            }
        };
        if met.node != member.node.0 {
            return Err(format!("node {} answers at {}, not node {}", met.node, member.peer, member.node));
        }
        if met.newest_format < self.version {
            let (newest, version) = (met.newest_format, self.version);
            return Err(format!("node {} reads formats up to {newest}, but the group has {version}", member.node));
        }
        Ok(Peer::of(member, met.life))
    }

    /// Adds a node that follows without a vote.
    pub async fn add_learner(&self, member: &Member) -> Result<(), MembershipError> {
        let peer = self.meet(member).await.map_err(MembershipError)?;
        let known =
            self.raft.metrics().borrow_watched().membership_config.membership().get_node(&member.node.0).cloned();
        match known {
            Some(known) if known == peer => return Ok(()),
            Some(_) => return Err(MembershipError(format!("another node {} is a member", member.node))),
            None => {}
        }
        self.raft.add_learner(member.node.0, peer, false).await.map(drop).map_err(refused)
    }

    /// Makes exactly these nodes the voters, by joint consensus. Each must be a voter or a learner already; a voter that is
    /// not named leaves the group. A leader that is to leave hands over instead: writes would stand still for an election.
    pub async fn set_voters(&self, voters: &[NodeId]) -> Result<(), MembershipError> {
        let ids: BTreeSet<u64> = voters.iter().map(|id| id.0).collect();
        if ids.is_empty() || ids.len() != voters.len() {
            return Err(MembershipError("a group has voters, each named once".into()));
        }
        let (stays, leads) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let now: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
            if now == ids && metrics.membership_config.membership().get_joint_config().len() == 1 {
                return Ok(());
            }
            (now.intersection(&ids).next().copied(), metrics.current_leader == Some(self.identity.node))
        };
        if let Some(next) = stays.filter(|_| leads && !ids.contains(&self.identity.node)) {
            self.transfer_leader(NodeId(next)).await?;
            return Err(MembershipError(format!("node {} leads and is to leave: it hands over", self.identity.node)));
        }
        self.raft.change_membership(ChangeMembers::ReplaceAllVoters(ids), false).await.map(drop).map_err(refused)
    }

    /// Asks this node, which leads, to hand over. Returns at once; watch the status.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), MembershipError> {
        self.raft.trigger().transfer_leader(to.0).await.map_err(refused)
    }
}

fn refused(error: impl std::fmt::Display) -> MembershipError {
    MembershipError(error.to_string())
}
