//! The routing table as bytes: what routers fetch and save. A quarter of the JSON's size, read piece by piece, and what has not changed
//! is shared with the table that is there.
//!
//! ```text
//! "BHRT" format:u8 version:u64
//! then sections: kind:u8 shard:u16 length:u32 payload      1 cells (JSON), 2 accounts, 3 buckets, 4 keys: one for each shard
//! the last one:  kind 0, and the SHA-256 of everything before it
//! ```
//! Numbers are little-endian. Format 1; later formats are told by their number and read by a decoder of their own.

use super::{RoutingTable, entry::Malformed, packed::SHARDS};
use sha2::{Digest as _, Sha256};

/// As which the table is asked for and answered.
pub const CONTENT_TYPE: &str = "application/vnd.bulkhead.routing-table";
/// The largest table that is taken, bytes: twice what a million accounts with five million buckets and two million keys need.
pub const TABLE_BYTES_MAX: usize = 512 << 20;
/// The largest section.
const SECTION_BYTES_MAX: usize = 64 << 20;
/// Pieces are put together up to this size, and one more section.
const PIECE_BYTES: usize = 256 << 10;

const MAGIC: &[u8; 4] = b"BHRT";
const FORMAT: u8 = 1;
const HEAD: usize = 4 + 1 + 8;
const SECTION_HEAD: usize = 1 + 2 + 4;
const END: u8 = 0;
const CELLS: u8 = 1;
const ACCOUNTS: u8 = 2;
const BUCKETS: u8 = 3;
const KEYS: u8 = 4;

/// The table's bytes, in pieces.
pub struct Pieces {
    table: RoutingTable,
    /// The kind and shard that come next; `None` once all are written.
    next: Option<(u8, usize)>,
    digest: Sha256,
}

/// A copy of the table in pieces: later changes of it do not show.
pub fn pieces(table: &RoutingTable) -> Pieces {
    Pieces { table: table.clone(), next: Some((CELLS, 0)), digest: Sha256::new() }
}

impl Pieces {
    fn section(&mut self, piece: &mut Vec<u8>, kind: u8, shard: usize) {
        let cells;
        let payload = match kind {
            CELLS => {
                cells = serde_json::to_vec(&self.table.cells).expect("cells have string keys and plain values");
                Some(&cells[..])
            }
            ACCOUNTS => self.table.accounts.shard(shard),
            BUCKETS => self.table.buckets.shard(shard),
            _ => self.table.keys.shard(shard),
        };
        if let Some(payload) = payload {
            let at = piece.len();
            write_section(piece, kind, shard, payload);
            self.digest.update(&piece[at..]);
        }
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut piece = Vec::with_capacity(PIECE_BYTES * 2);
        if self.next == Some((CELLS, 0)) {
            piece.extend_from_slice(MAGIC);
            piece.push(FORMAT);
            piece.extend_from_slice(&self.table.version.to_le_bytes());
            self.digest.update(&piece);
        }
        while let Some((kind, shard)) = self.next
            && piece.len() < PIECE_BYTES
        {
            if kind > KEYS {
                let digest = std::mem::take(&mut self.digest).finalize();
                write_section(&mut piece, END, 0, &digest);
                self.next = None;
                break;
            }
            self.section(&mut piece, kind, shard);
            let last = kind == CELLS || shard + 1 == SHARDS;
            self.next = Some(if last { (kind + 1, 0) } else { (kind, shard + 1) });
        }
        (!piece.is_empty()).then_some(piece)
    }
}

fn write_section(piece: &mut Vec<u8>, kind: u8, shard: usize, payload: &[u8]) {
    piece.push(kind);
    piece.extend_from_slice(&u16::try_from(shard).unwrap_or(u16::MAX).to_le_bytes());
    piece.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    piece.extend_from_slice(payload);
}

/// Puts a table together from pieces of any size, in their order.
pub struct Decoder {
    base: RoutingTable,
    table: RoutingTable,
    /// What was taken and not understood yet: less than a section.
    rest: Vec<u8>,
    taken: usize,
    digest: Sha256,
    begun: bool,
    has_cells: bool,
    ended: bool,
}

