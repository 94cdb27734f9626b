//! Who belongs to the group: forming it, adding a node, replacing voters, handing over the lead.

use crate::{
    handle::FormError,
    types::{Peer, Raft, member},
};
use bulkhead_model::{NodeId, api::cell::Member};
use openraft::{
    ChangeMembers,
    async_runtime::watch::WatchReceiver,
    errors::{InitializeError, RaftError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Why the group is not as it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the membership was not changed: {0}")]
pub struct MembershipError(pub String);

/// The voters, as this node knows them.
pub(crate) fn voters(raft: &Raft) -> Vec<Member> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    let ids: BTreeSet<u64> = membership.voter_ids().collect();
    membership.nodes().filter(|(id, _)| ids.contains(id)).map(|(id, peer)| member(*id, peer)).collect()
}

/// Forms the group out of fresh nodes.
pub(crate) async fn form(raft: &Raft, node: NodeId, members: &[Member]) -> Result<(), FormError> {
    let wanted: BTreeMap<u64, Peer> = members.iter().map(|member| (member.node.0, member.into())).collect();
    if wanted.len() != members.len() {
        return Err(FormError("a node is named twice".into()));
    }
    if !wanted.contains_key(&node.0) {
        return Err(FormError(format!("node {node}, which was asked, is not among the members")));
    }
    match raft.initialize(wanted.clone()).await {
        Ok(()) => Ok(()),
        Err(RaftError::APIError(InitializeError::NotAllowed(why))) => {
            let found = voters_now(raft).await?;
            if found == wanted {
                Ok(())
            } else {
                Err(FormError(format!("the group exists with other members: {:?} ({why})", found.keys())))
            }
        }
        Err(error) => Err(FormError(error.to_string())),
    }
}

/// The voters as consensus itself has them: what [`voters`] says may still be from before the group was formed.
async fn voters_now(raft: &Raft) -> Result<BTreeMap<u64, Peer>, FormError> {
    let membership = raft.with_raft_state(|state| Arc::clone(state.membership_state.effective())).await;
    let stored = membership.map_err(|error| FormError(error.to_string()))?;
    let ids: BTreeSet<u64> = stored.membership().voter_ids().collect();
    let nodes = stored.membership().nodes().filter(|(id, _)| ids.contains(id));
    Ok(nodes.map(|(id, peer)| (*id, peer.clone())).collect())
}

/// Adds a node that follows without a vote, and waits until it has nearly caught up.
pub(crate) async fn add_learner(raft: &Raft, member: &Member) -> Result<(), MembershipError> {
    raft.add_learner(member.node.0, member.into(), true).await.map(drop).map_err(refused)
}

/// Makes exactly these nodes the voters, by joint consensus. Each must be a voter or a learner already; a voter that is not
/// named leaves the group.
pub(crate) async fn set_voters(raft: &Raft, voters: &[NodeId]) -> Result<(), MembershipError> {
    let ids: BTreeSet<u64> = voters.iter().map(|id| id.0).collect();
    if ids.is_empty() || ids.len() != voters.len() {
        return Err(MembershipError("a group has voters, each named once".into()));
    }
    raft.change_membership(ChangeMembers::ReplaceAllVoters(ids), false).await.map(drop).map_err(refused)
}

/// Asks this node, which leads, to hand over. Returns at once; watch the status.
pub(crate) async fn transfer_leader(raft: &Raft, to: NodeId) -> Result<(), MembershipError> {
    raft.trigger().transfer_leader(to.0).await.map_err(refused)
}

fn refused(error: impl std::fmt::Display) -> MembershipError {
    MembershipError(error.to_string())
}
