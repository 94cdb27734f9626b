//! The chunk store of one disk: what it acknowledged is there, byte for byte, after any crash.

use crate::{
    chunks::{
        ChunkId, CopyError, OpenError, ReadError,
        disk::Disk,
        extent::ExtentId,
        format::{PAGE_BYTES, footer_bytes, record_bytes},
        health::{DiskHealth, DiskState},
        index::{Index, Location},
        payload::{Blocks, Chunk},
        reader,
        recover::{Recovered, recover},
        trash::Trash,
        writer::{Job, Message, Stored, Writer},
    },
    limits::{CHUNK_BYTES_MAX, CHUNK_READS_MAX, CHUNK_WRITE_BYTES_MAX, CHUNK_WRITES_QUEUED_MAX, DISK_RESERVE_BYTES},
};
use bulkhead_model::NodeId;
use bulkhead_service::{
    Env,
    env::{Clock, Tasks},
};
use parking_lot::Mutex;
use std::{ops::Range, sync::Arc, thread::JoinHandle};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// Whose disk it is, and how large things are.
#[derive(Debug, Clone, Copy)]
pub struct LocalConfig {
    pub node: NodeId,
    /// Size of one extent file, bytes.
    pub extent_bytes: u64,
    /// The largest chunk, bytes.
    pub chunk_bytes: u32,
}

impl LocalConfig {
    /// What ordinary writes leave free: the share of Raft and the index, and an extent in which compaction can begin to make room.
    pub fn reserve_bytes(&self) -> u64 {
        DISK_RESERVE_BYTES.saturating_add(self.extent_bytes)
    }
}

/// What blocking work takes along.
#[derive(Clone)]
pub(super) struct Parts {
    pub disk: Arc<dyn Disk>,
    pub index: Arc<Index>,
    pub health: Arc<DiskHealth>,
    pub trash: Arc<Trash>,
}

/// Put and read chunks on one disk.
pub struct LocalStore {
    pub(super) config: LocalConfig,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) parts: Parts,
    /// Held by whoever compacts or empties the trash.
    pub(super) compacting: tokio::sync::Mutex<()>,
    queue: mpsc::Sender<Message>,
    write_bytes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
    recovered: Recovered,
}

