//! What an extent file holds: by its footer when it has one that is whole, else by reading all of it.

use crate::chunks::{
    disk::DiskFile,
    extent::Extent,
    format::{FooterEntry, PAGE_BYTES, Trailer, decode_entries},
    scan::{Scanned, scan},
};
use std::io;

/// The footer of a file of `len` bytes, if it has one.
pub fn footer(file: &dyn DiskFile, len: u64) -> Option<(Trailer, Vec<FooterEntry>)> {
    let trailer_at = len.checked_sub(PAGE_BYTES)?;
    let trailer = Trailer::decode(&read(file, trailer_at, PAGE_BYTES).ok()?, trailer_at).ok()?;
    let entries = read(file, trailer.entries_offset, trailer.entries_bytes()).ok()?;
    Some((trailer, decode_entries(&entries, &trailer).ok()?))
}

/// What the medium holds of an extent, whatever memory says.
///
/// # Errors
/// When the file's length cannot be read, or memory cannot be made to forget.
pub fn scan_medium(extent: &Extent) -> io::Result<Scanned> {
    extent.file.forget_cached(0..extent.file.len()?)?;
    scan(&*extent.file, extent.nonce)
}

/// Every record of a sealed extent.
///
/// # Errors
/// When neither its footer nor all of it can be read.
pub fn sealed(extent: &Extent) -> io::Result<Vec<FooterEntry>> {
    let footer = footer(&*extent.file, extent.file.len()?).filter(|(trailer, _)| trailer.nonce == extent.nonce);
    if let Some((_, entries)) = footer {
        return Ok(entries);
    }
    tracing::warn!(extent = ?extent, "the footer of a sealed extent is damaged: all of it is read");
    let scanned = scan_medium(extent)?;
    if scanned.unreadable > 0 {
        return Err(io::Error::other(format!("{} of its parts cannot be read", scanned.unreadable)));
    }
    Ok(scanned.entries)
}

/// `len` bytes at `offset`.
pub fn read(file: &dyn DiskFile, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_at(&mut bytes, usize::try_from(len).map_err(|_| io::ErrorKind::InvalidData)?, offset)?;
    Ok(bytes)
}
