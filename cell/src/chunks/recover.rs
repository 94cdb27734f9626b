//! Opens a directory of extents: rebuilds the index, and leaves every extent sealed.
//!
//! An extent of an earlier life is never written to again. One without a footer is first made durable and forgotten by the page cache, so
//! that what the scan finds is what the medium holds: after a failed sync, memory may hold records that no disk has.

use crate::chunks::{
    OpenError, contents,
    disk::Disk,
    extent::{Extent, ExtentId, FileName},
    format::{ExtentHeader, FORMAT_VERSION, FooterEntry, FormatError, PAGE_BYTES},
    index::{ExtentState, Held, Index, Location, Usage},
    reader,
    scan::Scanned,
};
use bulkhead_model::NodeId;
use std::sync::Arc;

/// What was found, for the log and the metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The first number no extent has had.
    pub next: u32,
    pub chunks: usize,
    /// Extents that had to be scanned.
    pub scanned: usize,
    /// Records with a valid head and a bad payload, of those whose payload was read.
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
    for name in &names {
        match FileName::parse(name) {
            FileName::Extent(id) => {
                found.next = found.next.max(id.0.saturating_add(1));
                recover_extent(disk, node, id, index, &mut found)?;
            }
            FileName::Trash(id) => {
                found.next = found.next.max(id.0.saturating_add(1));
                if take_back(disk, id, &names, &mut found) {
                    recover_extent(disk, node, id, index, &mut found)?;
                }
            }
            FileName::Unfinished => remove(disk, name, &mut found),
            FileName::Foreign => tracing::warn!(name, "the chunk directory holds a foreign file"),
        }
    }
    found.chunks = index.chunks();
    Ok(found)
}

/// An extent that was in trash is used again: what was known of its records to be garbage is forgotten. Those that were moved count at their
/// new places, which lie in younger extents.
fn take_back(disk: &dyn Disk, id: ExtentId, names: &[String], found: &mut Recovered) -> bool {
    if names.binary_search(&id.to_string()).is_ok() {
        tracing::error!(extent = %id, "an extent is in use and in trash: what is in trash is left alone");
        return false;
    }
    let renamed = disk.rename(&id.in_trash(), &id.to_string());
    if let Err(error) = &renamed {
        // All that was needed of it was moved before it came to trash. It is left for the next open.
        tracing::error!(extent = %id, %error, "an extent could not be taken out of trash");
        found.suspect = true;
    }
    renamed.is_ok()
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
    let header = contents::read(&*file, 0, PAGE_BYTES.min(len)).map(|page| ExtentHeader::decode(&page));
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
    if let Some((trailer, entries)) = contents::footer(&*file, len) {
        let used = trailer.entries_offset.saturating_sub(PAGE_BYTES);
        let extent = Arc::new(Extent { id, nonce: trailer.nonce, file });
        add(index, Held::new(extent, Usage::new(ExtentState::Sealed, used)), &entries, found);
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
    let scanned = match contents::scan_medium(&extent) {
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
    let entries = (state != ExtentState::Sealed).then(|| scanned.entries[..].into());
    add(index, Held { extent: Arc::new(extent), usage: Usage::new(state, used), entries }, &scanned.entries, found);
}

fn seal(extent: &Extent, scanned: &Scanned) -> ExtentState {
    if scanned.unreadable > 0 {
        tracing::error!(extent = ?extent, unreadable = scanned.unreadable, "an extent is not wholly readable: it stays unsealed");
        return ExtentState::Kept;
    }
    match extent.seal(&scanned.entries, scanned.end) {
        Ok(()) => ExtentState::Sealed,
        Err(error) => {
            tracing::error!(extent = ?extent, %error, "an extent could not be sealed");
            ExtentState::Failed
        }
    }
}

/// The younger of two records of a chunk counts when it is whole: a copy that did not verify when it was made never took the older one's place.
fn add(index: &Index, held: Held, entries: &[FooterEntry], found: &mut Recovered) {
    let id = held.extent.id;
    index.add_extent(held);
    for entry in entries {
        let (chunk, location) = (entry.head.id, Location::new(id, entry));
        match index.get(chunk).map(|_| reader::verify_at(index, chunk, location)) {
            None | Some(Ok(())) => index.insert(chunk, location),
            Some(Err(why)) => {
                tracing::error!(%chunk, extent = %id, %why, "the younger of two records is damaged: the older counts");
                found.damaged_records += 1;
            }
        }
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
