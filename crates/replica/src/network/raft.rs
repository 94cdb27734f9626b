//! openraft's calls over [`Peers`].

use super::{CallError, Peers, path};
use crate::{
    limits::{APPEND_MAX, CHECKPOINT_TRANSFER_MAX},
    snapshot::{self, Saved},
    types::{Peer, TypeConfig, Vote},
};
use bulkhead_service::{client::ClientError, env::Tasks};
use futures::{StreamExt, TryStreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use openraft::{
    OptionalSend, RPCTypes, RaftNetworkFactory, RaftNetworkV2,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
        VoteRequest, VoteResponse,
    },
    type_config::alias::SnapshotOf,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::select;

/// Makes [`Link`]s.
pub(crate) struct Factory {
    pub node: u64,
    pub peers: Peers,
    pub tasks: Tasks,
}

impl RaftNetworkFactory<TypeConfig> for Factory {
    type Network = Link;

    async fn new_client(&mut self, target: u64, peer: &Peer) -> Link {
        Link { node: self.node, target, peer: peer.clone(), peers: self.peers.clone(), tasks: self.tasks.clone() }
    }
}

/// The way to one peer.
pub(crate) struct Link {
    node: u64,
    target: u64,
    peer: Peer,
    peers: Peers,
    tasks: Tasks,
}

impl Link {
    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        action: RPCTypes,
        path: &str,
        question: &Q,
        patience: Duration,
    ) -> Result<A, RPCError<TypeConfig>> {
        let answer = self.peers.ask(self.target, &self.peer, path, question, patience).await;
        answer.map_err(|error| self.explain(action, error))
    }

    fn explain(&self, action: RPCTypes, error: CallError) -> RPCError<TypeConfig> {
        match error {
            CallError::Transport(ClientError::TimedOut(timeout)) => {
                RPCError::Timeout(Timeout { action, id: self.node, target: self.target, timeout })
            }
            // Not there, or not able to answer: openraft waits before it tries again.
            CallError::Transport(ClientError::Unreachable(_)) | CallError::Refused(_) => {
                RPCError::Unreachable(Unreachable::new(&error))
            }
            CallError::Transport(_) | CallError::Wire(_) => RPCError::Network(NetworkError::new(&error)),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = Arc<Saved>;

    /// Entries get longer than a heartbeat does: the follower answers after its disk has them.
    #[tracing::instrument(name = "raft.append", level = "debug", skip_all, fields(target = self.target, entries = rpc.entries.len()))]
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let patience = if rpc.entries.is_empty() { option.soft_ttl() } else { APPEND_MAX };
        self.ask(RPCTypes::AppendEntries, path::APPEND, &rpc, patience).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(RPCTypes::Vote, path::VOTE, &rpc, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(RPCTypes::Vote, path::PRE_VOTE, &rpc, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, Arc<Saved>>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let unreadable = |error: std::io::Error| StreamingError::Network(NetworkError::new(&error));
        let head = snapshot::head(vote, &snapshot.snapshot).map_err(unreadable)?;
        let bytes: u64 = head.files.iter().map(|(_, length)| length).sum();
        tracing::info!(target = self.target, bytes, files = head.files.len(), "sending a checkpoint");
        let pieces = snapshot::body(&head, snapshot.snapshot, self.tasks.clone()).map_err(unreadable)?;
        let body = StreamBody::new(pieces.boxed().map_ok(Frame::data).map_err(Into::into)).boxed_unsync();
        let sent = self.peers.send(self.target, &self.peer, path::SNAPSHOT, body, CHECKPOINT_TRANSFER_MAX);
        select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            answer = sent => answer.map_err(|error| self.explain(RPCTypes::InstallSnapshot, error).into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(RPCTypes::TransferLeader, path::TRANSFER_LEADER, &rpc, option.soft_ttl()).await
    }
}
