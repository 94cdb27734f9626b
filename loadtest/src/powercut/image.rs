//! One file of a volume: its durable bytes in a file below, its unsynced changes in memory.

use super::Losses;
use rand::{RngExt as _, rngs::StdRng};
use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// What a disk writes whole or not at all. Bytes.
const SECTOR: u64 = 512;
/// Unsynced changes of one file beyond this are made durable, as a kernel short of memory does. Bytes.
const UNSYNCED_BYTES_MAX: u64 = 128 << 20;

/// A change of a file's bytes or length, as it was made.
#[derive(Debug)]
enum Change {
    Write {
        at: u64,
        bytes: Vec<u8>,
    },
    /// Zeros that take no part in the length.
    Zero {
        at: u64,
        len: u64,
    },
    Length(u64),
}

/// A file.
#[derive(Debug)]
pub struct Image {
    durable: File,
    pending: Vec<Change>,
    pending_bytes: u64,
    len: u64,
}

/// How much of a file's unsynced changes a cut leaves.
#[derive(Debug, Clone, Copy)]
enum Left {
    Nothing,
    Everything,
    /// The first changes, and of the next some sectors.
    Torn,
    /// Each sector with this chance.
    Scattered(f64),
}

impl Change {
    fn bytes(&self) -> u64 {
        match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            Self::Zero { .. } | Self::Length(_) => 0,
        }
    }

    fn apply(&self, file: &File) -> io::Result<()> {
        match self {
            Self::Write { at, bytes } => file.write_all_at(bytes, *at),
            Self::Zero { at, len } => zero(file, *at, *len),
            Self::Length(len) => file.set_len(*len),
        }
    }
}

/// Zeros where the file has bytes now; its length stays.
fn zero(file: &File, at: u64, len: u64) -> io::Result<()> {
    let end = at.saturating_add(len).min(file.metadata()?.len());
    if at >= end {
        return Ok(());
    }
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, at, end - at)?)
}

impl Image {
    /// A new, empty file whose durable bytes are kept at `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        let durable = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Self { durable, pending: Vec::new(), pending_bytes: 0, len: 0 })
    }

    /// The length that processes see. Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The bytes from `at` on, at most `size`, as processes see them.
    pub fn read(&self, at: u64, size: usize) -> io::Result<Vec<u8>> {
        let size = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX).min(size);
        let mut buffer = vec![0; size];
        let mut filled = 0;
        while filled < size {
            match self.durable.read_at(&mut buffer[filled..], at + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        for change in &self.pending {
            overlay(change, &mut buffer, at);
        }
        Ok(buffer)
    }

    /// Writes, without syncing.
    pub fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.len = self.len.max(at + bytes.len() as u64);
        self.change(Change::Write { at, bytes: bytes.to_vec() })
    }

    /// Cuts or extends, without syncing.
    pub fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.len = len;
        self.change(Change::Length(len))
    }

    /// Zeros a range within the length, without syncing.
    pub fn zero(&mut self, at: u64, len: u64) -> io::Result<()> {
        self.change(Change::Zero { at, len })
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        self.pending_bytes += change.bytes();
        self.pending.push(change);
        if self.pending_bytes > UNSYNCED_BYTES_MAX { self.sync() } else { Ok(()) }
    }

    /// Makes every change durable.
    pub fn sync(&mut self) -> io::Result<()> {
        for change in self.pending.drain(..) {
            change.apply(&self.durable)?;
        }
        self.pending_bytes = 0;
        Ok(())
    }

    /// The power goes.
    pub fn cut(&mut self, dice: &mut StdRng) -> io::Result<Losses> {
        let pending = std::mem::take(&mut self.pending);
        let unsynced = std::mem::take(&mut self.pending_bytes);
        let dirty = u64::from(!pending.is_empty());
        let left = match dice.random_range(0..10) {
            0..3 => Left::Nothing,
            3..4 => Left::Everything,
            4..7 => Left::Torn,
            _ => Left::Scattered([0.1, 0.5, 0.9][dice.random_range(0..3)]),
        };
        let kept = match left {
            Left::Nothing => 0,
            Left::Everything => self.leave(&pending, dice, |_, _| 1.0)?,
            Left::Torn => {
                let torn = if pending.is_empty() { 0 } else { dice.random_range(0..pending.len()) };
                self.leave(&pending, dice, |at, _| match at.cmp(&torn) {
                    std::cmp::Ordering::Less => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Greater => 0.0,
                })?
            }
            Left::Scattered(chance) => self.leave(&pending, dice, |_, _| chance)?,
        };
        // The length may have reached the disk before the bytes.
        let durable = self.durable.metadata()?.len();
        if self.len > durable && !matches!(left, Left::Nothing) && dice.random_bool(0.3) {
            self.durable.set_len(self.len)?;
        }
        self.len = self.durable.metadata()?.len();
        Ok(Losses { dirty_files: dirty, unsynced_bytes: unsynced, lost_bytes: unsynced - kept, ..Losses::default() })
    }

    /// Leaves each sector of each change with the chance given for it. A sector is one of the states it was in: what was written
    /// to it after a change that is lost is lost too. Lengths take effect in order: after one that did not, nothing does.
    /// Answers the bytes left.
    fn leave(
        &mut self,
        pending: &[Change],
        dice: &mut StdRng,
        chance: impl Fn(usize, &Change) -> f64,
    ) -> io::Result<u64> {
        let (mut kept, mut lost) = (0, BTreeSet::new());
        for (number, change) in pending.iter().enumerate() {
            let chance = chance(number, change);
            match change {
                Change::Write { at, bytes } => {
                    for (from, to) in sectors(*at, bytes.len()) {
                        let sector = (at + from as u64) / SECTOR;
                        if lost.contains(&sector) || !dice.random_bool(chance) {
                            lost.insert(sector);
                            continue;
                        }
                        self.durable.write_all_at(&bytes[from..to], at + from as u64)?;
                        kept += (to - from) as u64;
                    }
                }
                Change::Zero { .. } | Change::Length(_) if dice.random_bool(chance) => change.apply(&self.durable)?,
                Change::Zero { .. } | Change::Length(_) => return Ok(kept),
            }
        }
        Ok(kept)
    }
}