impl Decoder {
    /// What is the same in `base` is shared with it.
    pub fn new(base: &RoutingTable) -> Self {
        let table = RoutingTable {
            accounts: base.accounts.sibling(),
            buckets: base.buckets.sibling(),
            keys: base.keys.sibling(),
            ..RoutingTable::default()
        };
        Self {
            base: base.clone(),
            table,
            rest: Vec::new(),
            taken: 0,
            digest: Sha256::new(),
            begun: false,
            has_cells: false,
            ended: false,
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Malformed`] when they cannot belong to a table.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.taken += bytes.len();
        if self.taken > TABLE_BYTES_MAX {
            return Err(Malformed("it is larger than any table may be"));
        }
        let mut rest = std::mem::take(&mut self.rest);
        rest.extend_from_slice(bytes);
        let mut read = 0;
        while let Some(more) = self.step(&rest[read..])? {
            read += more;
        }
        rest.drain(..read);
        self.rest = rest;
        Ok(())
    }

    /// The table, when all of it was taken.
    ///
    /// # Errors
    /// [`Malformed`] when something is missing.
    pub fn finish(self) -> Result<RoutingTable, Malformed> {
        if self.ended && self.rest.is_empty() {
            Ok(self.table)
        } else {
            Err(Malformed("it is cut off, or more follows"))
        }
    }

    /// Understands what comes first; says how many bytes that was, or that there are not enough yet.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        if !self.begun {
            let Some(head) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
            let [a, b, c, d, format, version @ ..] = *head;
            if [a, b, c, d] != *MAGIC || format != FORMAT {
                return Err(Malformed("it is no routing table, or one in a format that is not known here"));
            }
            self.table.version = u64::from_le_bytes(version);
            (self.begun, self.digest) = (true, Sha256::new_with_prefix(head));
            return Ok(Some(HEAD));
        }
        let Some([kind, s0, s1, l0, l1, l2, l3]) = bytes.first_chunk::<SECTION_HEAD>().copied() else {
            return Ok(None);
        };
        let shard = usize::from(u16::from_le_bytes([s0, s1]));
        let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if self.ended || len > SECTION_BYTES_MAX {
            return Err(Malformed("a section follows the last one, or is larger than any may be"));
        }
        let end = SECTION_HEAD + len;
        let Some(payload) = bytes.get(SECTION_HEAD..end) else { return Ok(None) };
        self.take(kind, shard, payload)?;
        self.digest.update(&bytes[..end]);
        Ok(Some(end))
    }

    fn take(&mut self, kind: u8, shard: usize, payload: &[u8]) -> Result<(), Malformed> {
        match kind {
            ACCOUNTS => self.table.accounts.take_shard(shard, payload, &self.base.accounts),
            BUCKETS => self.table.buckets.take_shard(shard, payload, &self.base.buckets),
            KEYS => self.table.keys.take_shard(shard, payload, &self.base.keys),
            CELLS => {
                self.table.cells =
                    serde_json::from_slice(payload).map_err(|_| Malformed("its cells cannot be read"))?;
                self.has_cells = true;
                Ok(())
            }
            END if shard == 0 => {
                let digest = std::mem::take(&mut self.digest).finalize();
                self.ended = self.has_cells && digest[..] == *payload;
                if self.ended {
                    Ok(())
                } else {
                    Err(Malformed("it is damaged: its bytes do not have the hash it names"))
                }
            }
            _ => Err(Malformed("it has a section of a kind that is not known here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AccessKeyId, AccountId, Epoch, NodeId,
        routing::{Home, NodeRoute},
    };

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    fn key(n: u64) -> AccessKeyId {
        format!("AKIA{n:016}").parse().expect("20 of A-Z and 0-9")
    }

    fn table(accounts: u64) -> RoutingTable {
        let route = NodeRoute {
            node: NodeId(1),
            az: "az-a".parse().expect("a label"),
            s3: "127.0.0.1:9000".parse().expect("an address"),
        };
        let home = |n| Home { cell: format!("c{}", n % 7).parse().expect("a label"), epoch: Epoch(n) };
        RoutingTable {
            version: 42,
            cells: [("c1".parse().expect("a label"), vec![route])].into(),
            accounts: (0..accounts).map(|n| (account(n), home(n))).collect(),
            buckets: (0..accounts * 5).map(|n| (format!("bucket-{n}"), account(n / 5))).collect(),
            keys: (0..accounts * 2).map(|n| (key(n), account(n / 2))).collect(),
        }
    }

    fn bytes(table: &RoutingTable) -> Vec<u8> {
        pieces(table).flatten().collect()
    }

    fn decode(bytes: &[u8], piece: usize) -> Result<RoutingTable, Malformed> {
        let mut decoder = Decoder::new(&RoutingTable::default());
        bytes.chunks(piece).try_for_each(|piece| decoder.push(piece))?;
        decoder.finish()
    }

    #[test]
    fn a_table_survives_its_bytes_in_pieces_of_any_size() {
        for accounts in [0, 1, 3_000] {
            let (table, bytes) = (table(accounts), bytes(&table(accounts)));
            for piece in [1_000, 65_536, usize::MAX] {
                assert_eq!(decode(&bytes, piece.min(bytes.len())).expect("whole"), table);
            }
        }
        assert_eq!(decode(&bytes(&table(2)), 1).expect("whole"), table(2));
    }

    #[test]
    fn what_is_unchanged_is_shared_with_the_table_that_is_there() {
        let old = table(3_000);
        let mut new = old.clone();
        new.version += 1;
        new.buckets.insert("another".into(), account(1));
        let mut decoder = Decoder::new(&old);
        decoder.push(&bytes(&new)).expect("whole");
        let read = decoder.finish().expect("whole");
        assert_eq!(read, new);
        let shard = |table: &RoutingTable, at| table.buckets.shard(at).map(<[u8]>::as_ptr);
        let differing = (0..SHARDS).filter(|&at| shard(&read, at) != shard(&old, at)).count();
        assert_eq!(differing, 1, "only the changed shard has bytes of its own");
    }

    #[test]
    fn format_1_has_the_bytes_it_was_released_with() {
        let mut table = RoutingTable { version: 7, ..RoutingTable::default() };
        table.accounts.insert(account(0), Home { cell: "c1".parse().expect("a label"), epoch: Epoch(3) });
        table.buckets.insert("b".into(), account(0));
        table.keys.insert(key(1), account(0));
        let golden = include_str!("binary_v1.hex").split_whitespace().collect::<String>();
        assert_eq!(hex::encode(bytes(&table)), golden);
        assert_eq!(decode(&hex::decode(golden).expect("hex"), 16).expect("format 1"), table);
    }

    #[test]
    fn a_damaged_or_short_table_is_refused_at_every_byte() {
        let bytes = bytes(&table(2));
        for at in 0..bytes.len() {
            assert!(decode(&bytes[..at], 4_096).is_err(), "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(decode(&damaged, 4_096).is_err(), "a bit turned over at {at}");
        }
        assert!(decode(&[&bytes[..], b"x"].concat(), 4_096).is_err(), "more follows");
    }

    #[test]
    fn a_length_from_outside_does_not_reserve_memory() {
        let mut bytes = bytes(&RoutingTable::default())[..HEAD].to_vec();
        bytes.extend_from_slice(&[BUCKETS, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert!(decode(&bytes, 64).is_err());
    }
}
