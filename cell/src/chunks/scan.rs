//! Finds the whole records of an extent that has no valid footer: it was being written when its process died, or its footer is damaged.
//!
//! Every record's payload is verified. A page that begins no record is skipped, not taken for the end, so a damaged record costs itself
//! and not those behind it. What follows the last whole record is a torn tail: it was never acknowledged, or it is damaged.

use crate::chunks::{
    disk::DiskFile,
    format::{
        FooterEntry, PAGE_BYTES, RECORD_HEAD_BYTES, RecordHead, decode_table, head_and_table_bytes, record_bytes,
    },
    payload::check,
};
use std::io;

/// Read at a time while looking for records.
const WINDOW_BYTES: u64 = 1 << 20;

/// What an extent without a footer holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The whole records, in their order.
    pub entries: Vec<FooterEntry>,
    /// Heads whose payload does not match.
    pub damaged: usize,
    /// Pages and records the disk refused to read. They may be whole: a footer without them would lose them.
    pub unreadable: usize,
    /// Behind everything that is not zero: here a footer may be written without overwriting anything.
    pub end: u64,
    /// Of the file.
    pub len: u64,
}

/// Reads the records of the file, which begin with heads of this `nonce`.
///
/// # Errors
/// When the file's length cannot be read.
pub fn scan(file: &dyn DiskFile, nonce: u64) -> io::Result<Scanned> {
    let len = file.len()?;
    let mut window = Window { file, len, start: 0, bytes: Vec::new() };
    let mut found = Scanned { end: PAGE_BYTES, len, ..Scanned::default() };
    let mut offset = PAGE_BYTES;
    while offset + PAGE_BYTES <= len {
        let (taken, blank) = match window.at(offset, PAGE_BYTES) {
            Err(_) => {
                found.unreadable += 1;
                (PAGE_BYTES, false)
            }
            Ok(page) => match RecordHead::decode(page, nonce, offset) {
                Ok(head) => {
                    let record = window.at(offset, record_bytes(head.len).min(len - offset));
                    found.note(FooterEntry { head, offset }, record);
                    (record_bytes(head.len), false)
                }
                Err(_) => (PAGE_BYTES, page.iter().all(|byte| *byte == 0)),
            },
        };
        offset += taken;
        found.end = if blank { found.end } else { offset };
    }
    Ok(found)
}

impl Scanned {
    fn note(&mut self, entry: FooterEntry, record: io::Result<&[u8]>) {
        match record {
            Ok(record) if is_whole(record, &entry.head) => self.entries.push(entry),
            Ok(_) => self.damaged += 1,
            Err(_) => self.unreadable += 1,
        }
    }
}

fn is_whole(record: &[u8], head: &RecordHead) -> bool {
    let payload_at = head_and_table_bytes(head.len);
    let Some(payload) = record.get(payload_at..payload_at + head.len as usize) else { return false };
    let crcs = decode_table(&record[RECORD_HEAD_BYTES..payload_at], head.table_crc);
    crcs.is_ok_and(|crcs| check(payload, &crcs).is_ok())
}

struct Window<'a> {
    file: &'a dyn DiskFile,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `len` bytes at `offset`, which lie within the file.
    fn at(&mut self, offset: u64, len: u64) -> io::Result<&[u8]> {
        if offset < self.start || offset + len > self.start + self.bytes.len() as u64 {
            // When the window cannot be read, perhaps only a part of it is bad that is not asked for.
            self.fill(offset, len.max(WINDOW_BYTES).min(self.len - offset)).or_else(|_| self.fill(offset, len))?;
        }
        let from = length(offset - self.start)?;
        Ok(&self.bytes[from..from + length(len)?])
    }

    fn fill(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.bytes.clear();
        self.start = offset;
        self.file.read_at(&mut self.bytes, length(len)?, offset).inspect_err(|_| self.bytes.clear())
    }
}

fn length(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}
