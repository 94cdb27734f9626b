//! Ranges: what a client asks for, what an object has, and which chunks hold it. Pure.

use super::error::OpError;
use crate::{
    chunks::ChunkId,
    meta::record::{BlobId, Segment},
};
use std::ops::Range;

/// A range as asked for. Always one: several ranges in one request are answered with the whole object, as S3 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeSpec {
    /// `bytes=first-`
    From { first: u64 },
    /// `bytes=first-last`, both included.
    Span { first: u64, last: u64 },
    /// `bytes=-len`: the last `len` bytes.
    Suffix { len: u64 },
}

/// The bytes of an object of `len` bytes that `spec` asks for; never empty.
///
/// # Errors
/// [`OpError::InvalidRange`] when there are none.
pub fn resolve(spec: RangeSpec, len: u64) -> Result<Range<u64>, OpError> {
    let range = match spec {
        RangeSpec::From { first } => first..len,
        RangeSpec::Span { first, last } => first..last.saturating_add(1).min(len),
        RangeSpec::Suffix { len: wanted } => len.saturating_sub(wanted)..len,
    };
    if range.start < range.end { Ok(range) } else { Err(OpError::InvalidRange { len }) }
}

/// Part of one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub chunk: ChunkId,
    /// Bytes of the chunk wanted; never empty.
    pub range: Range<u32>,
}

/// The name of chunk `index` of a blob.
pub fn chunk_id(blob: BlobId, index: u32) -> ChunkId {
    ChunkId { blob: blob.into(), index }
}

/// The pieces that make up a range of segments laid end to end, in order. An iterator, because the largest object has more
/// than a million chunks.
#[derive(Debug, Clone)]
pub struct Pieces {
    segments: std::vec::IntoIter<Segment>,
    current: Option<Segment>,
    /// Where in the current segment to go on.
    offset: u64,
    /// Bytes still to come.
    left: u64,
    piece_bytes_max: u32,
}

impl Pieces {
    /// The pieces of `range`, each at most `piece_bytes_max` (at least 1) and within one chunk. Bytes beyond the segments are
    /// left out.
    pub fn new(segments: Vec<Segment>, range: Range<u64>, piece_bytes_max: u32) -> Self {
        let mut segments = segments.into_iter();
        let mut offset = range.start;
        let mut current = segments.next();
        while let Some(segment) = current
            && offset >= segment.len
        {
            offset -= segment.len;
            current = segments.next();
        }
        Self { segments, current, offset, left: range.end.saturating_sub(range.start), piece_bytes_max }
    }
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let segment = self.current.filter(|_| self.left > 0)?;
        let chunk_bytes = u64::from(segment.chunk_bytes);
        let index = self.offset / chunk_bytes;
        let start = self.offset % chunk_bytes;
        let len = (chunk_bytes - start).min(segment.len - self.offset).min(self.left).min(self.piece_bytes_max.into());
        self.offset += len;
        self.left -= len;
        if self.offset >= segment.len {
            // A segment of no bytes would never end.
            self.current = self.segments.find(|next| next.len > 0);
            self.offset = 0;
        }
        Some(Piece {
            chunk: chunk_id(
                segment.blob,
                u32::try_from(index).expect("an object of 5 TiB in chunks of 64 KiB has fewer"),
            ),
            range: narrow(start)..narrow(start + len),
        })
    }
}

fn narrow(offset: u64) -> u32 {
    u32::try_from(offset).expect("offsets within a chunk are at most its size, which is a u32")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::record::UploadEpoch;
    use proptest::prelude::*;

    #[test]
    fn what_is_asked_for_and_what_there_is() {
        let from = |first| RangeSpec::From { first };
        let span = |first, last| RangeSpec::Span { first, last };
        let suffix = |len| RangeSpec::Suffix { len };
        for (spec, len, expected) in [
            (from(0), 10, Some(0..10)),
            (from(9), 10, Some(9..10)),
            (from(10), 10, None),
            (from(0), 0, None),
            (span(0, 0), 10, Some(0..1)),
            (span(2, 5), 10, Some(2..6)),
            (span(2, 99), 10, Some(2..10)),
            (span(0, u64::MAX), 10, Some(0..10)),
            (span(5, 2), 10, None),
            (span(10, 11), 10, None),
            (suffix(3), 10, Some(7..10)),
            (suffix(99), 10, Some(0..10)),
            (suffix(0), 10, None),
            (suffix(1), 0, None),
        ] {
            assert_eq!(resolve(spec, len).ok(), expected, "{spec:?} of {len}");
        }
    }

    /// Every byte of the object, as (blob, chunk, offset in the chunk).
    fn all_bytes(segments: &[Segment]) -> Vec<(u64, u32, u32)> {
        let of_segment = |segment: &Segment| {
            let (blob, chunk) = (segment.blob.number, u64::from(segment.chunk_bytes));
            (0..segment.len).map(move |at| (blob, narrow(at / chunk), narrow(at % chunk)))
        };
        segments.iter().flat_map(of_segment).collect()
    }

    proptest! {
        #[test]
        fn pieces_are_exactly_the_bytes_of_the_range(
            lens in prop::collection::vec(0_u64..40, 0..6),
            chunk_bytes in 1_u32..12,
            piece_bytes_max in 1_u32..12,
            (start, len) in (0_u64..200, 0_u64..200),
        ) {
            let segment = |(number, &len)| {
                Segment { blob: BlobId { epoch: UploadEpoch(0), number: number as u64 }, len, chunk_bytes }
            };
            let segments: Vec<_> = lens.iter().enumerate().map(segment).collect();
            let all = all_bytes(&segments);
            let end = (start + len).min(all.len() as u64);
            let start = start.min(end);
            let expected = &all[start as usize..end as usize];
            let mut found = vec![];
            for piece in Pieces::new(segments, start..end, piece_bytes_max) {
                prop_assert!(!piece.range.is_empty() && piece.range.len() <= piece_bytes_max as usize);
                prop_assert!(piece.range.end <= chunk_bytes);
                found.extend(piece.range.map(|at| (piece.chunk.blob as u64, piece.chunk.index, at)));
            }
            prop_assert_eq!(found.as_slice(), expected);
        }
    }
}
