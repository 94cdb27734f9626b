//! Finds the whole records of an extent that has no valid footer: it was being written when its process died, or its footer is damaged.
//!
//! Every record's payload is verified. A page that begins no record is skipped, not taken for the end, so a damaged record costs itself
//! and not those behind it. What follows the last whole record is a torn tail: it was never acknowledged, or it is damaged.

use crate::chunks::{
    disk::DiskFile,
    format::{
        FooterEntry, PAGE_BYTES, RECORD_HEAD_BYTES, RecordHead, decode_table, head_and_table_bytes, record_bytes,
    },
    payload::Payload,
};
use bytes::Bytes;
use std::io;

/// Read at a time while looking for records.
const WINDOW_BYTES: u64 = 1 << 20;

/// What an extent without a footer holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The whole records, in their order.
    pub entries: Vec<FooterEntry>,
    /// Heads whose payload did not match, or could not be read.
    pub damaged: usize,
    /// Behind everything that is not zero: here a footer may be written without overwriting anything.
    pub end: u64,
}

/// Reads the records of the file, which begin with heads of this `nonce`.
///
/// # Errors
/// When the file's length cannot be read. A page that cannot be read is damaged, not an error.
pub fn scan(file: &dyn DiskFile, nonce: u64) -> io::Result<Scanned> {
    let len = file.len()?;
    let mut window = Window { file, len, start: 0, bytes: Vec::new() };
    let mut found = Scanned { end: PAGE_BYTES, ..Scanned::default() };
    let mut offset = PAGE_BYTES;
    while offset + PAGE_BYTES <= len {
        let Some(page) = window.at(offset, PAGE_BYTES) else {
            (found.damaged, offset) = (found.damaged + 1, offset + PAGE_BYTES);
            found.end = offset;
            continue;
        };
        let Ok(head) = RecordHead::decode(page, nonce, offset) else {
            let blank = page.iter().all(|byte| *byte == 0);
            offset += PAGE_BYTES;
            found.end = if blank { found.end } else { offset };
            continue;
        };
        if window.at(offset, record_bytes(head.len)).is_some_and(|record| is_whole(record, &head)) {
            found.entries.push(FooterEntry { head, offset });
        } else {
            found.damaged += 1;
        }
        offset += record_bytes(head.len);
        found.end = offset;
    }
    Ok(found)
}

fn is_whole(record: &[u8], head: &RecordHead) -> bool {
    let payload_at = head_and_table_bytes(head.len);
    let Some(payload) = record.get(payload_at..payload_at + head.len as usize) else { return false };
    decode_table(&record[RECORD_HEAD_BYTES..payload_at], head.table_crc)
        .is_ok_and(|crcs| Payload::verify(Bytes::copy_from_slice(payload), crcs).is_ok())
}

struct Window<'a> {
    file: &'a dyn DiskFile,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `len` bytes at `offset`, or `None` when the file ends before or they cannot be read.
    fn at(&mut self, offset: u64, len: u64) -> Option<&[u8]> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len)?;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            self.bytes.clear();
            self.start = offset;
            let wanted = len.max(WINDOW_BYTES).min(self.len - offset);
            if self.file.read_at(&mut self.bytes, usize::try_from(wanted).ok()?, offset).is_err() {
                // Perhaps only a part that is not asked for is bad.
                self.bytes.clear();
                if self.file.read_at(&mut self.bytes, usize::try_from(len).ok()?, offset).is_err() {
                    self.bytes.clear();
                    return None;
                }
            }
        }
        let from = usize::try_from(offset - self.start).ok()?;
        self.bytes.get(from..from + usize::try_from(len).ok()?)
    }
}
