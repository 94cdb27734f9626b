//! The bytes of an extent file: a header page, records, and when it is sealed a footer. All numbers are little-endian.
//!
//! ```text
//! header page │ record │ record │ … │ footer entries │ trailer page
//! record = 64-byte head │ CRC32C of each 64 KiB block │ payload │ zeros up to a page
//! ```
//! - Every part begins on a page (4 KiB): a page that holds acknowledged bytes is never written again.
//! - The extent's nonce is random and stands in every part. A head counts only with the extent's nonce and at the offset it names, so
//!   neither stale bytes, nor a write that went astray, nor a tenant's data that imitates a record is ever taken for one.
//! - Decoding takes any bytes and never panics. Sizes are checked against [`crate::limits::CHUNK_BYTES_MAX`] before they are believed.

mod extent;
mod record;

#[cfg(test)]
mod tests;

pub use extent::{ExtentHeader, FooterEntry, Trailer, decode_entries, encode_footer, footer_bytes};
pub use record::{RECORD_HEAD_BYTES, RecordHead, decode_table, encode_table, head_and_table_bytes, record_bytes};

/// What the parts of an extent are aligned to.
pub const PAGE_BYTES: u64 = 4 << 10;
/// The version this build writes, and the newest it reads.
pub const FORMAT_VERSION: u16 = 1;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("too few bytes")]
    Truncated,
    #[error("the magic number is missing")]
    Magic,
    #[error("the checksum does not match")]
    Checksum,
    #[error("format version {0} is newer than this build")]
    Version(u16),
    #[error("written for another place")]
    Misplaced,
    #[error("{0} is out of bounds")]
    Field(&'static str),
}

/// `bytes` rounded up to whole pages.
pub fn pages(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE_BYTES)
}

/// `N` bytes at `at`.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], FormatError> {
    bytes.get(at..at + N).and_then(|slice| slice.try_into().ok()).ok_or(FormatError::Truncated)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, FormatError> {
    field(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, FormatError> {
    field(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, FormatError> {
    field(bytes, at).map(u64::from_le_bytes)
}

fn u128_at(bytes: &[u8], at: usize) -> Result<u128, FormatError> {
    field(bytes, at).map(u128::from_le_bytes)
}

/// Every head is 64 bytes that end in the CRC32C of the first 60.
const HEAD_BYTES: usize = 64;
const HEAD_CRC_AT: usize = HEAD_BYTES - 4;

fn close_head(mut head: [u8; HEAD_BYTES]) -> [u8; HEAD_BYTES] {
    let crc = crc_fast::crc32_iscsi(&head[..HEAD_CRC_AT]);
    head[HEAD_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Checks magic, checksum and version, in this order, of the 64 bytes at the start of `bytes`.
fn open_head<'a>(bytes: &'a [u8], magic: &[u8], version_at: usize) -> Result<&'a [u8], FormatError> {
    let head = bytes.get(..HEAD_BYTES).ok_or(FormatError::Truncated)?;
    if !head.starts_with(magic) {
        return Err(FormatError::Magic);
    }
    if crc_fast::crc32_iscsi(&head[..HEAD_CRC_AT]) != u32_at(head, HEAD_CRC_AT)? {
        return Err(FormatError::Checksum);
    }
    match u16_at(head, version_at)? {
        1..=FORMAT_VERSION => Ok(head),
        other => Err(FormatError::Version(other)),
    }
}
