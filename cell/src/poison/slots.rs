//! What is in flight, in a file that outlives the process: one slot for each request, written before it is executed and cleared
//! after it.
//!
//! Not synced: it is read after the process has died, not the machine. One write of less than a hundred bytes each way.
//!
//! ```text
//!  slot: sequence (0 = free) · account · exact · kind · operation (32 bytes, padded with 0) · check of all before
//! ```

use super::shape::Shape;
use crate::limits::NOTED_REQUESTS_MAX;
use bulkhead_model::AccountId;
use parking_lot::Mutex;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const NUMBERS: usize = 4;
const OPERATION_BYTES: usize = 32;
const SLOT_BYTES: usize = (NUMBERS + 1) * 8 + OPERATION_BYTES;

/// The slots of this process.
pub struct Slots {
    file: File,
    free: Mutex<Vec<u16>>,
    sequence: AtomicU64,
}

/// A request that is noted. Dropping it clears its slot.
pub struct Noted {
    slots: Arc<Slots>,
    slot: u16,
}

impl Slots {
    /// Reads what the last process left, the request that began last first, and begins anew with empty slots.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Shape>)> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.by_ref().take((NOTED_REQUESTS_MAX * SLOT_BYTES) as u64).read_to_end(&mut bytes)?;
        let mut left: Vec<(u64, Shape)> = bytes.chunks(SLOT_BYTES).filter_map(decode).collect();
        left.sort_by_key(|(sequence, _)| std::cmp::Reverse(*sequence));
        file.write_all_at(&vec![0; NOTED_REQUESTS_MAX * SLOT_BYTES], 0)?;
        let free = (0..u16::try_from(NOTED_REQUESTS_MAX).unwrap_or(u16::MAX)).rev().collect();
        let slots = Self { file, free: Mutex::new(free), sequence: AtomicU64::new(1) };
        Ok((slots, left.into_iter().map(|(_, shape)| shape).collect()))
    }

    /// Notes a request. `None` when all slots are taken, or the file cannot be written: the request goes on without.
    pub fn note(self: &Arc<Self>, shape: &Shape) -> Option<Noted> {
        let slot = self.free.lock().pop()?;
        let noted = Noted { slots: Arc::clone(self), slot };
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        match self.file.write_all_at(&encode(sequence, shape), offset(slot)) {
            Ok(()) => Some(noted),
            Err(error) => {
                metrics::counter!("poison_slots_unwritable_total").increment(1);
                tracing::debug!(%error, "a request in flight is not noted");
                None
            }
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        // A slot that cannot be cleared is not used again: it would blame a request that has ended.
        if self.slots.file.write_all_at(&[0; 8], offset(self.slot)).is_ok() {
            self.slots.free.lock().push(self.slot);
        }
    }
}

fn offset(slot: u16) -> u64 {
    u64::from(slot) * SLOT_BYTES as u64
}

fn encode(sequence: u64, shape: &Shape) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    let numbers = [sequence, shape.account.value(), shape.exact, shape.kind];
    for (place, number) in bytes.chunks_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    let operation = &shape.operation.as_bytes()[..shape.operation.len().min(OPERATION_BYTES)];
    bytes[NUMBERS * 8..][..operation.len()].copy_from_slice(operation);
    let check = check(&bytes);
    bytes[SLOT_BYTES - 8..].copy_from_slice(&check.to_be_bytes());
    bytes
}

/// What a slot holds; nothing when it is free, or torn.
fn decode(bytes: &[u8]) -> Option<(u64, Shape)> {
    let bytes: &[u8; SLOT_BYTES] = bytes.try_into().ok()?;
    let number = |at: usize| bytes[at * 8..].first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    let stated = bytes.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
    let sequence = number(0).filter(|sequence| *sequence > 0)?;
    if stated != Some(check(bytes)) {
        return None;
    }
    let operation = bytes[NUMBERS * 8..][..OPERATION_BYTES].split(|byte| *byte == 0).next().unwrap_or_default();
    let operation = std::str::from_utf8(operation).ok()?.to_owned();
    let (account, exact, kind) = (AccountId::new(number(1)?).ok()?, number(2)?, number(3)?);
    Some((sequence, Shape { account, operation, exact, kind }))
}

/// Of everything before it. Against torn writes, not against anyone.
fn check(bytes: &[u8; SLOT_BYTES]) -> u64 {
    let fold = |sum: u64, word: &[u8]| {
        let word = word.first_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word));
        (sum ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23)
    };
    bytes[..SLOT_BYTES - 8].chunks(8).fold(0xCBF2_9CE4_8422_2325, fold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn shape(n: u64) -> Shape {
        let account = AccountId::new(AccountId::FIRST + n).expect("in range");
        Shape { account, operation: "GetBucketLifecycleConfiguration".into(), exact: n, kind: n + 1 }
    }

    fn open(dir: &TempDir) -> (Arc<Slots>, Vec<Shape>) {
        let (slots, left) = Slots::open(&dir.path().join("in-flight")).expect("writable");
        (Arc::new(slots), left)
    }

    #[test]
    fn what_was_in_flight_is_found_by_the_next_process_the_latest_first_and_once() {
        let dir = TempDir::new().expect("a temporary directory");
        let (slots, left) = open(&dir);
        assert_eq!(left, []);
        let (first, ended, last) = (slots.note(&shape(1)), slots.note(&shape(2)), slots.note(&shape(3)));
        drop(ended);
        // The process is gone: nothing of it runs.
        let _gone = std::mem::ManuallyDrop::new((first, last));
        assert_eq!(open(&dir).1, [shape(3), shape(1)]);
        assert_eq!(open(&dir).1, [], "it is reported once");
    }

    #[test]
    fn more_requests_than_slots_are_served_without_and_a_slot_comes_back() {
        let dir = TempDir::new().expect("a temporary directory");
        let (slots, _) = open(&dir);
        let mut all: Vec<Noted> = (0..NOTED_REQUESTS_MAX as u64).filter_map(|n| slots.note(&shape(n))).collect();
        assert_eq!(all.len(), NOTED_REQUESTS_MAX);
        assert!(slots.note(&shape(7)).is_none());
        all.pop();
        assert!(slots.note(&shape(7)).is_some());
    }

    #[test]
    fn a_torn_or_foreign_slot_is_passed_over() {
        let whole = encode(5, &shape(1));
        assert_eq!(decode(&whole), Some((5, shape(1))));
        for at in 0..SLOT_BYTES {
            let mut torn = whole;
            torn[at] ^= 1;
            assert_eq!(decode(&torn), None, "byte {at}");
        }
        assert_eq!(decode(&whole[1..]), None);
        assert_eq!(decode(&[0; SLOT_BYTES]), None);
    }
}
