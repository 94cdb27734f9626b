//! The bytes of log records: ids, votes and payloads. Fixed layouts of our own, so that an upgrade of openraft cannot
//! change what is on disk. A payload starts with its format version.
//!
//! Integers are big-endian. Must not know files or openraft's traits.

use crate::{
    limits::RAFT_ENTRY_BYTES_MAX,
    types::{Command, LogId, Membership, Payload, Vote},
};
use openraft::{EntryPayload, impls::leader_id_adv::LeaderId};
use raft_log::codeq::{Decode, Encode};
use std::io::{self, Read, Write};

/// The version of [`LogPayload`] that is written.
const PAYLOAD_V1: u8 = 1;
const BLANK: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERSHIP: u8 = 2;
/// A payload longer than this was never written: it is damage.
const PAYLOAD_BYTES_MAX: usize = RAFT_ENTRY_BYTES_MAX * 2;

/// Term, leader, index: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogKey(pub LogId);

impl Encode for LogKey {
    fn encode<W: Write>(&self, mut to: W) -> Result<usize, io::Error> {
        let leader = self.0.committed_leader_id();
        encode_numbers(&mut to, [leader.term, leader.node_id, self.0.index()])
    }
}

impl Decode for LogKey {
    fn decode<R: Read>(mut from: R) -> Result<Self, io::Error> {
        let [term, node_id, index] = decode_numbers(&mut from)?;
        Ok(Self(LogId::new(LeaderId { term, node_id }, index)))
    }
}

/// Term, candidate, whether a majority granted it: 17 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) struct LogVote(pub Vote);

impl Encode for LogVote {
    fn encode<W: Write>(&self, mut to: W) -> Result<usize, io::Error> {
        let n = encode_numbers(&mut to, [self.0.leader_id.term, self.0.leader_id.node_id])?;
        Ok(n + u8::from(self.0.committed).encode(&mut to)?)
    }
}

impl Decode for LogVote {
    fn decode<R: Read>(mut from: R) -> Result<Self, io::Error> {
        let [term, node_id] = decode_numbers(&mut from)?;
        let committed = match u8::decode(&mut from)? {
            0 => false,
            1 => true,
            other => return Err(damaged(format!("{other} is neither a granted nor an open vote"))),
        };
        Ok(Self(Vote { leader_id: LeaderId { term, node_id }, committed }))
    }
}

/// Version, kind, length (u32), bytes.
#[derive(Debug, Clone)]
pub(super) struct LogPayload(pub Payload);

impl LogPayload {
    /// Roughly what it takes in memory, bytes.
    pub fn size(&self) -> usize {
        payload_bytes(&self.0)
    }
}

/// Roughly what a payload takes in memory and on the wire, bytes.
pub(crate) fn payload_bytes(payload: &Payload) -> usize {
    const OVERHEAD: usize = 64;
    OVERHEAD
        + match payload {
            EntryPayload::Blank => 0,
            EntryPayload::Normal(command) => command.0.len(),
            EntryPayload::Membership(_) => 256,
        }
}

impl Encode for LogPayload {
    fn encode<W: Write>(&self, mut to: W) -> Result<usize, io::Error> {
        match &self.0 {
            EntryPayload::Blank => encode_body(&mut to, BLANK, &[]),
            EntryPayload::Normal(command) => encode_body(&mut to, COMMAND, &command.0),
            EntryPayload::Membership(membership) => {
                let body = postcard::to_stdvec(membership).map_err(io::Error::other)?;
                encode_body(&mut to, MEMBERSHIP, &body)
            }
        }
    }
}

