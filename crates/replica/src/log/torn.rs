//! The end of the log after a power failure: a tail that was never synced, of which some sectors reached the disk and others did
//! not, in any order.
//!
//! `raft-log` cuts off a last record that is short, or followed by nothing but zeros; a lost sector with later ones intact is
//! damage to it, and so is a record of which only the beginning is there; the node would never start again. Here these cases
//! are told from damage. A log file only grows, so what was lost reads as zeros. If a whole sector of the first record that
//! does not decode, or that record's whole part of a sector, is zeros, or if there is nothing but zeros from within it to the end
//! of the file, the record is torn: no sync ever covered it, so none covered anything behind it, and nobody was told of any
//! of it. The file is cut there. Everything else stays damage, and stops the node.
//!
//! A tail torn across two files, the newer of which is there while the older lost its end, is not told from damage: such a node
//! must be replaced.
//!
//! The price, which etcd pays alike: a bit that rots in a record of the newest file which holds a whole sector of zeros by
//! itself is taken for a torn one.

use super::LogTypes;
use crate::limits::RAFT_ENTRY_BYTES_MAX;
use raft_log::{ChunkId, Config, Dump, DumpApi, codeq::Span as _};
use std::{
    fs::{self, OpenOptions},
    io,
    sync::Arc,
};

/// What a disk writes whole or not at all. Bytes.
const SECTOR: usize = 512;
/// Kind, log id, and the head of a payload.
const APPEND_HEAD_BYTES: usize = 4 + 24 + 2 + 4;
const CHECKSUM_BYTES: usize = 8;
/// The kind of a record that holds an entry.
const APPEND: u32 = 1;
/// Other records are shorter than this.
const SMALL_RECORD_BYTES: usize = 128;

/// Cuts a torn tail off the newest file. Answers whether there was one.
pub(super) fn cut(config: &Arc<Config>) -> io::Result<bool> {
    let Some((chunk, sound)) = first_damage(config)? else { return Ok(false) };
    let path = config.wal.chunk_path(chunk);
    let bytes = fs::read(&path)?;
    let sound_bytes = usize::try_from(sound).map_err(io::Error::other)?;
    if !is_torn(&bytes, sound_bytes) {
        return Ok(false);
    }
    tracing::warn!(
        path,
        at = sound,
        bytes = bytes.len() - sound_bytes,
        "the log's tail is torn and was never synced: cut off"
    );
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(sound)?;
    file.sync_all()?;
    Ok(true)
}

/// The newest file and the length of its sound part, if it is the only one that is damaged.
fn first_damage(config: &Arc<Config>) -> io::Result<Option<(ChunkId, u64)>> {
    let (mut damaged, mut last, mut sound) = (None, None, 0);
    Dump::<LogTypes>::new(Arc::clone(config))?.write_with(|chunk, _, record| {
        if last != Some(chunk) {
            (last, sound) = (Some(chunk), 0);
        }
        match record {
            // Counted from the beginning of its file.
            Ok((segment, _)) => sound = segment.end().0,
            Err(_) => damaged = damaged.or(Some((chunk, sound))),
        }
        Ok(())
    })?;
    Ok(damaged.filter(|(chunk, _)| last == Some(*chunk)))
}

