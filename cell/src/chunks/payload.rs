//! A chunk's bytes together with the CRC32C of each 64 KiB block.
//!
//! The CRCs are computed once, where the bytes enter the cell. They travel with the chunk to every replica, are verified before it is
//! written there, lie beside it on disk, and are verified again before any of its bytes leave. Bytes are shared, never copied.

use bulkhead_model::AccountId;
use bytes::Bytes;
use std::{ops::Range, sync::Arc};

use crate::chunks::ChunkId;

/// What one CRC covers. Part of the on-disk format and of the peer protocol.
pub const BLOCK_BYTES: usize = 64 << 10;

/// The bytes are not those the CRCs were computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block {block} does not match its CRC32C")]
pub struct BadBlock {
    pub block: usize,
}

/// Bytes that match their CRCs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    data: Bytes,
    crcs: Arc<[u32]>,
}

impl Payload {
    /// Computes the CRCs of `data`. Only where bytes enter the cell: afterwards they are verified, never computed anew.
    pub fn seal(data: Bytes) -> Self {
        let crcs = data.chunks(BLOCK_BYTES).map(crc_fast::crc32_iscsi).collect();
        Self { data, crcs }
    }

    /// Takes bytes and CRCs that came from elsewhere.
    ///
    /// # Errors
    /// [`BadBlock`] names the first block that does not match; a block without a CRC, or a CRC without a block, does not match.
    pub fn verify(data: Bytes, crcs: impl Into<Arc<[u32]>>) -> Result<Self, BadBlock> {
        let crcs = crcs.into();
        check(&data, &crcs)?;
        Ok(Self { data, crcs })
    }

    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// One CRC32C per block.
    pub fn crcs(&self) -> &[u32] {
        &self.crcs
    }
}

/// Whether `data` matches its CRCs.
///
/// # Errors
/// [`BadBlock`] names the first block that does not.
pub fn check(data: &[u8], crcs: &[u32]) -> Result<(), BadBlock> {
    let blocks = data.len().div_ceil(BLOCK_BYTES);
    if blocks != crcs.len() {
        return Err(BadBlock { block: blocks.min(crcs.len()) });
    }
    let matches = |(block, crc): (&[u8], &u32)| crc_fast::crc32_iscsi(block) == *crc;
    let bad = data.chunks(BLOCK_BYTES).zip(crcs).position(|pair| !matches(pair));
    bad.map_or(Ok(()), |block| Err(BadBlock { block }))
}

/// A chunk on its way to a disk.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub id: ChunkId,
    pub account: AccountId,
    pub payload: Payload,
}

/// Whole blocks of a chunk on their way to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// Where in the chunk they begin, bytes: a multiple of [`BLOCK_BYTES`].
    pub start: u32,
    pub payload: Payload,
}

impl Blocks {
    /// The bytes `range` of the chunk, if these blocks cover it.
    pub fn cut(&self, range: &Range<u32>) -> Option<Bytes> {
        let from = range.start.checked_sub(self.start)? as usize;
        let to = range.end.checked_sub(self.start)? as usize;
        (from <= to && to <= self.payload.data.len()).then(|| self.payload.data.slice(from..to))
    }
}

/// The blocks that cover bytes `range`, by number.
pub fn covering(range: &Range<u32>) -> Range<usize> {
    range.start as usize / BLOCK_BYTES..(range.end as usize).div_ceil(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_names_its_block() {
        let good = Payload::seal(Bytes::from(vec![7; BLOCK_BYTES * 2 + 5]));
        let mut bad = good.data().to_vec();
        bad[BLOCK_BYTES * 2 + 1] ^= 4;
        assert_eq!(Payload::verify(bad.into(), good.crcs()), Err(BadBlock { block: 2 }));
        assert_eq!(Payload::verify(good.data().clone(), good.crcs()), Ok(good));
    }

    #[test]
    fn a_missing_or_additional_crc_does_not_match() {
        let payload = Payload::seal(Bytes::from(vec![7; BLOCK_BYTES + 1]));
        assert!(Payload::verify(payload.data().clone(), &payload.crcs()[..1]).is_err());
        assert!(Payload::verify(payload.data().slice(..BLOCK_BYTES), payload.crcs()).is_err());
    }

    #[test]
    fn a_range_is_covered_by_whole_blocks() {
        const BLOCK: u32 = 64 << 10;
        for (range, blocks) in [(0..1, 0..1), (0..BLOCK, 0..1), (0..BLOCK + 1, 0..2), (BLOCK..BLOCK * 2, 1..2)] {
            assert_eq!(covering(&range), blocks, "{range:?}");
        }
    }
}
