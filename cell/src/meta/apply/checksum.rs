//! The checksum of an object made of parts, from the parts' checksums alone. Pure.

use crate::meta::{
    command::Refusal,
    record::{Checksum, ChecksumAlgorithm, ChecksumKind, Part},
};
use crc_fast::CrcAlgorithm;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The checksum of the object that `parts` make, in order; `None` when the upload has no algorithm, or one that cannot be
/// combined over the whole object. Every part must have one of the upload's algorithm.
pub(super) fn of_parts(
    wanted: Option<(ChecksumAlgorithm, ChecksumKind)>,
    parts: &[(u16, Part)],
) -> Result<Option<Checksum>, Refusal> {
    let Some((algorithm, kind)) = wanted else { return Ok(None) };
    let mut values = Vec::with_capacity(parts.len());
    for (number, part) in parts {
        let own = part.checksum.as_ref().filter(|own| own.algorithm == algorithm);
        let own = own.ok_or(Refusal::InvalidPart { number: *number })?;
        values.push((own.value.as_slice(), part.len));
    }
    let value = match kind {
        ChecksumKind::Composite => Some(composite(algorithm, &values)),
        ChecksumKind::FullObject => full_object(algorithm, &values),
    };
    Ok(value.map(|value| Checksum { algorithm, kind, value }))
}

/// The algorithm over the parts' checksums, one after the other.
fn composite(algorithm: ChecksumAlgorithm, parts: &[(&[u8], u64)]) -> Vec<u8> {
    let joined = parts.iter().flat_map(|(value, _)| value.iter().copied()).collect::<Vec<u8>>();
    match crc(algorithm) {
        Ok((crc, width)) => big_endian(crc_fast::checksum(crc, &joined), width),
        Err(Sha::One) => Sha1::digest(&joined).to_vec(),
        Err(Sha::Two56) => Sha256::digest(&joined).to_vec(),
    }
}

/// CRCs of adjacent runs of bytes combine into the CRC of both; hashes do not.
fn full_object(algorithm: ChecksumAlgorithm, parts: &[(&[u8], u64)]) -> Option<Vec<u8>> {
    let (crc, width) = crc(algorithm).ok()?;
    let mut whole: Option<u64> = None;
    for (value, len) in parts {
        let own = value.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        whole = Some(match whole {
            None => own,
            Some(front) if *len == 0 => front,
            Some(front) => crc_fast::checksum_combine(crc, front, own, *len),
        });
    }
    whole.map(|whole| big_endian(whole, width))
}

enum Sha {
    One,
    Two56,
}

/// The CRC and its width in bytes, or the hash it is instead.
fn crc(algorithm: ChecksumAlgorithm) -> Result<(CrcAlgorithm, usize), Sha> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Ok((CrcAlgorithm::Crc32IsoHdlc, 4)),
        ChecksumAlgorithm::Crc32c => Ok((CrcAlgorithm::Crc32Iscsi, 4)),
        ChecksumAlgorithm::Crc64Nvme => Ok((CrcAlgorithm::Crc64Nvme, 8)),
        ChecksumAlgorithm::Sha1 => Err(Sha::One),
        ChecksumAlgorithm::Sha256 => Err(Sha::Two56),
    }
}

fn big_endian(value: u64, width: usize) -> Vec<u8> {
    value.to_be_bytes()[8 - width..].to_vec()
}
