//! UploadPartCopy: a part whose bytes are those of an object, or a range of them.

use super::{
    Caller, Cell, OpError,
    action::Call,
    body::{Body, Stated, StatedChecksum},
    bucket,
    copy_object::{Source, TOO_LARGE, find},
    store,
    upload_part::{Part, Response, store_part},
    uploads, validate,
};
use crate::{limits::PART_BYTES_MAX, meta::record::UploadId};
use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub source: Source,
    /// `x-amz-copy-source-range`: first and last byte, both included; must lie within the source.
    pub range: Option<(u64, u64)>,
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
    pub number: u16,
}

/// # Errors
/// As GET for the source (its conditions fail with `412` only) and as UploadPart for the part.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let Request { source, range, bucket, key, upload, number } = request;
    validate::key(&key)?;
    validate::part_number(number)?;
    let target = bucket::for_write(cell, caller, Call::UploadPart, &bucket).await?;
    let record = uploads::find(cell, caller, &target, &key, upload).await?;
    let (view, object) = find(cell, caller, &source).await?;
    let range = within(range, object.len)?;
    let len = range.end - range.start;
    if len > PART_BYTES_MAX {
        return Err(OpError::InvalidRequest(TOO_LARGE));
    }
    let checksum = record.checksum.map(|(algorithm, _)| StatedChecksum::unstated(algorithm));
    let stream = store::copy(cell, caller, view, object.layout, range).await?;
    let body = Body { stream, len: Some(len), stated: Stated { checksum, ..Stated::default() } };
    store_part(cell, caller, &target, Part { key, upload, number, record }, body).await
}

/// The bytes to copy: unlike a GET's, a copy's range must lie within the source. Pure.
fn within(range: Option<(u64, u64)>, len: u64) -> Result<Range<u64>, OpError> {
    let Some((first, last)) = range else { return Ok(0..len) };
    if first <= last && last < len {
        return Ok(first..last + 1);
    }
    let value = format!("bytes={first}-{last}");
    Err(OpError::InvalidArgument {
        name: "x-amz-copy-source-range",
        value,
        why: "The range is not within the source object.",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_range_lies_within_its_source() {
        for (range, len, expected) in [
            (None, 0, Some(0..0)),
            (None, 10, Some(0..10)),
            (Some((0, 9)), 10, Some(0..10)),
            (Some((3, 3)), 10, Some(3..4)),
            (Some((0, 10)), 10, None),
            (Some((4, 3)), 10, None),
            (Some((0, 0)), 0, None),
        ] {
            assert_eq!(within(range, len).ok(), expected, "{range:?} of {len}");
        }
    }
}
