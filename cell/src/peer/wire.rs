//! How chunks, CRCs and errors look in HTTP, for both ends.

use crate::{
    chunks::{ChunkId, CopyError, ReadError, payload::BadBlock},
    limits::{CHUNK_BYTES_MAX, HELD_IDS_MAX},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::{ops::Range, str::FromStr};

/// Where a peer is asked which chunks it has.
pub const HELD_PATH: &str = "/chunks/held";
/// One CRC32C per 64 KiB block, 4 bytes each, little-endian, together in base64.
pub const CRCS: &str = "x-bulkhead-crc32c";
/// Where in the chunk the blocks of an answer begin, bytes.
pub const START: &str = "x-bulkhead-start";
/// The chunk's length, bytes, beside a refused range.
pub const CHUNK_LEN: &str = "x-bulkhead-chunk-len";
/// The block that did not match, beside refused bytes.
pub const BAD_BLOCK: &str = "x-bulkhead-bad-block";

/// The path of a chunk.
pub fn path(id: ChunkId) -> String {
    format!("/chunks/{id}")
}

/// The chunk of a path's two segments.
pub fn chunk_id(blob: &str, index: &str) -> Option<ChunkId> {
    let hex = blob.len() == 32 && blob.bytes().all(|b| b.is_ascii_hexdigit());
    let blob = hex.then(|| u128::from_str_radix(blob, 16).ok()).flatten()?;
    Some(ChunkId { blob, index: index.parse().ok()? })
}

/// A chunk's id in a list of them.
const ID_BYTES: usize = 20;

/// The question which of these chunks a peer has: blob and index of each, big-endian.
pub fn ids_body(ids: &[ChunkId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.blob.to_be_bytes().into_iter().chain(id.index.to_be_bytes())).collect()
}

/// The chunks of [`ids_body`], if there are not too many.
pub fn ids(body: &[u8]) -> Option<Vec<ChunkId>> {
    let (ids, rest) = body.as_chunks::<ID_BYTES>();
    if !rest.is_empty() || ids.len() > HELD_IDS_MAX {
        return None;
    }
    let id = |bytes: &[u8; ID_BYTES]| {
        let (blob, index) = bytes.split_first_chunk::<16>()?;
        Some(ChunkId { blob: u128::from_be_bytes(*blob), index: u32::from_be_bytes(*index.first_chunk()?) })
    };
    ids.iter().map(id).collect()
}

/// The answer to [`ids_body`]: a byte for each.
pub fn held_body(held: &[bool]) -> Vec<u8> {
    held.iter().map(|held| u8::from(*held)).collect()
}

/// What the answer says of so many chunks.
pub fn held(body: &[u8], asked: usize) -> Option<Vec<bool>> {
    (body.len() == asked && body.iter().all(|byte| *byte <= 1)).then(|| body.iter().map(|byte| *byte == 1).collect())
}

/// The value of [`CRCS`].
pub fn crcs_header(crcs: &[u32]) -> HeaderValue {
    let bytes: Vec<u8> = crcs.iter().flat_map(|crc| crc.to_le_bytes()).collect();
    HeaderValue::try_from(STANDARD.encode(bytes)).expect("base64 is visible ASCII")
}

/// The CRCs of [`CRCS`], at most as many as the largest chunk has.
pub fn crcs(headers: &HeaderMap) -> Option<Vec<u32>> {
    const CRCS_MAX: usize = (CHUNK_BYTES_MAX as usize).div_ceil(crate::chunks::payload::BLOCK_BYTES);
    let bytes = STANDARD.decode(headers.get(CRCS)?.as_bytes()).ok()?;
    if !bytes.len().is_multiple_of(4) || bytes.len() / 4 > CRCS_MAX {
        return None;
    }
    let crc = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
    bytes.chunks(4).map(crc).collect()
}

/// A header that holds a number, an account, or the like.
pub fn parsed<T: FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The answer to a put that failed. `Err` to [`put_outcome`].
pub fn refuse_put(error: &CopyError) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::new();
    let status = match error {
        CopyError::Full => StatusCode::INSUFFICIENT_STORAGE,
        CopyError::Conflict => StatusCode::CONFLICT,
        CopyError::Size { max, .. } => {
            headers.insert(CHUNK_LEN, HeaderValue::from(*max));
            StatusCode::PAYLOAD_TOO_LARGE
        }
        CopyError::Damaged(BadBlock { block }) => {
            headers.insert(BAD_BLOCK, HeaderValue::from(*block));
            StatusCode::UNPROCESSABLE_ENTITY
        }
        CopyError::Deadline => StatusCode::GATEWAY_TIMEOUT,
        CopyError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        CopyError::Protocol(_) => StatusCode::BAD_REQUEST,
        CopyError::Disk(_) | CopyError::Unreachable(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, headers)
}

/// What the answer to a put means.
///
/// # Errors
/// Unless the chunk is durable on the peer.
pub fn put_outcome(status: StatusCode, headers: &HeaderMap, sent: usize, text: &str) -> Result<(), CopyError> {
    Err(match status {
        StatusCode::NO_CONTENT => return Ok(()),
        StatusCode::INSUFFICIENT_STORAGE => CopyError::Full,
        StatusCode::CONFLICT => CopyError::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => CopyError::Size { bytes: sent, max: parsed(headers, CHUNK_LEN).unwrap_or(0) },
        StatusCode::UNPROCESSABLE_ENTITY => {
            CopyError::Damaged(BadBlock { block: parsed(headers, BAD_BLOCK).unwrap_or(0) })
        }
        StatusCode::GATEWAY_TIMEOUT => CopyError::Deadline,
        StatusCode::SERVICE_UNAVAILABLE => CopyError::Stopping,
        StatusCode::INTERNAL_SERVER_ERROR => CopyError::Disk(text.to_owned()),
        other => CopyError::Protocol(format!("{other}: {text}")),
    })
}

/// The answer to a get that failed.
pub fn refuse_get(error: &ReadError) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::new();
    let status = match error {
        ReadError::Missing => StatusCode::NOT_FOUND,
        ReadError::Damaged(_) => StatusCode::GONE,
        ReadError::Range { len, .. } => {
            headers.insert(CHUNK_LEN, HeaderValue::from(*len));
            StatusCode::RANGE_NOT_SATISFIABLE
        }
        ReadError::Deadline => StatusCode::GATEWAY_TIMEOUT,
        ReadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        ReadError::Protocol(_) => StatusCode::BAD_REQUEST,
        ReadError::Unreachable(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, headers)
}

/// What an answer other than `200` to a get means.
pub fn get_error(status: StatusCode, headers: &HeaderMap, range: Range<u32>, text: &str) -> ReadError {
    match (status, parsed(headers, CHUNK_LEN)) {
        (StatusCode::NOT_FOUND, _) => ReadError::Missing,
        (StatusCode::GONE, _) => ReadError::Damaged(text.to_owned()),
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(len)) => ReadError::Range { range, len },
        (StatusCode::GATEWAY_TIMEOUT, _) => ReadError::Deadline,
        (StatusCode::SERVICE_UNAVAILABLE, _) => ReadError::Stopping,
        (other, _) => ReadError::Protocol(format!("{other}: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_keeps_its_name_on_the_way() {
        let id = ChunkId { blob: (3 << 64) | 0xabc, index: 70_000 };
        let path = path(id);
        let segments: Vec<_> = path.split('/').collect();
        assert_eq!(chunk_id(segments[2], segments[3]), Some(id));
        for (blob, index) in [
            ("abc", "1"),
            ("0000000000000000000000000000000g", "1"),
            ("+0000000000000000000000000000001", "1"),
            (segments[2], "-1"),
        ] {
            assert_eq!(chunk_id(blob, index), None, "{blob}/{index}");
        }
    }

    #[test]
    fn an_error_of_a_put_keeps_its_meaning_on_the_way() {
        for error in [
            CopyError::Full,
            CopyError::Conflict,
            CopyError::Size { bytes: 9, max: 5 },
            CopyError::Damaged(BadBlock { block: 3 }),
            CopyError::Deadline,
            CopyError::Stopping,
            CopyError::Disk("EIO".into()),
        ] {
            let (status, headers) = refuse_put(&error);
            assert_eq!(put_outcome(status, &headers, 9, "EIO"), Err(error));
        }
    }

    #[test]
    fn an_error_of_a_get_keeps_its_meaning_on_the_way() {
        for error in [
            ReadError::Missing,
            ReadError::Damaged("bit".into()),
            ReadError::Range { range: 1..9, len: 5 },
            ReadError::Deadline,
            ReadError::Stopping,
        ] {
            let (status, headers) = refuse_get(&error);
            assert_eq!(get_error(status, &headers, 1..9, "bit"), error);
        }
    }

    #[test]
    fn crcs_keep_their_values_on_the_way_and_nonsense_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(CRCS, crcs_header(&[1, u32::MAX]));
        assert_eq!(crcs(&headers), Some(vec![1, u32::MAX]));
        let too_many = crcs_header(&[0; 257]);
        for bad in [HeaderValue::from_static("AAA="), HeaderValue::from_static("?"), too_many] {
            headers.insert(CRCS, bad);
            assert_eq!(crcs(&headers), None);
        }
    }

    #[test]
    fn a_question_for_chunks_and_its_answer_keep_their_meaning_on_the_way() {
        let asked = [ChunkId { blob: (3 << 64) | 0xabc, index: 70_000 }, ChunkId { blob: 0, index: u32::MAX }];
        let body = ids_body(&asked);
        assert_eq!(ids(&body).as_deref(), Some(&asked[..]));
        assert_eq!(ids(&body[1..]), None);
        assert_eq!(ids(&vec![0; (HELD_IDS_MAX + 1) * ID_BYTES]), None);
        assert_eq!(held(&held_body(&[true, false]), 2), Some(vec![true, false]));
        assert_eq!((held(&[1], 2), held(&[2], 1)), (None, None));
    }
}
