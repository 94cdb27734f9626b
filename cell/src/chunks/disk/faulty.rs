//! A disk in memory that does what disks may do: lose what was not synced, tear it, reorder it, flip bits, refuse.
//!
//! It keeps two contents of each file, the one in memory and the one on the medium, and the sectors that differ. What a crash or a failed
//! sync makes of those sectors is decided one by one from the seed. Of the changes to the directory that were not synced, a crash keeps the
//! first few, as a journal does: a file removed may be back, one renamed may have its old name.

use super::{Disk, DiskFile};
use bulkhead_service::env::Rng;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSlice},
    ops::{Range, RangeInclusive},
    sync::Arc,
};

/// What survives or dies as one piece.
const SECTOR: usize = 512;

/// What the disk will do wrong next. Each happens once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The `n`th write from now (0 is the next) writes a part and fails with EIO.
    Write(u64),
    /// The `n`th write from now writes a part and fails with ENOSPC.
    WriteNoSpace(u64),
    /// The `n`th sync from now fails with EIO; of what it had to make durable any part is, and the rest is forgotten.
    Sync(u64),
    /// The `n`th creation, renaming or removal from now fails with EIO.
    Directory(u64),
    /// The `n`th write from now says that it went well, and one bit of it is wrong.
    Lie(u64),
    /// The power fails instead of the `n`th operation of any kind from now: it and all later ones fail, until [`FaultyDisk::crash`].
    Power(u64),
    /// The `n`th read from now fails with EIO.
    Read(u64),
}

/// Shared by all handles; survives [`FaultyDisk::crash`].
#[derive(Clone)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
    /// Handles of an earlier generation are dead.
    generation: u64,
}

struct State {
    rng: Rng,
    generation: u64,
    files: Files,
    /// What the directory was before each change since it was last synced.
    past: Vec<Files>,
    faults: Vec<Fault>,
    space: u64,
    syncs: u64,
}

type Files = BTreeMap<String, Arc<Mutex<Content>>>;

#[derive(Default)]
struct Content {
    memory: Vec<u8>,
    medium: Vec<u8>,
    /// Sectors in which the two differ and which the next sync has to write.
    dirty: BTreeSet<usize>,
}

