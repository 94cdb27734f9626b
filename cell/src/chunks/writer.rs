//! The one thread that writes to a disk: takes everything queued, writes it, and acknowledges it with a single fdatasync.
//!
//! - What compaction moves has a sync of its own, behind what tenants wait for: it goes when nothing else is queued, or has waited for
//!   [`BACKGROUND_WRITE_AGE_MAX`], so that space comes back whatever tenants do.
//! - A chunk is acknowledged, and enters the index, only after the sync that covers it has succeeded.
//! - Any error of a write or a sync fails the batch and ends the extent: the next batch goes to another. A sync is never repeated.
//! - No extent is begun that would touch the disk's reserve. Extents are preallocated, so a begun one does not run out of space.
//! - Only what compaction moves may use a part of the reserve, and an extent begun in it takes nothing else while the disk is that full.

use crate::{
    chunks::{
        CopyError,
        disk::Disk,
        extent::{Extent, ExtentId},
        format::{FooterEntry, PAGE_BYTES, RecordHead, encode_table, footer_bytes, head_and_table_bytes, record_bytes},
        health::DiskHealth,
        index::{ExtentState, Held, Index, Location, Usage},
        payload::Chunk,
    },
    limits::{BACKGROUND_WRITE_AGE_MAX, CHUNK_BATCH_BYTES_MAX, COMPACTION_RESERVE_BYTES},
};
use bulkhead_model::NodeId;
use bulkhead_service::{
    env::{Clock, Rng, Tasks},
    fail_point::FailPoint,
};
use std::{
    collections::HashSet,
    io::{self, IoSlice},
    sync::Arc,
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

/// A chunk to be written.
pub struct Job {
    pub chunk: Chunk,
    pub deadline: Instant,
    /// Where its record is that this one is to replace. Its mover names the copy in the index, once it has verified it.
    pub moved_from: Option<Location>,
    /// Told once the chunk is durable, or that it is not known to be. When nobody waits any more, the chunk is not written.
    pub done: oneshot::Sender<Result<Stored, CopyError>>,
    /// Its bytes' share of the queue.
    pub budget: OwnedSemaphorePermit,
}

/// Where a chunk is that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    At(Location),
    /// It was there already; or, of one that was to be moved, it is no longer where it was.
    Unneeded,
}

pub enum Message {
    Write(Job),
    /// Write what came before, and seal this extent if it is the open one.
    Seal(ExtentId, oneshot::Sender<()>),
    /// Write what came before, seal the extent, end.
    Stop,
}

/// The thread's state.
pub struct Writer {
    pub disk: Arc<dyn Disk>,
    pub index: Arc<Index>,
    pub health: Arc<DiskHealth>,
    pub node: NodeId,
    pub extent_bytes: u64,
    /// Below so many free bytes no extent is begun for ordinary writes.
    pub reserve_bytes: u64,
    pub clock: Clock,
    pub rng: Rng,
    pub queue: mpsc::Receiver<Message>,
    /// What was taken from the queue and is to be moved, and since when the first of it waits here.
    pub behind: Vec<Job>,
    pub behind_since: Option<Instant>,
    pub open: Option<OpenExtent>,
    /// Number of the next extent.
    pub next: u32,
}

/// The extent being written.
pub struct OpenExtent {
    extent: Arc<Extent>,
    /// Where the next record goes.
    tail: u64,
    entries: Vec<FooterEntry>,
    /// It lies in the reserve.
    reserved: bool,
}

impl OpenExtent {
    fn has_room(&self, records: usize, bytes: u64, extent_bytes: u64) -> bool {
        self.tail + bytes + footer_bytes(self.entries.len() + records) <= extent_bytes
    }
}

/// A job whose record is laid out.
struct Record {
    job: Job,
    head: RecordHead,
    table: Vec<u8>,
}

impl Record {
    fn is_moved(&self) -> bool {
        self.job.moved_from.is_some()
    }
}

