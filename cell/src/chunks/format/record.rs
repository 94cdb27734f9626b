//! One chunk in an extent: its head, and the table of its blocks' CRCs.

use super::{FORMAT_VERSION, FormatError, HEAD_BYTES, close_head, open_head, pages, u32_at, u64_at, u128_at};
use crate::{
    chunks::{ChunkId, payload::BLOCK_BYTES},
    limits::CHUNK_BYTES_MAX,
};
use bulkhead_model::AccountId;

const MAGIC: &[u8; 4] = b"BHRC";
const VERSION_AT: usize = 4;
/// The head in front of the CRC table.
pub const RECORD_HEAD_BYTES: usize = HEAD_BYTES;

/// What stands in front of a payload.
///
/// | at | bytes | field | | at | bytes | field |
/// |---|---|---|---|---|---|---|
/// | 0 | 4 | `BHRC` | | 32 | 8 | account |
/// | 4 | 2 | version | | 40 | 8 | nonce of the extent |
/// | 6 | 2 | zero | | 48 | 8 | offset of this head |
/// | 8 | 16 | blob | | 56 | 4 | CRC32C of the CRC table |
/// | 24 | 4 | index | | 60 | 4 | CRC32C of bytes 0 to 60 |
/// | 28 | 4 | payload length | | 64 | 4 per block | CRC table |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    pub id: ChunkId,
    pub account: AccountId,
    /// Of the payload, bytes: 1 to [`CHUNK_BYTES_MAX`].
    pub len: u32,
    /// CRC32C of the CRC table: 32 bits that stand for the whole content.
    pub table_crc: u32,
}

impl RecordHead {
    /// The 64 bytes of the head, for a record at `offset` of the extent with this `nonce`.
    pub fn encode(&self, nonce: u64, offset: u64) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(MAGIC);
        head[VERSION_AT..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        head[8..24].copy_from_slice(&self.id.blob.to_le_bytes());
        head[24..28].copy_from_slice(&self.id.index.to_le_bytes());
        head[28..32].copy_from_slice(&self.len.to_le_bytes());
        head[32..40].copy_from_slice(&self.account.value().to_le_bytes());
        head[40..48].copy_from_slice(&nonce.to_le_bytes());
        head[48..56].copy_from_slice(&offset.to_le_bytes());
        head[56..60].copy_from_slice(&self.table_crc.to_le_bytes());
        close_head(head)
    }

    /// Reads the head at the start of `bytes`, which were read at `offset` of the extent with this `nonce`.
    ///
    /// # Errors
    /// [`FormatError::Misplaced`] when it was written for another extent or offset.
    pub fn decode(bytes: &[u8], nonce: u64, offset: u64) -> Result<Self, FormatError> {
        let head = open_head(bytes, MAGIC, VERSION_AT)?;
        if u64_at(head, 40)? != nonce || u64_at(head, 48)? != offset {
            return Err(FormatError::Misplaced);
        }
        let len = u32_at(head, 28)?;
        if len == 0 || len > CHUNK_BYTES_MAX {
            return Err(FormatError::Field("the payload length"));
        }
        Ok(Self {
            id: ChunkId { blob: u128_at(head, 8)?, index: u32_at(head, 24)? },
            account: AccountId::new(u64_at(head, 32)?).map_err(|_| FormatError::Field("the account"))?,
            len,
            table_crc: u32_at(head, 56)?,
        })
    }
}

/// The head and the CRC table of a payload of `len` bytes.
pub fn head_and_table_bytes(len: u32) -> usize {
    RECORD_HEAD_BYTES + (len as usize).div_ceil(BLOCK_BYTES) * 4
}

/// What a record with a payload of `len` bytes takes of an extent, padding included.
pub fn record_bytes(len: u32) -> u64 {
    pages(head_and_table_bytes(len) as u64 + u64::from(len))
}

/// The CRC table as it lies behind the head.
pub fn encode_table(crcs: &[u32]) -> Vec<u8> {
    crcs.iter().flat_map(|crc| crc.to_le_bytes()).collect()
}

/// The CRCs of a table whose own CRC is `table_crc`.
///
/// # Errors
/// [`FormatError::Checksum`] when it is not.
pub fn decode_table(table: &[u8], table_crc: u32) -> Result<Vec<u32>, FormatError> {
    if crc_fast::crc32_iscsi(table) != table_crc {
        return Err(FormatError::Checksum);
    }
    (0..table.len() / 4).map(|block| u32_at(table, block * 4)).collect()
}
