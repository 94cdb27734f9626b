//! The bodies of peer calls: one version byte, then postcard.

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version that is spoken. A node that hears another one answers with an error, and the caller tries again later: a
/// group is upgraded node by node, and two versions that cannot talk must not look like a lost message.
const VERSION: u8 = 1;

/// Why a body was not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the body does not decode: {0}")]
    Postcard(#[from] postcard::Error),
    #[error("the body is version {0}, not {VERSION}")]
    Version(u8),
    #[error("the body is empty")]
    Empty,
}

/// What a leader says to a forwarded proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ProposeAnswer {
    Outcome(Bytes),
    NotExecuted(String),
    Unknown(String),
}

pub(crate) fn encode(message: &impl Serialize) -> Result<Bytes, WireError> {
    Ok(postcard::to_extend(message, vec![VERSION])?.into())
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    match bytes.split_first() {
        Some((&VERSION, message)) => Ok(postcard::from_bytes(message)?),
        Some((&version, _)) => Err(WireError::Version(version)),
        None => Err(WireError::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Command, Entry, LogId, Membership, Peer, TypeConfig, Vote};
    use openraft::{
        EntryPayload, StoredMembership,
        entry::RaftEntry,
        impls::leader_id_adv::LeaderId,
        raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest},
    };
    use std::collections::{BTreeMap, BTreeSet};

    fn log_id(index: u64) -> LogId {
        LogId::new(LeaderId { term: 2, node_id: 3 }, index)
    }

    fn there_and_back<T: Serialize + DeserializeOwned>(message: &T) -> T {
        decode(&encode(message).expect("encodes")).expect("decodes")
    }

    #[test]
    fn every_message_of_consensus_comes_back() {
        let nodes = BTreeMap::from([(1, Peer::default()), (2, Peer::default())]);
        let membership = Membership::new(vec![BTreeSet::from([1, 2])], nodes).expect("a group of two");
        let append = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(2, 3),
            prev_log_id: Some(log_id(6)),
            leader_commit: None,
            entries: vec![
                Entry::new(log_id(7), EntryPayload::Blank),
                Entry::new(log_id(8), EntryPayload::Normal(Command(vec![1; 4096].into()))),
                Entry::new(log_id(9), EntryPayload::Membership(membership.clone())),
            ],
        };
        assert_eq!(format!("{:?}", there_and_back(&append)), format!("{append:?}"));
        assert_eq!(there_and_back(&append).entries, append.entries);
        let vote = VoteRequest::<TypeConfig>::new(Vote::new(4, 1), Some(log_id(9)));
        assert_eq!(there_and_back(&vote), vote);
        for answer in [
            AppendEntriesResponse::<TypeConfig>::Success,
            AppendEntriesResponse::PartialSuccess(Some(log_id(7))),
            AppendEntriesResponse::Conflict,
            AppendEntriesResponse::HigherVote(Vote::new(5, 2)),
        ] {
            assert_eq!(there_and_back(&answer), answer);
        }
        let transfer = TransferLeaderRequest::<TypeConfig>::new(Vote::new_committed(2, 3), 1, Some(log_id(9)));
        assert_eq!(there_and_back(&transfer), transfer);
        let snapshot = SnapshotResponse::<TypeConfig>::new(Vote::new(4, 1));
        assert_eq!(there_and_back(&snapshot), snapshot);
        let stored = StoredMembership::new(Some(log_id(9)), membership);
        assert_eq!(there_and_back(&stored), stored);
        let answer = ProposeAnswer::Outcome(Bytes::from_static(b"done"));
        assert_eq!(there_and_back(&answer), answer);
    }

    #[test]
    fn another_version_is_refused() {
        assert!(matches!(decode::<u64>(&[2, 0]), Err(WireError::Version(2))));
        assert!(matches!(decode::<u64>(&[]), Err(WireError::Empty)));
    }
}
