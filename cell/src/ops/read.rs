//! What GetObject, HeadObject and GetObjectAttributes share: find the object, check the conditions, choose the bytes.

use super::{
    OpError,
    conditions::{self, ReadConditions, Verdict},
    range::{self, RangeSpec},
};
use crate::meta::record::{Checksum, ChecksumKind, ContentHeaders, Etag, Object, PartSummary};
use bulkhead_model::Timestamp;
use std::ops::Range;

/// An object without its bytes and where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes of the whole object.
    pub len: u64,
    pub etag: Etag,
    pub modified: Timestamp,
    /// Of the bytes a GET sends: the whole object's, a part's if it is known, none of any other range.
    pub checksum: Option<Checksum>,
    pub headers: ContentHeaders,
    /// How many parts it was completed from (`x-amz-mp-parts-count`).
    pub parts: Option<u32>,
}

impl From<&Object> for ObjectHead {
    fn from(object: &Object) -> Self {
        Self {
            len: object.len,
            etag: object.etag,
            modified: object.modified,
            checksum: object.checksum.clone(),
            headers: object.headers.clone(),
            parts: object.etag.parts,
        }
    }
}

/// What a read answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub head: ObjectHead,
    /// Which bytes, when the answer is partial.
    pub range: Option<Range<u64>>,
    /// Which bytes, in any case.
    pub bytes: Range<u64>,
}

/// Checks the conditions, then chooses the bytes: a part's, a range, or all. Pure.
///
/// # Errors
/// [`OpError::NotModified`], [`OpError::ReadConditionFailed`], [`OpError::InvalidRange`], [`OpError::InvalidPartNumber`].
pub fn select(
    object: &Object,
    conditions: &ReadConditions,
    range: Option<RangeSpec>,
    part: Option<u16>,
) -> Result<Selection, OpError> {
    match conditions::evaluate(conditions, &object.etag, object.modified) {
        Verdict::Proceed => {}
        Verdict::NotModified(_) => {
            return Err(OpError::NotModified { etag: object.etag, modified: object.modified });
        }
        Verdict::Failed(condition) => return Err(OpError::ReadConditionFailed(condition)),
    }
    let head = ObjectHead::from(object);
    match (range, part) {
        (None, None) => Ok(Selection { head, range: None, bytes: 0..object.len }),
        (Some(spec), None) => {
            let bytes = range::resolve(spec, object.len)?;
            let checksum = head.checksum.filter(|_| bytes == (0..object.len));
            Ok(Selection { head: ObjectHead { checksum, ..head }, range: Some(bytes.clone()), bytes })
        }
        (None, Some(number)) => part_of(object, head, number),
        (Some(_), Some(_)) => {
            Err(OpError::InvalidRequest("Cannot specify both Range header and partNumber query parameter"))
        }
    }
}

/// The bytes of one part. An object that was not completed from parts is its own part 1.
fn part_of(object: &Object, head: ObjectHead, number: u16) -> Result<Selection, OpError> {
    let partial = |bytes: Range<u64>| Some(bytes).filter(|bytes| !bytes.is_empty());
    if object.parts.is_empty() {
        let bytes = 0..object.len;
        let selection = Selection { head, range: partial(bytes.clone()), bytes };
        return if number == 1 { Ok(selection) } else { Err(OpError::InvalidPartNumber { number, parts: 1 }) };
    }
    let mut start = 0;
    for PartSummary { number: this, len, checksum } in &object.parts {
        if *this == number {
            let algorithm = object.checksum.as_ref().map(|checksum| checksum.algorithm);
            let of_part = |(algorithm, value)| Checksum { algorithm, kind: ChecksumKind::FullObject, value };
            let head = ObjectHead { checksum: algorithm.zip(checksum.clone()).map(of_part), ..head };
            let bytes = start..start + len;
            return Ok(Selection { head, range: partial(bytes.clone()), bytes });
        }
        start += len;
    }
    Err(OpError::InvalidPartNumber { number, parts: u32::try_from(object.parts.len()).unwrap_or(u32::MAX) })
}

#[cfg(test)]
mod tests;
