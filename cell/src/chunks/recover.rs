//! Opens a directory of extents: rebuilds the index, and leaves every extent sealed.
//!
//! An extent of an earlier life is never written to again. One without a footer is first made durable and forgotten by the page cache, so
//! that what the scan finds is what the medium holds: after a failed sync, memory may hold records that no disk has.

use crate::chunks::{
    OpenError,
    disk::{Disk, DiskFile},
    extent::{Extent, ExtentId, FileName},
    format::{ExtentHeader, FORMAT_VERSION, FooterEntry, FormatError, PAGE_BYTES, Trailer, decode_entries},
    index::{ExtentState, Index, Location, Usage},
    scan::{Scanned, scan},
};
use bulkhead_model::NodeId;
use std::{io, sync::Arc};

/// What was found, for the log and the metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The first number no extent has had.
    pub next: u32,
    pub chunks: usize,
    /// Extents that had to be scanned.
    pub scanned: usize,
    /// Records with a valid head and a bad payload in the scanned extents.
    pub damaged_records: usize,
    /// Extents of which nothing can be read. They are left alone; repair fetches their chunks from other nodes.
    pub damaged_extents: usize,
    /// Whether the disk refused to seal an extent.
    pub suspect: bool,
}

/// Fills `index` with every chunk of the directory.
///
/// # Errors
/// When the directory cannot be listed, belongs to another node, or was written by a newer build. A damaged extent is not an error.
pub fn recover(disk: &dyn Disk, node: NodeId, index: &Index) -> Result<Recovered, OpenError> {
    let mut names = disk.list().map_err(|source| OpenError::Io { what: "listing the extents", source })?;
    names.sort();
    let mut found = Recovered::default();
    for name in names {
        match FileName::parse(&name) {
            FileName::Extent(id) => {
                found.next = id.0.saturating_add(1);
                recover_extent(disk, node, id, index, &mut found)?;
            }
            FileName::Unfinished => remove(disk, &name, &mut found),
            FileName::Foreign => tracing::warn!(name, "the chunk directory holds a foreign file"),
        }
    }
    found.chunks = index.chunks();
    Ok(found)
}

fn recover_extent(
    disk: &dyn Disk,
    node: NodeId,
    id: ExtentId,
    index: &Index,
    found: &mut Recovered,
) -> Result<(), OpenError> {
    let opened = disk.open(&id.to_string()).and_then(|file| file.len().map(|len| (file, len)));
    let (file, len) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            damaged(id, &error, found);
            return Ok(());
        }
    };
    let header = read(&*file, 0, PAGE_BYTES.min(len)).map(|page| ExtentHeader::decode(&page));
    let header = match header {
        Ok(Ok(header)) if header.node != node => {
            return Err(OpenError::OtherNode { expected: node.0, found: header.node.0 });
        }
        Ok(Err(FormatError::Version(version))) => {
            return Err(OpenError::Version { name: id.to_string(), found: version, newest: FORMAT_VERSION });
        }
        Ok(Ok(header)) => Some(header),
        Ok(Err(_)) | Err(_) => None,
    };
    if let Some((trailer, entries)) = read_footer(&*file, len) {
        let used = trailer.entries_offset.saturating_sub(PAGE_BYTES);
        let extent = Arc::new(Extent { id, nonce: trailer.nonce, file });
        add(index, extent, &entries, Usage::new(ExtentState::Sealed, used));
    } else if let Some(header) = header {
        recover_unsealed(disk, Extent { id, nonce: header.nonce, file }, index, found);
    } else {
        damaged(id, &"neither header nor footer is readable", found);
    }
    Ok(())
}

fn recover_unsealed(disk: &dyn Disk, extent: Extent, index: &Index, found: &mut Recovered) {
    found.scanned += 1;
    // An error of this sync is not lost: what it did not write, the scan does not find.
    if let Err(error) = extent.file.sync() {
        tracing::error!(extent = ?extent, %error, "an extent could not be synced");
        found.suspect = true;
    }
    let scanned = match scan_medium(&extent) {
        Ok(scanned) => scanned,
        Err(error) => return damaged(extent.id, &error, found),
    };
    found.damaged_records += scanned.damaged;
    tracing::info!(extent = ?extent, records = scanned.entries.len(), damaged = scanned.damaged, "an extent without a footer was scanned");
    if scanned.end == PAGE_BYTES {
        return remove(disk, &extent.id.to_string(), found);
    }
    let state = seal(&extent, &scanned);
    found.suspect |= state != ExtentState::Sealed;
    let used = if state == ExtentState::Sealed { scanned.end } else { scanned.len }.saturating_sub(PAGE_BYTES);
    add(index, Arc::new(extent), &scanned.entries, Usage::new(state, used));
}

/// What the medium holds, whatever memory says.
fn scan_medium(extent: &Extent) -> io::Result<Scanned> {
    extent.file.forget_cached(0..extent.file.len()?)?;
    scan(&*extent.file, extent.nonce)
}

fn seal(extent: &Extent, scanned: &Scanned) -> ExtentState {
    if scanned.unreadable > 0 {
        tracing::error!(extent = ?extent, unreadable = scanned.unreadable, "an extent is not wholly readable: it stays unsealed");
        return ExtentState::Unreadable;
    }
    match extent.seal(&scanned.entries, scanned.end) {
        Ok(()) => ExtentState::Sealed,
        Err(error) => {
            tracing::error!(extent = ?extent, %error, "an extent could not be sealed");
            ExtentState::Failed
        }
    }
}

fn read_footer(file: &dyn DiskFile, len: u64) -> Option<(Trailer, Vec<FooterEntry>)> {
    let trailer_at = len.checked_sub(PAGE_BYTES)?;
    let trailer = Trailer::decode(&read(file, trailer_at, PAGE_BYTES).ok()?, trailer_at).ok()?;
    let entries = read(file, trailer.entries_offset, trailer.entries_bytes()).ok()?;
    Some((trailer, decode_entries(&entries, &trailer).ok()?))
}

fn read(file: &dyn DiskFile, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_at(&mut bytes, usize::try_from(len).map_err(|_| io::ErrorKind::InvalidData)?, offset)?;
    Ok(bytes)
}

fn add(index: &Index, extent: Arc<Extent>, entries: &[FooterEntry], usage: Usage) {
    let id = extent.id;
    index.add_extent(extent, usage);
    for entry in entries {
        index.insert(entry.head.id, Location::new(id, entry));
    }
}

fn remove(disk: &dyn Disk, name: &str, found: &mut Recovered) {
    if let Err(error) = disk.remove(name) {
        tracing::error!(name, %error, "an empty extent could not be removed");
        found.suspect = true;
    }
}

fn damaged(id: ExtentId, why: &dyn std::fmt::Display, found: &mut Recovered) {
    tracing::error!(extent = %id, %why, "an extent is unreadable; its chunks will be read from other nodes");
    found.damaged_extents += 1;
}