impl FaultyDisk {
    /// An empty disk with room for `space` bytes.
    pub fn new(seed: u64, space: u64) -> Self {
        let state = State {
            rng: Rng::from_seed(seed),
            generation: 0,
            files: BTreeMap::new(),
            past: Vec::new(),
            faults: Vec::new(),
            space,
            syncs: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), generation: 0 }
    }

    /// From now on there is room for so many bytes: somebody else uses the disk too, or no more.
    pub fn set_space(&self, space: u64) {
        self.state.lock().space = space;
    }

    /// Plans a fault. It may come in a later life.
    pub fn plan(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// The power fails: every handle is dead, and of what was not synced each sector is kept or lost by chance. Returns the disk as it is found.
    pub fn crash(&self) -> Self {
        let mut state = self.state.lock();
        state.generation += 1;
        let rng = state.rng.clone();
        let past = std::mem::take(&mut state.past);
        let kept = usize::try_from(rng.below(past.len() as u64 + 1)).expect("few changes");
        if let Some(before) = past.into_iter().nth(kept) {
            state.files = before;
        }
        for content in state.files.values() {
            let mut content = content.lock();
            content.write_back(|| rng.below(2) == 0);
            content.memory = content.medium.clone();
        }
        Self { state: Arc::clone(&self.state), generation: state.generation }
    }

    /// The process dies and the machine goes on: every handle is dead, no byte is lost.
    pub fn kill(&self) -> Self {
        let mut state = self.state.lock();
        state.generation += 1;
        Self { state: Arc::clone(&self.state), generation: state.generation }
    }

    /// Forgets the faults that have not come yet.
    pub fn heal(&self) {
        self.state.lock().faults.clear();
    }

    /// Forgets the lies that have not been told yet.
    pub fn forget_lies(&self) {
        self.state.lock().faults.retain(|fault| !matches!(fault, Fault::Lie(_)));
    }

    /// Whether a read has still to fail, or everything has.
    pub fn will_fail_a_read(&self) -> bool {
        self.state.lock().faults.iter().any(|fault| matches!(fault, Fault::Read(_) | Fault::Power(_)))
    }

    /// Flips a bit of a file, in memory and on the medium. Does nothing when the file is shorter.
    pub fn flip(&self, name: &str, bit: usize) {
        if let Some(content) = self.state.lock().files.get(name) {
            let Content { memory, medium, .. } = &mut *content.lock();
            for bytes in [memory, medium] {
                if let Some(byte) = bytes.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }

    /// Flips a bit on the medium, which memory does not know of as long as it holds the page.
    pub fn flip_medium(&self, name: &str, bit: usize) {
        if let Some(content) = self.state.lock().files.get(name)
            && let Some(byte) = content.lock().medium.get_mut(bit / 8)
        {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// How often a file was synced.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Fails when this handle is dead, or when a fault that `pick` recognises is due now; counts the others down.
    fn enter(&self, pick: impl Fn(&mut Fault) -> Option<(&mut u64, io::ErrorKind)>) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.generation != self.generation {
            return Err(io::Error::other("the disk is gone"));
        }
        let power =
            state.faults.iter_mut().find_map(|fault| if let Fault::Power(left) = fault { Some(left) } else { None });
        if let Some(left) = power {
            if *left == 0 {
                state.faults.retain(|fault| !matches!(fault, Fault::Power(_)));
                state.generation += 1;
                return Err(io::Error::other("the power failed"));
            }
            *left -= 1;
        }
        let mut due = None;
        state.faults.retain_mut(|fault| match pick(fault) {
            Some((0, kind)) if due.is_none() => {
                due = Some(kind);
                false
            }
            Some((left, _)) => {
                *left = left.saturating_sub(1);
                true
            }
            None => true,
        });
        due.map_or(Ok(()), |kind| {
            Err(if kind == io::ErrorKind::Other { io::Error::from_raw_os_error(5) } else { kind.into() })
        })
    }

    fn enter_directory(&self) -> io::Result<()> {
        self.enter(|fault| if let Fault::Directory(left) = fault { Some((left, io::ErrorKind::Other)) } else { None })
    }

    /// Whether the write that begins now is one that lies.
    fn lies(&self) -> bool {
        let mut state = self.state.lock();
        let mut due = false;
        state.faults.retain_mut(|fault| match fault {
            Fault::Lie(0) if !due => {
                due = true;
                false
            }
            Fault::Lie(left) => {
                *left = left.saturating_sub(1);
                true
            }
            Fault::Write(_)
            | Fault::WriteNoSpace(_)
            | Fault::Sync(_)
            | Fault::Directory(_)
            | Fault::Read(_)
            | Fault::Power(_) => true,
        });
        due
    }

    /// Whether the power has failed by plan, and every handle is dead.
    pub fn is_dead(&self) -> bool {
        self.state.lock().generation != self.generation
    }

    /// The names of all files, for tests: not an operation of the disk.
    pub fn names(&self) -> Vec<String> {
        self.state.lock().files.keys().cloned().collect()
    }

    fn used(state: &State) -> u64 {
        state.files.values().map(|content| content.lock().memory.len() as u64).sum()
    }
}

impl State {
    /// Changes the directory, if `change` says that it did.
    fn change(&mut self, change: impl FnOnce(&mut Files) -> bool) -> bool {
        let before = self.files.clone();
        let changed = change(&mut self.files);
        if changed {
            self.past.push(before);
        }
        changed
    }
}

impl Content {
    /// Moves the dirty sectors that `kept` chooses to the medium and forgets the others. The length always gets there.
    fn write_back(&mut self, mut kept: impl FnMut() -> bool) {
        self.medium.resize(self.memory.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(self.memory.len());
            if from < to && kept() {
                self.medium[from..to].copy_from_slice(&self.memory[from..to]);
            }
        }
    }

    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        if self.memory.len() < end {
            self.memory.resize(end, 0);
        }
        self.memory[at..end].copy_from_slice(bytes);
        if let Some(sectors) = sectors(at, end) {
            self.dirty.extend(sectors);
        }
    }
}

fn sectors(from: usize, to: usize) -> Option<RangeInclusive<usize>> {
    (from < to).then(|| from / SECTOR..=(to - 1) / SECTOR)
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl Disk for FaultyDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.enter(|_| None)?;
        Ok(self.state.lock().files.keys().cloned().collect())
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.enter_directory()?;
        let mut state = self.state.lock();
        if state.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if Self::used(&state) + len > state.space {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let zeros = vec![0; position(len)?];
        let content = Arc::new(Mutex::new(Content { memory: zeros.clone(), medium: zeros, dirty: BTreeSet::new() }));
        state.change(|files| files.insert(name.to_owned(), Arc::clone(&content)).is_none());
        Ok(Arc::new(FaultyFile { disk: self.clone(), content }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.enter(|_| None)?;
        let content = self.state.lock().files.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), content }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let outcome = self.enter_directory();
        let mut state = self.state.lock();
        if state.generation != self.generation {
            return outcome;
        }
        let renamed = state.change(|files| {
            let content = files.remove(from);
            content.map(|content| files.insert(to.to_owned(), content)).is_some()
        });
        if !renamed {
            return Err(io::ErrorKind::NotFound.into());
        }
        if outcome.is_ok() {
            // It ends in a sync of the directory, which makes all earlier changes durable as well.
            state.past.clear();
        }
        outcome
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.enter_directory()?;
        let mut state = self.state.lock();
        let removed = state.change(|files| files.remove(name).is_some());
        if removed { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.enter(|_| None)?;
        let state = self.state.lock();
        Ok(state.space.saturating_sub(Self::used(&state)))
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    content: Arc<Mutex<Content>>,
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.enter(|_| None)?;
        Ok(self.content.lock().memory.len() as u64)
    }

    fn write_at(&self, buffers: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let lies = self.disk.lies();
        let outcome = self.disk.enter(|fault| match fault {
            Fault::Write(left) => Some((left, io::ErrorKind::Other)),
            Fault::WriteNoSpace(left) => Some((left, io::ErrorKind::StorageFull)),
            Fault::Sync(_) | Fault::Directory(_) | Fault::Read(_) | Fault::Lie(_) | Fault::Power(_) => None,
        });
        let state = self.disk.state.lock();
        if state.generation != self.disk.generation {
            return outcome;
        }
        let mut bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        if outcome.is_err() {
            bytes.truncate(position(state.rng.below(bytes.len() as u64))?);
        }
        if outcome.is_ok() && lies {
            let bit = position(state.rng.below(bytes.len() as u64 * 8))?;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        self.content.lock().write(&bytes, position(offset)?);
        outcome
    }

    fn read_at(&self, buffer: &mut Vec<u8>, len: usize, offset: u64) -> io::Result<()> {
        self.disk
            .enter(|fault| if let Fault::Read(left) = fault { Some((left, io::ErrorKind::Other)) } else { None })?;
        let from = position(offset)?;
        let content = self.content.lock();
        let bytes = content.memory.get(from..from.saturating_add(len)).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let outcome = self
            .disk
            .enter(|fault| if let Fault::Sync(left) = fault { Some((left, io::ErrorKind::Other)) } else { None });
        let mut state = self.disk.state.lock();
        if state.generation != self.disk.generation {
            return outcome;
        }
        state.syncs += 1;
        let (failed, rng) = (outcome.is_err(), state.rng.clone());
        self.content.lock().write_back(|| !failed || rng.below(2) == 0);
        outcome
    }

    fn forget_cached(&self, range: Range<u64>) -> io::Result<()> {
        self.disk.enter(|_| None)?;
        let Content { memory, medium, dirty } = &mut *self.content.lock();
        let end = position(range.end)?.min(memory.len());
        let Some(touched) = sectors(position(range.start)?, end) else { return Ok(()) };
        // As a kernel does: what is still to be written stays in memory.
        for sector in touched.filter(|sector| !dirty.contains(sector)) {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(memory.len()));
            let durable = to.min(medium.len()).max(from);
            memory[from..to].fill(0);
            memory[from..durable].copy_from_slice(&medium[from..durable]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.enter(|_| None)?;
        let content = &mut *self.content.lock();
        let len = position(len)?;
        content.memory.resize(len, 0);
        content.dirty.retain(|sector| sector * SECTOR < len);
        Ok(())
    }
}
