//! Reads whole blocks of a local chunk, each verified before it is handed out.
//!
//! A copy that does not verify, or that the disk refuses to read, is forgotten by the index: the chunk counts as missing here until it is
//! written anew.

use crate::chunks::{
    ChunkId, ReadError,
    extent::Extent,
    format::{RECORD_HEAD_BYTES, RecordHead, decode_table, head_and_table_bytes, record_bytes},
    index::{Index, Location},
    payload::{BLOCK_BYTES, Blocks, Payload, covering},
};
use bytes::Bytes;
use std::{io, ops::Range};

/// The blocks that cover bytes `range` of the chunk.
///
/// # Errors
/// [`ReadError::Damaged`] when the record cannot be read or does not verify.
pub fn read(index: &Index, id: ChunkId, range: &Range<u32>) -> Result<Blocks, ReadError> {
    let (location, extent) = index.find(id).ok_or(ReadError::Missing)?;
    if range.start >= range.end || range.end > location.len {
        return Err(ReadError::Range { range: range.clone(), len: location.len });
    }
    let blocks = read_record(&extent, id, &location, range).map_err(|why| give_up(index, id, location, why))?;
    metrics::counter!("bulkhead_chunk_bytes_read_total").increment(blocks.payload.data().len() as u64);
    Ok(blocks)
}

/// The whole payload of the record at `at`, if that is still the chunk's.
///
/// # Errors
/// [`ReadError::Missing`] when it is not.
pub fn read_at(index: &Index, id: ChunkId, at: Location) -> Result<Payload, ReadError> {
    let (_, extent) = index.find(id).filter(|(location, _)| *location == at).ok_or(ReadError::Missing)?;
    let blocks = read_record(&extent, id, &at, &(0..at.len)).map_err(|why| give_up(index, id, at, why))?;
    Ok(blocks.payload)
}

/// Whether the medium has the chunk whole at `at`, which the index need not name yet.
///
/// # Errors
/// [`ReadError::Damaged`] when it has not.
pub fn verify_at(index: &Index, id: ChunkId, at: Location) -> Result<(), ReadError> {
    let held = index.extent(at.extent).ok_or(ReadError::Missing)?;
    read_medium(&held.extent, id, &at).map(drop).map_err(ReadError::Damaged)
}

/// Reads the whole chunk from the medium. Returns the length of its payload.
///
/// # Errors
/// [`ReadError::Damaged`] when the record cannot be read or does not verify.
pub fn verify(index: &Index, id: ChunkId) -> Result<u32, ReadError> {
    let (location, extent) = index.find(id).ok_or(ReadError::Missing)?;
    read_medium(&extent, id, &location).map_err(|why| give_up(index, id, location, why))?;
    Ok(location.len)
}

/// The whole chunk, from the medium.
fn read_medium(extent: &Extent, id: ChunkId, location: &Location) -> Result<Blocks, String> {
    let end = location.offset() + record_bytes(location.len);
    extent.file.forget_cached(location.offset()..end).map_err(|error| error.to_string())?;
    read_record(extent, id, location, &(0..location.len))
}

fn give_up(index: &Index, id: ChunkId, damaged: Location, why: String) -> ReadError {
    metrics::counter!("bulkhead_chunk_damaged_total").increment(1);
    tracing::error!(chunk = %id, extent = %damaged.extent, offset = damaged.offset(), %why, "a chunk's local copy is damaged");
    index.forget(id, damaged);
    ReadError::Damaged(why)
}

fn read_record(extent: &Extent, id: ChunkId, location: &Location, range: &Range<u32>) -> Result<Blocks, String> {
    let blocks = covering(range);
    let (from, to) = (blocks.start * BLOCK_BYTES, (blocks.end * BLOCK_BYTES).min(location.len as usize));
    let payload_at = head_and_table_bytes(location.len);
    let reading = |error: io::Error| error.to_string();
    // Head and payload in one read when they lie together.
    let together = if from == 0 { payload_at + to } else { payload_at };
    let mut front = Vec::new();
    extent.file.read_at(&mut front, together, location.offset()).map_err(reading)?;
    let crcs = check_head(&front, extent, id, location)?;
    let data = if from == 0 {
        Bytes::from(front).slice(payload_at..)
    } else {
        let mut data = Vec::new();
        extent.file.read_at(&mut data, to - from, location.offset() + (payload_at + from) as u64).map_err(reading)?;
        Bytes::from(data)
    };
    let payload = Payload::verify(data, &crcs[blocks]).map_err(|bad| bad.to_string())?;
    let start = u32::try_from(from).map_err(|error| error.to_string())?;
    Ok(Blocks { start, payload })
}

/// The CRCs of all blocks, once the head is what the index expects.
fn check_head(front: &[u8], extent: &Extent, id: ChunkId, location: &Location) -> Result<Vec<u32>, String> {
    let head =
        RecordHead::decode(front, extent.nonce, location.offset()).map_err(|error| format!("its head: {error}"))?;
    if (head.id, head.len, head.table_crc) != (id, location.len, location.table_crc) {
        return Err("its head is another chunk's".to_owned());
    }
    let table = &front[RECORD_HEAD_BYTES..head_and_table_bytes(head.len)];
    decode_table(table, head.table_crc).map_err(|error| format!("its CRC table: {error}"))
}
