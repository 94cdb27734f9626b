//! What a body must be to be taken in, and what is kept in memory meanwhile.

use super::*;
use crate::{
    meta::record::ChecksumAlgorithm,
    ops::{
        body::{BodyError, ChecksumValue, Stated, StatedChecksum},
        checksum::Hasher,
        error::Digest,
    },
};
use md5::Digest as _;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const CHUNK: usize = 4 << 20;
const INLINE: usize = 16 << 10;
const CUT: Cut = Cut { inline_bytes_max: Some(INLINE as u32), chunk_bytes: CHUNK as u32 };

fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

/// A body that arrives in pieces which fit no chunk, claiming to have `declared` bytes.
fn body(content: &Bytes, declared: Option<usize>) -> Body {
    let pieces: Vec<_> = content.chunks(100_003).map(|piece| Ok(content.slice_ref(piece))).collect();
    let len = declared.map(|declared| declared as u64);
    Body { stream: Box::pin(stream::iter(pieces)), len, stated: Stated::default() }
}

/// Takes a body in and returns it with the chunks that were stored, in order.
async fn take(body: Body, cut: Cut) -> (Result<Ingested, OpError>, Vec<Bytes>) {
    let budget = Budget::new(64 << 20);
    let chunks = Mutex::new(vec![]);
    let store = |index: u32, chunk: Bytes| {
        chunks.lock().push((index, chunk));
        ready(Ok(()))
    };
    let result = ingest(body, cut, &budget, store).await;
    let mut chunks = chunks.into_inner();
    chunks.sort_by_key(|(index, _)| *index);
    assert!(chunks.iter().zip(0..).all(|((index, _), expected)| *index == expected));
    (result, chunks.into_iter().map(|(_, chunk)| chunk).collect())
}

#[tokio::test]
async fn a_body_of_any_size_is_kept_whole_or_cut_at_chunk_boundaries() {
    for (len, chunks_expected) in
        [(0, 0), (1, 0), (INLINE, 0), (INLINE + 1, 1), (CHUNK - 1, 1), (CHUNK, 1), (CHUNK + 1, 2), (3 * CHUNK, 3)]
    {
        let content = bytes(len);
        for declared in [Some(len), None] {
            let (ingested, chunks) = take(body(&content, declared), CUT).await;
            let ingested = ingested.expect("an honest body");
            assert_eq!(chunks.len(), chunks_expected, "{len} bytes");
            assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() == CHUNK));
            let kept = ingested.inline.clone().unwrap_or_else(|| chunks.concat().into());
            assert_eq!((ingested.len, kept == content), (len as u64, true), "{len} bytes");
            assert_eq!(ingested.etag.md5, <[u8; 16]>::from(md5::Md5::digest(&content)));
        }
    }
}

#[tokio::test]
async fn a_part_is_always_stored_unless_it_is_empty() {
    let cut = Cut { inline_bytes_max: None, ..CUT };
    assert_eq!(take(body(&bytes(1), Some(1)), cut).await.1, [bytes(1)]);
    let (ingested, chunks) = take(body(&bytes(0), Some(0)), cut).await;
    assert_eq!((ingested.expect("taken").len, chunks.len()), (0, 0));
}

#[tokio::test]
async fn a_body_shorter_or_longer_than_declared_is_refused() {
    for len in [10, INLINE + 10, CHUNK, 2 * CHUNK] {
        let content = bytes(len);
        let (short, _) = take(body(&content, Some(len + 1)), CUT).await;
        assert!(matches!(short, Err(OpError::IncompleteBody { .. })), "{len}: {short:?}");
        let (long, _) = take(body(&content, Some(len - 1)), CUT).await;
        assert!(matches!(long, Err(OpError::BodyLongerThanDeclared { .. })), "{len}: {long:?}");
        let (long, _) = take(body(&content, Some(0)), CUT).await;
        assert!(matches!(long, Err(OpError::BodyLongerThanDeclared { .. })), "{len}: {long:?}");
    }
}

#[tokio::test]
async fn a_body_declared_too_large_is_refused_unread() {
    let stream = stream::poll_fn(|_| panic!("the body is read"));
    let body = Body { stream: Box::pin(stream), len: Some(PART_BYTES_MAX + 1), stated: Stated::default() };
    let (refused, _) = take(body, CUT).await;
    assert!(matches!(refused, Err(OpError::Refused(Refusal::EntityTooLarge { .. }))));
}

