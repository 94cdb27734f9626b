//! The first page of an extent, and its footer: what a sealed extent holds, without reading it.

use super::{
    FORMAT_VERSION, FormatError, HEAD_BYTES, PAGE_BYTES, RecordHead, close_head, open_head, pages, record_bytes,
    u32_at, u64_at, u128_at,
};
use crate::{chunks::ChunkId, limits::CHUNK_BYTES_MAX};
use bulkhead_model::{AccountId, NodeId};

const HEADER_MAGIC: &[u8; 8] = b"BHEXTENT";
const TRAILER_MAGIC: &[u8; 8] = b"BHFOOTER";
const VERSION_AT: usize = 8;
const ENTRY_BYTES: usize = 44;

/// The head of the first page.
///
/// | at | bytes | field | | at | bytes | field |
/// |---|---|---|---|---|---|---|
/// | 0 | 8 | `BHEXTENT` | | 24 | 8 | number of the extent |
/// | 8 | 2 | version | | 32 | 8 | nonce |
/// | 10 | 6 | zero | | 40 | 20 | zero |
/// | 16 | 8 | node | | 60 | 4 | CRC32C of bytes 0 to 60 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtentHeader {
    pub node: NodeId,
    pub extent: u32,
    pub nonce: u64,
}

impl ExtentHeader {
    /// The whole first page.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(HEADER_MAGIC);
        head[VERSION_AT..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        head[16..24].copy_from_slice(&self.node.0.to_le_bytes());
        head[24..32].copy_from_slice(&u64::from(self.extent).to_le_bytes());
        head[32..40].copy_from_slice(&self.nonce.to_le_bytes());
        one_page(close_head(head))
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// [`FormatError`] says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let head = open_head(bytes, HEADER_MAGIC, VERSION_AT)?;
        Ok(Self {
            node: NodeId(u64_at(head, 16)?),
            extent: u64_at(head, 24)?.try_into().map_err(|_| FormatError::Field("the number of the extent"))?,
            nonce: u64_at(head, 32)?,
        })
    }
}

/// One record of a sealed extent: 44 bytes (blob, index, length, account, offset, CRC of the CRC table).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FooterEntry {
    pub head: RecordHead,
    /// Of the record's head in the extent.
    pub offset: u64,
}

/// The last page of a sealed extent: it says where the entries are.
///
/// | at | bytes | field | | at | bytes | field |
/// |---|---|---|---|---|---|---|
/// | 0 | 8 | `BHFOOTER` | | 24 | 8 | offset of the entries |
/// | 8 | 2 | version | | 32 | 4 | CRC32C of the entries |
/// | 10 | 2 | zero | | 36 | 24 | zero |
/// | 12 | 4 | number of entries | | 60 | 4 | CRC32C of bytes 0 to 60 |
/// | 16 | 8 | nonce | | | | |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    pub nonce: u64,
    pub entries: u32,
    pub entries_offset: u64,
    pub entries_crc: u32,
}

impl Trailer {
    fn encode(&self) -> Vec<u8> {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(TRAILER_MAGIC);
        head[VERSION_AT..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&self.entries.to_le_bytes());
        head[16..24].copy_from_slice(&self.nonce.to_le_bytes());
        head[24..32].copy_from_slice(&self.entries_offset.to_le_bytes());
        head[32..36].copy_from_slice(&self.entries_crc.to_le_bytes());
        one_page(close_head(head))
    }

    /// Reads the trailer at the start of `page`, which was read at `offset`: the entries must lie right before it.
    ///
    /// # Errors
    /// [`FormatError::Misplaced`] when they do not.
    pub fn decode(page: &[u8], offset: u64) -> Result<Self, FormatError> {
        let head = open_head(page, TRAILER_MAGIC, VERSION_AT)?;
        let trailer = Self {
            nonce: u64_at(head, 16)?,
            entries: u32_at(head, 12)?,
            entries_offset: u64_at(head, 24)?,
            entries_crc: u32_at(head, 32)?,
        };
        if trailer.entries_offset.checked_add(pages(trailer.entries_bytes())) != Some(offset) {
            return Err(FormatError::Misplaced);
        }
        Ok(trailer)
    }

    /// Length of the entries, without padding.
    pub fn entries_bytes(&self) -> u64 {
        u64::from(self.entries) * ENTRY_BYTES as u64
    }
}

/// What the footer of `entries` records takes, padding and trailer included.
pub fn footer_bytes(entries: usize) -> u64 {
    pages((entries * ENTRY_BYTES) as u64) + PAGE_BYTES
}

/// The footer of an extent with these records, to be written at `offset`.
pub fn encode_footer(entries: &[FooterEntry], nonce: u64, offset: u64) -> Vec<u8> {
    let mut bytes =
        Vec::with_capacity(usize::try_from(footer_bytes(entries.len())).expect("the entries are in memory already"));
    for FooterEntry { head, offset } in entries {
        bytes.extend_from_slice(&head.id.blob.to_le_bytes());
        bytes.extend_from_slice(&head.id.index.to_le_bytes());
        bytes.extend_from_slice(&head.len.to_le_bytes());
        bytes.extend_from_slice(&head.account.value().to_le_bytes());
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&head.table_crc.to_le_bytes());
    }
    let trailer = Trailer {
        nonce,
        entries: u32::try_from(entries.len()).expect("an extent of at most 4 GiB has at most a million pages"),
        entries_offset: offset,
        entries_crc: crc_fast::crc32_iscsi(&bytes),
    };
    bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES as usize), 0);
    bytes.extend_from_slice(&trailer.encode());
    bytes
}

/// The entries that `trailer` announces.
///
/// # Errors
/// When they do not match its checksum, or name a record that cannot lie in front of them.
pub fn decode_entries(bytes: &[u8], trailer: &Trailer) -> Result<Vec<FooterEntry>, FormatError> {
    if bytes.len() as u64 != trailer.entries_bytes() {
        return Err(FormatError::Truncated);
    }
    if crc_fast::crc32_iscsi(bytes) != trailer.entries_crc {
        return Err(FormatError::Checksum);
    }
    bytes.chunks(ENTRY_BYTES).map(|entry| decode_entry(entry, trailer.entries_offset)).collect()
}

fn decode_entry(bytes: &[u8], end: u64) -> Result<FooterEntry, FormatError> {
    let (len, offset) = (u32_at(bytes, 20)?, u64_at(bytes, 32)?);
    if len == 0 || len > CHUNK_BYTES_MAX {
        return Err(FormatError::Field("the payload length"));
    }
    let fits = offset.checked_add(record_bytes(len)).is_some_and(|record_end| record_end <= end);
    if offset < PAGE_BYTES || !offset.is_multiple_of(PAGE_BYTES) || !fits {
        return Err(FormatError::Field("the offset"));
    }
    let head = RecordHead {
        id: ChunkId { blob: u128_at(bytes, 0)?, index: u32_at(bytes, 16)? },
        account: AccountId::new(u64_at(bytes, 24)?).map_err(|_| FormatError::Field("the account"))?,
        len,
        table_crc: u32_at(bytes, 40)?,
    };
    Ok(FooterEntry { head, offset })
}

fn one_page(head: [u8; HEAD_BYTES]) -> Vec<u8> {
    let mut page = head.to_vec();
    page.resize(PAGE_BYTES as usize, 0);
    page
}
