//! The checksums S3 knows: computing them, and what they are called.

use crate::meta::record::{ChecksumAlgorithm, ChecksumKind};

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