#[tokio::test]
async fn a_broken_body_ends_with_its_own_error() {
    let pieces = [Ok(bytes(CHUNK)), Err(BodyError::SignatureMismatch)];
    let body = Body { stream: Box::pin(stream::iter(pieces)), len: None, stated: Stated::default() };
    assert!(matches!(take(body, CUT).await.0, Err(OpError::Body(BodyError::SignatureMismatch))));
}

#[tokio::test]
async fn a_wrong_md5_or_checksum_is_refused_wherever_it_is_stated() {
    let content = bytes(INLINE + 1);
    let algorithm = ChecksumAlgorithm::Crc64Nvme;
    let mut hasher = Hasher::new(algorithm);
    hasher.update(&content);
    let right = hasher.finish();
    let with = |stated| Body { stated, ..body(&content, None) };
    let checksum = |value| Stated { checksum: Some(StatedChecksum { algorithm, value }), ..Stated::default() };
    let trailer = |value: Option<Vec<u8>>| ChecksumValue::Trailer(Box::new(move || value));

    for value in
        [ChecksumValue::Header(right.value.clone()), trailer(Some(right.value.clone())), ChecksumValue::Unstated]
    {
        let (ingested, _) = take(with(checksum(value)), CUT).await;
        assert_eq!(ingested.expect("right").checksum, Some(right.clone()));
    }
    for value in [ChecksumValue::Header(vec![0; 8]), trailer(Some(vec![0; 8]))] {
        let (refused, _) = take(with(checksum(value)), CUT).await;
        assert!(matches!(refused, Err(OpError::BadDigest(Digest::Checksum(_)))), "{refused:?}");
    }
    let (refused, _) = take(with(checksum(trailer(None))), CUT).await;
    assert!(matches!(refused, Err(OpError::Body(BodyError::Malformed(_)))), "{refused:?}");
    let (refused, _) = take(with(Stated { md5: Some([0; 16]), ..Stated::default() }), CUT).await;
    assert!(matches!(refused, Err(OpError::BadDigest(Digest::ContentMd5))), "{refused:?}");
    let (refused, _) = take(with(Stated { sha256: Some([0; 32]), ..Stated::default() }), CUT).await;
    assert!(matches!(refused, Err(OpError::BadDigest(Digest::ContentSha256))), "{refused:?}");
}

#[tokio::test]
async fn a_chunk_that_is_not_stored_fails_the_body() {
    let budget = Budget::new(64 << 20);
    let store = |index, _| ready(if index == 1 { Err(OpError::NotExecuted("no replica".into())) } else { Ok(()) });
    let failed = ingest(body(&bytes(3 * CHUNK), None), CUT, &budget, store).await;
    assert!(matches!(failed, Err(OpError::NotExecuted(_))));
}

/// Chunks of 64 KiB, so that many fit; `store` is never done before the body has been read as far as it goes.
#[tokio::test]
async fn no_more_than_a_few_chunks_of_a_body_are_in_memory() {
    let chunk = 64 << 10;
    let cut = Cut { inline_bytes_max: Some(0), chunk_bytes: chunk };
    let total = 64 * u64::from(chunk);
    let budget = Budget::new(total);
    let (storing, peak) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let held_most = AtomicUsize::new(0);
    let store = |_, bytes: Bytes| {
        let (storing, budget) = (storing.clone(), &budget);
        peak.fetch_max(storing.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let held_most = &held_most;
        async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            held_most.fetch_max(total as usize - budget.free(), Ordering::SeqCst);
            drop(bytes);
            storing.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let content = bytes(total as usize);
    ingest(body(&content, None), cut, &budget, store).await.expect("stored");
    let (peak, held) = (peak.into_inner(), held_most.into_inner() / chunk as usize);
    assert!((2..=CHUNKS_IN_FLIGHT_MAX).contains(&peak), "{peak} chunks were being stored at once");
    // One more may be held by the hash of a chunk that is stored already.
    assert!(held <= CHUNKS_IN_FLIGHT_MAX + 1, "{held} chunks were in memory");
    assert_eq!(budget.free() as u64, total, "the budget is whole again");
}

#[tokio::test]
async fn a_small_body_takes_a_small_share_of_the_budget() {
    let budget = Budget::undivided(10);
    let ingested = ingest(body(&bytes(10), Some(10)), CUT, &budget, |_, _| ready(Ok(()))).await;
    assert_eq!(ingested.expect("it fits").len, 10);
}