impl LocalStore {
    /// Opens the extents of `disk` and starts its writer.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(config: LocalConfig, disk: Arc<dyn Disk>, env: &Env) -> Result<Self, OpenError> {
        let chunk = config.chunk_bytes.clamp(1, CHUNK_BYTES_MAX);
        let needed = PAGE_BYTES + record_bytes(chunk) + footer_bytes(1);
        if config.extent_bytes < needed || chunk != config.chunk_bytes {
            return Err(OpenError::ExtentTooSmall { extent: config.extent_bytes, needed, chunk: config.chunk_bytes });
        }
        let index = Arc::new(Index::default());
        let recovered = {
            let (disk, index) = (Arc::clone(&disk), Arc::clone(&index));
            env.tasks.blocking(move || recover(&*disk, config.node, &index)).await.map_err(|error| {
                OpenError::Io { what: "reading the extents", source: std::io::Error::other(error) }
            })??
        };
        tracing::info!(?recovered, extents = index.extents(), "the chunk store is open");
        let health = Arc::new(DiskHealth::new(env.clock.now()));
        if recovered.suspect {
            health.failed("opening", &"an extent could not be synced, sealed or removed");
        }
        let (queue, receiver) = mpsc::channel(CHUNK_WRITES_QUEUED_MAX);
        let writer = Writer {
            disk: Arc::clone(&disk),
            index: Arc::clone(&index),
            health: Arc::clone(&health),
            node: config.node,
            extent_bytes: config.extent_bytes,
            reserve_bytes: config.reserve_bytes(),
            clock: env.clock.clone(),
            rng: env.rng.clone(),
            queue: receiver,
            behind: Vec::new(),
            behind_since: None,
            open: None,
            next: recovered.next,
        };
        let thread = start(writer, &env.tasks)?;
        Ok(Self {
            config,
            clock: env.clock.clone(),
            tasks: env.tasks.clone(),
            parts: Parts { disk, index, health, trash: Arc::default() },
            compacting: tokio::sync::Mutex::default(),
            queue,
            write_bytes: Arc::new(Semaphore::new(CHUNK_WRITE_BYTES_MAX)),
            reads: Arc::new(Semaphore::new(CHUNK_READS_MAX)),
            writer: Mutex::new(thread),
            recovered,
        })
    }

    /// Stores a chunk. On return it is on stable storage. Its payload must have been verified, see [`crate::chunks::payload`].
    ///
    /// # Errors
    /// [`CopyError`]; the chunk may be durable all the same.
    pub async fn put(&self, chunk: Chunk, deadline: Instant) -> Result<(), CopyError> {
        if bulkhead_service::drill::faults().drops() {
            return Ok(());
        }
        self.store(chunk, None, deadline).await.map(drop)
    }

    /// Stores a chunk; one that is `moved_from` elsewhere enters the index later.
    pub(super) async fn store(
        &self,
        chunk: Chunk,
        moved_from: Option<Location>,
        deadline: Instant,
    ) -> Result<Stored, CopyError> {
        let bytes = chunk.payload.data().len();
        let size = CopyError::Size { bytes, max: self.config.chunk_bytes };
        let permits =
            u32::try_from(bytes).ok().filter(|len| (1..=self.config.chunk_bytes).contains(len)).ok_or(size)?;
        let write = async {
            let budget =
                Arc::clone(&self.write_bytes).acquire_many_owned(permits).await.map_err(|_| CopyError::Stopping)?;
            let (done, outcome) = oneshot::channel();
            let job = Message::Write(Job { chunk, deadline, moved_from, done, budget });
            self.queue.send(job).await.map_err(|_| CopyError::Stopping)?;
            outcome.await.map_err(|_| CopyError::Stopping)?
        };
        timeout_at(deadline, write).await.unwrap_or(Err(CopyError::Deadline))
    }

    /// Seals the extent if it is the open one.
    pub(super) async fn seal(&self, extent: ExtentId) -> Result<(), CopyError> {
        let (done, sealed) = oneshot::channel();
        self.queue.send(Message::Seal(extent, done)).await.map_err(|_| CopyError::Stopping)?;
        sealed.await.map_err(|_| CopyError::Stopping)
    }

    /// The verified blocks that cover bytes `range` of a chunk.
    ///
    /// # Errors
    /// [`ReadError`]; after [`ReadError::Damaged`] the chunk counts as missing here.
    pub async fn read(&self, id: ChunkId, range: Range<u32>, deadline: Instant) -> Result<Blocks, ReadError> {
        if !self.has(id) {
            return Err(ReadError::Missing);
        }
        let begun = self.clock.now();
        let outcome = self.reading(deadline, move |index| reader::read(index, id, &range)).await;
        metrics::histogram!("bulkhead_chunk_read_seconds").record(self.clock.now().duration_since(begun));
        outcome
    }

    /// Does `work`, which reads from the disk, when it is its turn.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&Index) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let read = async {
            let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| ReadError::Stopping)?;
            let (index, health, clock) =
                (Arc::clone(&self.parts.index), Arc::clone(&self.parts.health), self.clock.clone());
            // The permit goes along: a read that nobody waits for any more still counts until it ends.
            let blocking = self.tasks.blocking(move || {
                let begun = clock.now();
                let outcome = work(&index);
                let now = clock.now();
                health.reads.record(now, now.duration_since(begun));
                if let Err(ReadError::Damaged(why)) = &outcome {
                    health.damaged(why);
                }
                drop(permit);
                outcome
            });
            blocking.await.map_err(|_| ReadError::Stopping)?
        };
        timeout_at(deadline, read).await.unwrap_or(Err(ReadError::Deadline))
    }

    /// Whether the chunk is durable here.
    pub fn has(&self, id: ChunkId) -> bool {
        self.parts.index.get(id).is_some()
    }

    /// How far the disk is trusted.
    pub fn disk_state(&self) -> DiskState {
        self.parts.health.state()
    }

    /// What was found at open.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The largest chunk, bytes.
    pub fn chunk_bytes(&self) -> u32 {
        self.config.chunk_bytes
    }

    /// Writes what is queued, seals the open extent, and ends the writer. Later puts fail with [`CopyError::Stopping`].
    pub async fn shutdown(&self) {
        // An error means that the writer has ended already.
        drop(self.queue.send(Message::Stop).await);
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let joined = self.tasks.blocking(move || writer.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the chunk writer panicked");
            }
        }
    }
}

/// Gives the writer its thread. In a simulation, where there is but one, it is a task.
fn start(writer: Writer, tasks: &Tasks) -> Result<Option<JoinHandle<()>>, OpenError> {
    if tasks.simulated().is_some() {
        tasks.spawn("chunk-writer", writer.run_as_task(tasks.clone()));
        return Ok(None);
    }
    let thread = std::thread::Builder::new().name("chunk-writer".to_owned()).spawn(move || writer.run());
    thread.map(Some).map_err(|source| OpenError::Io { what: "starting the writer", source })
}