impl Writer {
    /// Runs until it is told to stop, or until every handle is gone.
    pub fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            if !self.serve(first) {
                break;
            }
        }
        self.queue.close();
        self.seal();
    }

    /// Does what is queued, from `first` on. Says whether to go on.
    fn serve(&mut self, first: Message) -> bool {
        let (jobs, command) = self.gather(first);
        self.commit(jobs);
        let is_late = self.behind_since.is_some_and(|since| self.clock.now() >= since + BACKGROUND_WRITE_AGE_MAX);
        if command.is_some() || is_late || self.queue.is_empty() {
            self.behind_since = None;
            let behind = std::mem::take(&mut self.behind);
            self.commit(behind);
        }
        match command {
            Some(Message::Seal(extent, done)) => {
                if self.open.as_ref().is_some_and(|open| open.extent.id == extent) {
                    self.seal();
                }
                if done.send(()).is_err() {
                    tracing::debug!(%extent, "nobody waits any more for the extent to be sealed");
                }
                true
            }
            Some(Message::Stop) => false,
            Some(Message::Write(_)) | None => true,
        }
    }

    /// As [`Writer::run`], in a simulation.
    pub async fn run_as_task(mut self, tasks: Tasks) {
        while let Some(first) = self.queue.recv().await {
            let done = tasks.blocking(move || (self.serve(first), self));
            let Ok((goes_on, writer)) = done.await else { return };
            self = writer;
            if !goes_on {
                break;
            }
        }
        self.queue.close();
        self.seal();
    }

    /// Everything that is queued by now, up to the bound of a batch or to what is to be done behind it. What is to be moved is put behind.
    fn gather(&mut self, first: Message) -> (Vec<Job>, Option<Message>) {
        let (mut jobs, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(message) = next {
            let Message::Write(job) = message else { return (jobs, Some(message)) };
            bytes += job.chunk.payload.data().len();
            if job.moved_from.is_some() {
                self.behind_since = self.behind_since.or_else(|| Some(self.clock.now()));
                self.behind.push(job);
            } else {
                jobs.push(job);
            }
            next = if bytes < CHUNK_BATCH_BYTES_MAX { self.queue.try_recv().ok() } else { None };
        }
        (jobs, None)
    }

    fn commit(&mut self, mut jobs: Vec<Job>) {
        while !jobs.is_empty() {
            let (records, repeated) = self.admit(jobs);
            self.store(records);
            jobs = repeated;
        }
    }

    /// Writes records to as many extents as they need: all that are moved, or none. What is moved may find room where others find none.
    fn store(&mut self, mut records: Vec<Record>) {
        while let Some(first) = records.first() {
            if let Err(error) = self.make_room(first) {
                return fail(records, &error);
            }
            let taken = self.open.as_ref().map_or(0, |open| open.fitting(&records, self.extent_bytes));
            let rest = records.split_off(taken);
            self.write(std::mem::replace(&mut records, rest));
        }
    }

    /// Answers what needs no write, and lays out what does. Second puts of an id in one batch wait for the outcome of the first.
    fn admit(&self, jobs: Vec<Job>) -> (Vec<Record>, Vec<Job>) {
        let now = self.clock.now();
        let (mut records, mut repeated, mut ids) = (Vec::with_capacity(jobs.len()), Vec::new(), HashSet::new());
        for job in jobs {
            let table = encode_table(job.chunk.payload.crcs());
            let Chunk { id, account, ref payload } = job.chunk;
            let len = u32::try_from(payload.data().len()).expect("the store checked the chunk's size");
            let head = RecordHead { id, account, len, table_crc: crc_fast::crc32_iscsi(&table) };
            if job.done.is_closed() {
                metrics::counter!("bulkhead_chunk_writes_abandoned_total").increment(1);
            } else if job.deadline <= now {
                answer(job, Err(CopyError::Deadline));
            } else if job.moved_from.is_some() && self.index.get(id) != job.moved_from {
                answer(job, Ok(Stored::Unneeded));
            } else if let (None, Some(present)) = (job.moved_from, self.index.get(id)) {
                let same = (present.len, present.table_crc) == (len, head.table_crc);
                answer(job, if same { Ok(Stored::Unneeded) } else { Err(CopyError::Conflict) });
            } else if ids.insert(id) {
                records.push(Record { job, head, table });
            } else {
                repeated.push(job);
            }
        }
        (records, repeated)
    }

    /// Opens an extent with room for the record: every extent has, if it is empty.
    fn make_room(&mut self, record: &Record) -> Result<(), CopyError> {
        let needed = record_bytes(record.head.len);
        if self.open.as_ref().is_some_and(|open| !open.has_room(1, needed, self.extent_bytes)) {
            self.seal();
        }
        if self.open.is_none() {
            self.open = Some(self.begin(record.is_moved())?);
        }
        self.leave_reserve();
        let reserved = self.open.as_ref().is_some_and(|open| open.reserved);
        if reserved && !record.is_moved() { Err(CopyError::Full) } else { Ok(()) }
    }

    /// An extent that was begun in the reserve is open to all once the disk has space again.
    fn leave_reserve(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|open| open.reserved) {
            open.reserved = !self.disk.free_bytes().is_ok_and(|free| free >= self.reserve_bytes);
            self.health.set_full(open.reserved);
        }
    }

    fn begin(&mut self, is_moved: bool) -> Result<OpenExtent, CopyError> {
        self.health.writable()?;
        let begun = self.try_begin(is_moved);
        if let Err(error) = &begun {
            self.report("beginning an extent", error);
        }
        begun.map_err(|error| copy_error(&error))
    }

    fn try_begin(&mut self, is_moved: bool) -> io::Result<OpenExtent> {
        let left = self.disk.free_bytes()?.checked_sub(self.extent_bytes);
        let reserved = left.is_none_or(|left| left < self.reserve_bytes);
        self.health.set_full(reserved);
        if reserved && !(is_moved && left.is_some_and(|left| left >= COMPACTION_RESERVE_BYTES)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = ExtentId(self.next);
        self.next += 1;
        let extent = Arc::new(Extent::create(&*self.disk, self.node, id, self.rng.u64(), self.extent_bytes)?);
        self.index.add_extent(Held::new(Arc::clone(&extent), Usage::new(ExtentState::Open, 0)));
        Ok(OpenExtent { extent, tail: PAGE_BYTES, entries: Vec::new(), reserved })
    }

    /// Writes records that fit the open extent, syncs once, and answers them.
    fn write(&mut self, records: Vec<Record>) {
        let Some(mut open) = self.open.take() else { return fail(records, &CopyError::Stopping) };
        let bytes = records.iter().map(|record| u64::from(record.head.len)).sum::<u64>();
        let entries = open.place(&records);
        let written = self.timed("bulkhead_chunk_write_seconds", || write_records(&open.extent, &entries, &records));
        FailPoint::ChunkWritten.pass();
        let synced = written.and_then(|()| self.sync(&open.extent));
        if let Err(error) = synced {
            // The extent is not put back: whatever it holds behind the last acknowledged record is unknown.
            self.report("writing chunks", &error);
            self.fails(&open);
            return fail(records, &copy_error(&error));
        }
        FailPoint::ChunkSynced.pass();
        metrics::counter!("bulkhead_chunk_syncs_total").increment(1);
        metrics::counter!("bulkhead_chunk_bytes_written_total").increment(bytes);
        metrics::histogram!("bulkhead_chunk_batch_chunks").record(u32::try_from(records.len()).unwrap_or(u32::MAX));
        if let Some(last) = entries.last() {
            open.tail = last.offset + record_bytes(last.head.len);
            self.index.set_extent(open.extent.id, ExtentState::Open, open.tail - PAGE_BYTES);
        }
        let id = open.extent.id;
        for (record, entry) in records.iter().zip(&entries).filter(|(record, _)| !record.is_moved()) {
            self.index.insert(record.head.id, Location::new(id, entry));
        }
        open.entries.extend(&entries);
        self.open = Some(open);
        for (record, entry) in records.into_iter().zip(&entries) {
            answer(record.job, Ok(Stored::At(Location::new(id, entry))));
        }
    }

    /// Ends the open extent. Its records are durable whether or not the footer gets there.
    fn seal(&mut self) {
        let Some(open) = self.open.take() else { return };
        match open.extent.seal(&open.entries, open.tail) {
            Ok(()) => self.index.set_extent(open.extent.id, ExtentState::Sealed, open.tail - PAGE_BYTES),
            Err(error) => {
                self.report("sealing an extent", &error);
                self.fails(&open);
            }
        }
    }

    /// Nothing more goes to this extent: what is not acknowledged of its preallocated space is lost to it.
    fn fails(&self, open: &OpenExtent) {
        self.index.extent_failed(open.extent.id, self.extent_bytes - PAGE_BYTES, &open.entries);
    }

    fn report(&self, what: &'static str, error: &io::Error) {
        if error.kind() == io::ErrorKind::StorageFull {
            tracing::debug!(what, "the disk has no room");
        } else {
            self.health.failed(what, error);
        }
    }

    fn sync(&self, extent: &Extent) -> io::Result<()> {
        let begun = self.clock.now();
        let outcome = self.timed("bulkhead_chunk_sync_seconds", || extent.file.sync());
        let now = self.clock.now();
        self.health.syncs.record(now, now.duration_since(begun));
        outcome
    }

    fn timed<T>(&self, histogram: &'static str, work: impl FnOnce() -> T) -> T {
        let begun = self.clock.now();
        let outcome = work();
        metrics::histogram!(histogram).record(self.clock.now().duration_since(begun));
        outcome
    }
}

