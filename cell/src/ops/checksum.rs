//! The checksums S3 knows: computing them, and what they are called.

use crate::meta::record::{Checksum, ChecksumAlgorithm, ChecksumKind};
use crc_fast::CrcAlgorithm;
use sha1::Digest as _;

/// The algorithm's name in S3's headers and documents.
pub fn name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

/// Bytes of a value.
pub fn value_len(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

/// The kind a multipart upload gets when the client names none.
pub fn default_kind(algorithm: ChecksumAlgorithm) -> ChecksumKind {
    match algorithm {
        ChecksumAlgorithm::Crc64Nvme => ChecksumKind::FullObject,
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c | ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => {
            ChecksumKind::Composite
        }
    }
}

/// Whether a multipart object's checksum of this algorithm can be of this kind: only CRCs can be combined from their parts',
/// and CRC64NVME is never composite.
pub fn allows(algorithm: ChecksumAlgorithm, kind: ChecksumKind) -> bool {
    match (algorithm, kind) {
        (ChecksumAlgorithm::Crc64Nvme, ChecksumKind::Composite)
        | (ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256, ChecksumKind::FullObject) => false,
        (ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c, ChecksumKind::Composite | ChecksumKind::FullObject)
        | (ChecksumAlgorithm::Crc64Nvme, ChecksumKind::FullObject)
        | (ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256, ChecksumKind::Composite) => true,
    }
}

/// A checksum being computed.
pub struct Hasher {
    algorithm: ChecksumAlgorithm,
    state: State,
}

enum State {
    Crc(crc_fast::Digest),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// Of no bytes yet.
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        let state = match algorithm {
            ChecksumAlgorithm::Crc32 => State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc)),
            ChecksumAlgorithm::Crc32c => State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi)),
            ChecksumAlgorithm::Crc64Nvme => State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme)),
            ChecksumAlgorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            ChecksumAlgorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
        };
        Self { algorithm, state }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(crc) => crc.update(bytes),
            State::Sha1(sha) => sha.update(bytes),
            State::Sha256(sha) => sha.update(bytes),
        }
    }

    /// The checksum of all bytes added, as one over a whole object.
    pub fn finish(self) -> Checksum {
        let value = match self.state {
            State::Crc(crc) => crc.finalize().to_be_bytes()[8 - value_len(self.algorithm)..].to_vec(),
            State::Sha1(sha) => sha.finalize().to_vec(),
            State::Sha256(sha) => sha.finalize().to_vec(),
        };
        Checksum { algorithm: self.algorithm, kind: ChecksumKind::FullObject, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of CRC algorithms, and of FIPS 180, for `123456789` and `abc`.
    #[test]
    fn published_check_values() {
        for (algorithm, text, expected) in [
            (ChecksumAlgorithm::Crc32, "123456789", "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "123456789", "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "123456789", "ae8b14860a799888"),
            (ChecksumAlgorithm::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (ChecksumAlgorithm::Sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            let mut hasher = Hasher::new(algorithm);
            let (head, tail) = text.split_at(2);
            hasher.update(head.as_bytes());
            hasher.update(tail.as_bytes());
            let checksum = hasher.finish();
            assert_eq!(hex::encode(&checksum.value), expected, "{}", name(algorithm));
            assert_eq!(checksum.value.len(), value_len(algorithm));
        }
    }

    #[test]
    fn every_default_kind_is_allowed() {
        for algorithm in [
            ChecksumAlgorithm::Crc32,
            ChecksumAlgorithm::Crc32c,
            ChecksumAlgorithm::Crc64Nvme,
            ChecksumAlgorithm::Sha1,
            ChecksumAlgorithm::Sha256,
        ] {
            assert!(allows(algorithm, default_kind(algorithm)));
        }
    }
}