/// Whether the record that begins at `at` lost a sector.
fn is_torn(file: &[u8], at: usize) -> bool {
    let Some(record) = file.get(at..) else { return false };
    let word = |at: usize| record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let length = match word(0) {
        Some(APPEND) => {
            word(APPEND_HEAD_BYTES - 4).map_or(0, |payload| payload as usize).min(RAFT_ENTRY_BYTES_MAX)
                + APPEND_HEAD_BYTES
                + CHECKSUM_BYTES
        }
        Some(_) | None => SMALL_RECORD_BYTES,
    };
    let (record, behind) = record.split_at(length.min(record.len()));
    // A record ends with its checksum, which is not zero.
    if behind.iter().all(|byte| *byte == 0) && file.ends_with(&[0; CHECKSUM_BYTES]) {
        return true;
    }
    let (first, rest) = record.split_at(record.len().min(SECTOR - at % SECTOR));
    [first].into_iter().chain(rest.chunks(SECTOR)).any(|part| !part.is_empty() && part.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::LogStore,
        types::{Command, Entry, LogId},
    };
    use openraft::{
        EntryPayload,
        entry::RaftEntry as _,
        impls::leader_id_adv::LeaderId,
        storage::{RaftLogStorage as _, RaftLogStorageExt as _},
    };
    use std::{os::unix::fs::FileExt as _, path::Path};
    use tempfile::TempDir;

    /// At 3 KiB each, more than one file of 64 KiB.
    const LAST: u64 = 30;

    async fn open(dir: &Path) -> io::Result<LogStore> {
        LogStore::open(dir, 64 << 10, Box::new(|_| Ok(()))).await
    }

    fn entry(index: u64) -> Entry {
        let id = LogId::new(LeaderId { term: 1, node_id: 1 }, index);
        Entry::new(id, EntryPayload::Normal(Command(vec![7; 3000].into())))
    }

    async fn last(log: &mut LogStore) -> Option<u64> {
        log.get_log_state().await.expect("readable").last_log_id.map(|id| id.index())
    }

    /// Entries for more than one file; then the bytes of the newest from `before_end` before its end on are changed.
    async fn damaged(dir: &Path, before_end: u64, bytes: &[u8]) {
        let mut log = open(dir).await.expect("a log");
        log.blocking_append((1..=LAST).map(entry)).await.expect("appended");
        drop(log);
        let files = crate::store::files::children(dir).expect("listable");
        let logs = || files.iter().filter(|path| path.extension().is_some_and(|e| e == "wal"));
        assert!(logs().count() > 1, "one file only");
        let newest = files.iter().rfind(|path| path.extension().is_some_and(|e| e == "wal")).expect("a log file");
        let file = OpenOptions::new().write(true).open(newest).expect("writable");
        let end = file.metadata().expect("a length").len();
        file.write_all_at(bytes, (end - before_end) / SECTOR as u64 * SECTOR as u64).expect("writable");
    }

    #[tokio::test]
    async fn a_record_that_lost_a_sector_is_cut_off_with_all_behind_it_and_the_log_goes_on() {
        // Of the last record a middle sector; of the one before it a sector, with the last intact behind it.
        for (before_end, left) in [(2000, LAST - 1), (5000, LAST - 2)] {
            let dir = TempDir::new().expect("a directory");
            damaged(dir.path(), before_end, &[0; SECTOR]).await;
            let mut log = open(dir.path()).await.expect("a torn tail is no damage");
            assert_eq!(last(&mut log).await, Some(left));
            log.blocking_append([entry(left + 1)]).await.expect("appended");
            drop(log);
            assert_eq!(last(&mut open(dir.path()).await.expect("a log")).await, Some(left + 1));
        }
    }

    #[tokio::test]
    async fn a_changed_byte_is_damage_and_is_never_cut_off() {
        for before_end in [2000, 5000] {
            let dir = TempDir::new().expect("a directory");
            damaged(dir.path(), before_end, &[9]).await;
            assert!(open(dir.path()).await.is_err());
            assert!(open(dir.path()).await.is_err(), "and stays so");
        }
    }

    #[test]
    fn a_record_of_which_only_the_beginning_is_there_is_torn() {
        let mut file = vec![0; 300];
        file[10..20].fill(7);
        assert!(is_torn(&file, 10));
        file[299] = 1;
        assert!(!is_torn(&file, 10), "something follows it");
    }

    #[test]
    fn a_record_s_part_of_a_sector_counts_as_one() {
        let mut file = vec![7; 2 * SECTOR];
        file[500..SECTOR].fill(0);
        assert!(is_torn(&file, 500));
        file[511] = 1;
        assert!(!is_torn(&file, 500));
        file[SECTOR..].fill(0);
        assert!(is_torn(&file, 500));
    }
}