impl OpenExtent {
    /// How many of `records`, from the first on, it has room for.
    fn fitting(&self, records: &[Record], extent_bytes: u64) -> usize {
        let mut bytes = 0;
        let fits = |(before, record): &(usize, &Record)| {
            bytes += record_bytes(record.head.len);
            self.has_room(before + 1, bytes, extent_bytes)
        };
        records.iter().enumerate().take_while(fits).count()
    }

    /// Where each record goes.
    fn place(&self, records: &[Record]) -> Vec<FooterEntry> {
        let mut offset = self.tail;
        let next = |record: &Record| {
            let entry = FooterEntry { head: record.head, offset };
            offset += record_bytes(record.head.len);
            entry
        };
        records.iter().map(next).collect()
    }
}

fn write_records(extent: &Extent, entries: &[FooterEntry], records: &[Record]) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; PAGE_BYTES as usize];
    let Some(first) = entries.first() else { return Ok(()) };
    let heads: Vec<_> = entries.iter().map(|entry| entry.head.encode(extent.nonce, entry.offset)).collect();
    let mut buffers = Vec::with_capacity(records.len() * 4);
    for (record, head) in records.iter().zip(&heads) {
        let payload = record.job.chunk.payload.data();
        let used = head_and_table_bytes(record.head.len) + payload.len();
        let padding = used.next_multiple_of(ZEROS.len()) - used;
        buffers.extend([&head[..], &record.table, payload, &ZEROS[..padding]].map(IoSlice::new));
    }
    extent.file.write_at(&mut buffers, first.offset)
}

fn copy_error(error: &io::Error) -> CopyError {
    match error.kind() {
        io::ErrorKind::StorageFull => CopyError::Full,
        _ => CopyError::Disk(error.to_string()),
    }
}

fn fail(records: Vec<Record>, error: &CopyError) {
    for record in records {
        answer(record.job, Err(error.clone()));
    }
}

fn answer(job: Job, outcome: Result<Stored, CopyError>) {
    let Job { done, budget, .. } = job;
    // Whoever asked may have left.
    drop(done.send(outcome));
    drop(budget);
}
