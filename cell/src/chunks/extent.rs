//! One extent file: its name, how it begins, how it is sealed.

use crate::chunks::{
    disk::{Disk, DiskFile},
    format::{ExtentHeader, FooterEntry, PAGE_BYTES, encode_footer},
};
use bulkhead_model::NodeId;
use std::{
    fmt,
    io::{self, IoSlice},
    sync::Arc,
};

const SUFFIX: &str = ".extent";
const UNFINISHED_SUFFIX: &str = ".new";
const TRASH_SUFFIX: &str = ".trash";

/// The number of an extent: larger than that of every extent of the node that was there when it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtentId(pub u32);

impl fmt::Display for ExtentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{SUFFIX}", self.0)
    }
}

/// What a file name in the directory stands for.
#[derive(Debug, PartialEq, Eq)]
pub enum FileName {
    Extent(ExtentId),
    /// Emptied by compaction, and not removed yet.
    Trash(ExtentId),
    /// A crash came between the creation of an extent and its first record: it holds nothing.
    Unfinished,
    Foreign,
}

impl FileName {
    pub fn parse(name: &str) -> Self {
        if name.ends_with(UNFINISHED_SUFFIX) {
            return Self::Unfinished;
        }
        match name.strip_suffix(TRASH_SUFFIX) {
            Some(name) => ExtentId::parse(name).map_or(Self::Foreign, Self::Trash),
            None => ExtentId::parse(name).map_or(Self::Foreign, Self::Extent),
        }
    }
}

impl ExtentId {
    fn parse(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(SUFFIX)?;
        let hexadecimal = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        u32::from_str_radix(digits, 16).ok().filter(|_| hexadecimal).map(Self)
    }

    /// Its name while it is in trash.
    pub fn in_trash(self) -> String {
        format!("{self}{TRASH_SUFFIX}")
    }
}

/// An extent that can be read.
pub struct Extent {
    pub id: ExtentId,
    pub nonce: u64,
    pub file: Arc<dyn DiskFile>,
}

impl Extent {
    /// Creates an extent of `len` bytes. It exists under its name only with its header on stable storage, read back from there: without it
    /// the records behind it could not be told from anything else after a crash.
    pub fn create(disk: &dyn Disk, node: NodeId, id: ExtentId, nonce: u64, len: u64) -> io::Result<Self> {
        let (name, unfinished) = (id.to_string(), format!("{id}{UNFINISHED_SUFFIX}"));
        let file = disk.create(&unfinished, len)?;
        let header = ExtentHeader { node, extent: id.0, nonce }.encode();
        let begun = file
            .write_at(&mut [IoSlice::new(&header)], 0)
            .and_then(|()| file.sync())
            .and_then(|()| check_header(&*file, &header))
            .and_then(|()| disk.rename(&unfinished, &name));
        if let Err(error) = begun {
            // Its space would be lost until the next open. Should this fail as well, the next open removes it.
            drop(disk.remove(&unfinished));
            return Err(error);
        }
        Ok(Self { id, nonce, file })
    }

    /// Writes the footer at `offset`, behind the last record, and gives the rest of the file back. Afterwards the extent never changes.
    pub fn seal(&self, entries: &[FooterEntry], offset: u64) -> io::Result<()> {
        let footer = encode_footer(entries, self.nonce, offset);
        self.file.write_at(&mut [IoSlice::new(&footer)], offset)?;
        self.file.sync()?;
        // The trailer is found at the end of the file. Should a crash come before the cut, the extent is scanned and sealed again.
        self.file.set_len(offset + footer.len() as u64)?;
        self.file.sync()
    }
}

fn check_header(file: &dyn DiskFile, header: &[u8]) -> io::Result<()> {
    file.forget_cached(0..PAGE_BYTES)?;
    let mut read = Vec::new();
    file.read_at(&mut read, header.len(), 0)?;
    if read == header { Ok(()) } else { Err(io::Error::other("the header reads back otherwise")) }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_is() {
        assert_eq!(ExtentId(0x1f).to_string(), "0000001f.extent");
        assert_eq!(ExtentId(0x1f).in_trash(), "0000001f.extent.trash");
        for (name, meaning) in [
            ("0000001f.extent", FileName::Extent(ExtentId(0x1f))),
            ("0000001f.extent.new", FileName::Unfinished),
            ("0000001f.extent.trash", FileName::Trash(ExtentId(0x1f))),
            ("0000001f.trash", FileName::Foreign),
            ("1f.extent", FileName::Foreign),
            ("+000001f.extent", FileName::Foreign),
            ("lost+found", FileName::Foreign),
        ] {
            assert_eq!(FileName::parse(name), meaning, "{name}");
        }
    }
}
