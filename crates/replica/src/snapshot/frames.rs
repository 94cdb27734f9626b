//! What a checkpoint looks like on its way: a head that lists the files, then every file and its checksum.
//!
//! ```text
//! version (1) | head length (4) | head | file bytes | CRC-64/NVME of them (8) | file bytes | ...
//! ```

use crate::{
    limits::{CHECKPOINT_FILES_MAX, CHECKPOINT_HEAD_BYTES_MAX},
    store::AppliedState,
    types::Vote,
};
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use serde::{Deserialize, Serialize};
use std::io;

/// The version of the whole stream.
pub(super) const VERSION: u8 = 1;
/// Version and head length.
pub(super) const PREFIX_BYTES: usize = 5;

/// What comes, in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub vote: Vote,
    pub applied: AppliedState,
    /// Name and length of each file.
    pub files: Vec<(String, u64)>,
}

impl Head {
    /// With its prefix.
    pub fn encode(&self) -> io::Result<Bytes> {
        let head = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let length = u32::try_from(head.len()).map_err(io::Error::other)?;
        let mut out = vec![VERSION];
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&head);
        Ok(out.into())
    }

    /// The length of the head that follows this prefix.
    pub fn length(prefix: [u8; PREFIX_BYTES]) -> io::Result<usize> {
        let [version, length @ ..] = prefix;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        if version != VERSION {
            return Err(refused(format!("checkpoint stream version {version} is not known here")));
        }
        if length > CHECKPOINT_HEAD_BYTES_MAX {
            return Err(refused(format!("a head of {length} bytes, more than {CHECKPOINT_HEAD_BYTES_MAX}")));
        }
        Ok(length)
    }

    /// Refuses names that would leave the directory.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let head: Self = postcard::from_bytes(bytes).map_err(io::Error::other)?;
        if head.files.len() > CHECKPOINT_FILES_MAX {
            return Err(refused(format!("{} files, more than {CHECKPOINT_FILES_MAX}", head.files.len())));
        }
        match head.files.iter().find(|(name, _)| !is_plain(name)) {
            Some((name, _)) => Err(refused(format!("{name:?} is not a plain file name"))),
            None => Ok(head),
        }
    }
}

/// The checksum of one file.
pub(super) fn checksum() -> Digest {
    Digest::new(CrcAlgorithm::Crc64Nvme)
}

fn is_plain(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

pub(super) fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str) -> Head {
        Head { vote: Vote::new(1, 2), applied: AppliedState::default(), files: vec![(name.into(), 3)] }
    }

    #[test]
    fn a_head_comes_back() {
        let bytes = head("000012.sst").encode().expect("small");
        let prefix = bytes[..PREFIX_BYTES].try_into().expect("five bytes");
        assert_eq!(Head::length(prefix).expect("known"), bytes.len() - PREFIX_BYTES);
        assert_eq!(Head::decode(&bytes[PREFIX_BYTES..]).expect("plain"), head("000012.sst"));
    }

    #[test]
    fn a_name_that_leaves_the_directory_is_refused() {
        for name in ["", ".", "..", "a/b", "../META", "/etc/passwd", ".hidden"] {
            let bytes = head(name).encode().expect("small");
            assert!(Head::decode(&bytes[PREFIX_BYTES..]).is_err(), "{name:?} was accepted");
        }
    }
}