impl Decode for LogPayload {
    fn decode<R: Read>(mut from: R) -> Result<Self, io::Error> {
        let mut head = [0; 2];
        from.read_exact(&mut head)?;
        let [version, kind] = head;
        if version != PAYLOAD_V1 {
            return Err(damaged(format!("payload version {version} is not known here")));
        }
        let length = usize::try_from(u32::decode(&mut from)?).map_err(io::Error::other)?;
        if length > PAYLOAD_BYTES_MAX {
            return Err(damaged(format!("a payload of {length} bytes, more than {PAYLOAD_BYTES_MAX}")));
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        let payload = match kind {
            BLANK => EntryPayload::Blank,
            COMMAND => EntryPayload::Normal(Command(body.into())),
            MEMBERSHIP => EntryPayload::Membership(decode_membership(&body)?),
            other => return Err(damaged(format!("payload kind {other} is not known here"))),
        };
        Ok(Self(payload))
    }
}

fn decode_membership(body: &[u8]) -> Result<Membership, io::Error> {
    postcard::from_bytes(body).map_err(|error| damaged(format!("a membership does not decode: {error}")))
}

fn encode_body<W: Write>(to: &mut W, kind: u8, body: &[u8]) -> Result<usize, io::Error> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    to.write_all(&[PAYLOAD_V1, kind])?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(body)?;
    Ok(2 + 4 + body.len())
}

fn encode_numbers<W: Write, const N: usize>(to: &mut W, numbers: [u64; N]) -> Result<usize, io::Error> {
    for number in numbers {
        to.write_all(&number.to_be_bytes())?;
    }
    Ok(N * 8)
}

fn decode_numbers<R: Read, const N: usize>(from: &mut R) -> Result<[u64; N], io::Error> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        *number = u64::from_be_bytes(bytes);
    }
    Ok(numbers)
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Peer;
    use std::collections::{BTreeMap, BTreeSet};

    fn bytes(value: &impl Encode) -> Vec<u8> {
        let mut out = Vec::new();
        let n = value.encode(&mut out).expect("a vector takes everything");
        assert_eq!(n, out.len());
        out
    }

    fn log_id() -> LogId {
        LogId::new(LeaderId { term: 2, node_id: 3 }, 4)
    }

    #[test]
    fn the_bytes_of_version_one_stay_as_they_are() {
        let key = bytes(&LogKey(log_id()));
        assert_eq!(key, [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4]);
        let vote = bytes(&LogVote(Vote { leader_id: LeaderId { term: 2, node_id: 3 }, committed: true }));
        assert_eq!(vote, [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 1]);
        assert_eq!(bytes(&LogPayload(EntryPayload::Blank)), [1, 0, 0, 0, 0, 0]);
        let command = LogPayload(EntryPayload::Normal(Command(b"hi".as_slice().into())));
        assert_eq!(bytes(&command), [1, 1, 0, 0, 0, 2, b'h', b'i']);
        let peer =
            Peer { addr: "127.0.0.1:9103".parse().expect("an address"), az: "az-a".parse().expect("an AZ"), life: 300 };
        let membership =
            Membership::new(vec![BTreeSet::from([1])], BTreeMap::from([(1, peer)])).expect("a group of one");
        let golden = hex("0102000000130101010101007f0000018f4704617a2d61ac02");
        assert_eq!(bytes(&LogPayload(EntryPayload::Membership(membership.clone()))), golden);
        let read = LogPayload::decode(golden.as_slice()).expect("version one");
        assert_eq!(read.0, EntryPayload::Membership(membership));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (what, damage) in [
            ("version", vec![9, 0, 0, 0, 0, 0]),
            ("kind", vec![1, 9, 0, 0, 0, 0]),
            ("length", vec![1, 1, 255, 0, 0, 0]),
            ("cut off", vec![1, 1, 0, 0, 0, 3, 1]),
        ] {
            assert!(LogPayload::decode(damage.as_slice()).is_err(), "{what} was accepted");
        }
    }

    #[test]
    fn every_record_comes_back() {
        assert_eq!(LogKey::decode(bytes(&LogKey(log_id())).as_slice()).expect("a key"), LogKey(log_id()));
        let vote = LogVote(Vote { leader_id: LeaderId { term: 9, node_id: 1 }, committed: false });
        assert_eq!(LogVote::decode(bytes(&vote).as_slice()).expect("a vote"), vote);
        let payload = LogPayload(EntryPayload::Normal(Command(vec![7; 4096].into())));
        assert_eq!(LogPayload::decode(bytes(&payload).as_slice()).expect("a payload").0, payload.0);
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
    }
}