/// Applies a change to bytes that were read from `start` on.
fn overlay(change: &Change, buffer: &mut [u8], start: u64) {
    let end = start + buffer.len() as u64;
    let window = |at: u64, len: u64| {
        let (from, to) = (at.max(start), at.saturating_add(len).min(end));
        (from < to).then_some((from, to))
    };
    match change {
        Change::Write { at, bytes } => {
            if let Some((from, to)) = window(*at, bytes.len() as u64) {
                let source = &bytes[(from - at) as usize..(to - at) as usize];
                buffer[(from - start) as usize..(to - start) as usize].copy_from_slice(source);
            }
        }
        Change::Zero { at, len } => {
            if let Some((from, to)) = window(*at, *len) {
                buffer[(from - start) as usize..(to - start) as usize].fill(0);
            }
        }
        // What lay behind the new end is zero if the file grows again.
        Change::Length(len) => {
            if let Some((from, to)) = window(*len, u64::MAX) {
                buffer[(from - start) as usize..(to - start) as usize].fill(0);
            }
        }
    }
}

/// The pieces of a write, cut at the disk's sectors.
fn sectors(at: u64, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let within = (at + from as u64) % SECTOR;
        let to = len.min(from + (SECTOR - within) as usize);
        let piece = (from < to).then_some((from, to));
        from = to;
        piece
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    fn image() -> (tempfile::TempDir, Image) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let image = Image::create(&directory.path().join("1")).expect("creatable");
        (directory, image)
    }

    fn all(image: &Image) -> Vec<u8> {
        image.read(0, usize::MAX).expect("readable")
    }

    #[test]
    fn what_is_read_is_what_was_written_synced_or_not() {
        let (_directory, mut image) = image();
        let mut model: Vec<u8> = Vec::new();
        let mut dice = StdRng::seed_from_u64(3);
        for step in 0..2000_u32 {
            let at = dice.random_range(0..4000);
            let len = dice.random_range(1..1500);
            match dice.random_range(0..10) {
                0 => image.sync().expect("writable"),
                1 => {
                    image.set_len(at as u64).expect("writable");
                    model.resize(at, 0);
                }
                2 => {
                    image.zero(at as u64, len as u64).expect("writable");
                    let end = model.len().min(at + len);
                    model[at.min(end)..end].fill(0);
                }
                _ => {
                    image.write(at as u64, &vec![step as u8; len]).expect("writable");
                    model.resize(model.len().max(at + len), 0);
                    model[at..at + len].fill(step as u8);
                }
            }
            assert!(all(&image) == model, "step {step}");
        }
    }

    #[test]
    fn synced_bytes_survive_every_cut_and_unsynced_sectors_are_old_or_new() {
        let mut torn = false;
        for seed in 0..200 {
            let (_directory, mut image) = image();
            image.write(0, &[1; 4096]).expect("writable");
            image.sync().expect("writable");
            image.write(1024, &[2; 2048]).expect("writable");
            image.write(4096, &[3; 1024]).expect("writable");
            let losses = image.cut(&mut StdRng::seed_from_u64(seed)).expect("writable");
            let left = all(&image);
            assert_eq!(losses.unsynced_bytes, 3072);
            assert!(left.len() >= 4096 && left[..1024] == [1; 1024] && left[3072..4096] == [1; 1024]);
            let pieces: Vec<&[u8]> = left[1024..3072].chunks(512).collect();
            assert!(pieces.iter().all(|piece| **piece == [1; 512] || **piece == [2; 512]), "seed {seed}");
            assert!(left[4096..].chunks(512).all(|piece| piece == [3; 512] || piece == [0; 512]), "seed {seed}");
            torn |= pieces.iter().any(|piece| piece[0] == 1) && pieces.iter().any(|piece| piece[0] == 2);
        }
        assert!(torn, "no seed tears a write");
    }

    #[test]
    fn of_a_sector_that_was_written_twice_the_second_write_is_not_left_alone() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..200 {
            let (_directory, mut image) = image();
            image.write(0, &[1; 100]).expect("writable");
            image.write(100, &[2; 100]).expect("writable");
            image.cut(&mut StdRng::seed_from_u64(seed)).expect("writable");
            let mut left = all(&image);
            left.resize(200, 0);
            outcomes.insert((left[0], left[100]));
        }
        assert_eq!(outcomes, BTreeSet::from([(0, 0), (1, 0), (1, 2)]));
    }

    #[test]
    fn nothing_written_after_an_unsynced_length_outlives_it() {
        for seed in 0..200 {
            let (_directory, mut image) = image();
            image.write(0, &[1; 2048]).expect("writable");
            image.sync().expect("writable");
            image.set_len(0).expect("writable");
            image.write(0, &[2; 512]).expect("writable");
            image.cut(&mut StdRng::seed_from_u64(seed)).expect("writable");
            let left = all(&image);
            let whole = left == [1; 2048];
            let cut = left.len() <= 512 && (left.iter().all(|byte| *byte == 2) || left.iter().all(|byte| *byte == 0));
            assert!(whole || cut, "seed {seed}: {} bytes", left.len());
        }
    }
}
