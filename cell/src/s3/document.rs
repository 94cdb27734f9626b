//! The bounds on XML documents in requests: how many bytes of them a node holds at a time, and how many items one may have.
//!
//! s3s makes a value of each item before anyone counts them, and a value is twenty times as large as the shortest item: so items are
//! counted in the bytes, before s3s sees them. Nesting costs nothing there: what the schema does not have is skipped
//! without recursion, and entities are not expanded.

use super::calls::S3Op;
use crate::limits::{DELETE_KEYS_MAX, DOCUMENTS_BYTES_MAX, PART_NUMBER_MAX};
use parking_lot::Mutex;
use s3s::{S3Result, s3_error};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room for documents on a node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Documents(Arc<Semaphore>);

/// What one document holds of it, until its request is over.
#[derive(Debug, Default)]
pub struct Held(Mutex<Option<OwnedSemaphorePermit>>);

impl Default for Documents {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(DOCUMENTS_BYTES_MAX)))
    }
}

impl Documents {
    /// Takes room for so many bytes more. Nobody waits for it: who would, holds what has come already.
    ///
    /// # Errors
    /// `SlowDown` when there is none.
    pub fn take(&self, bytes: usize, held: &Held) -> S3Result<()> {
        let wanted = u32::try_from(bytes).ok().and_then(|bytes| Arc::clone(&self.0).try_acquire_many_owned(bytes).ok());
        let Some(more) = wanted else {
            return Err(s3_error!(SlowDown, "Please reduce your request rate."));
        };
        let mut held = held.0.lock();
        match held.as_mut() {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

/// Refuses a document with more items than the call may have.
///
/// # Errors
/// `MalformedXML`, as S3 answers it.
pub fn check_items(op: S3Op, document: &[u8]) -> S3Result<()> {
    let Some((item, max)) = items(op) else { return Ok(()) };
    let is_item = |tag: &[u8]| {
        tag.strip_prefix(item)
            .is_some_and(|rest| matches!(rest.first(), Some(b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n')))
    };
    let count = document.split(|byte| *byte == b'<').skip(1).filter(|tag| is_item(tag)).take(max + 1).count();
    if count <= max {
        return Ok(());
    }
    Err(s3_error!(
        MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published schema: at most {max} items are allowed"
    ))
}

/// The element that a call's document repeats, and how often it may. No `_` arm: a new call must state it.
fn items(op: S3Op) -> Option<(&'static [u8], usize)> {
    match op {
        S3Op::DeleteObjects => Some((b"Object", DELETE_KEYS_MAX)),
        S3Op::CompleteMultipartUpload => Some((b"Part", PART_NUMBER_MAX.into())),
        S3Op::CreateBucket
        | S3Op::ListBuckets
        | S3Op::HeadBucket
        | S3Op::DeleteBucket
        | S3Op::GetBucketLocation
        | S3Op::PutObject
        | S3Op::GetObject
        | S3Op::HeadObject
        | S3Op::DeleteObject
        | S3Op::CopyObject
        | S3Op::ListObjects
        | S3Op::ListObjectsV2
        | S3Op::ListObjectVersions
        | S3Op::CreateMultipartUpload
        | S3Op::UploadPart
        | S3Op::UploadPartCopy
        | S3Op::AbortMultipartUpload
        | S3Op::ListParts
        | S3Op::ListMultipartUploads
        | S3Op::GetBucketAcl
        | S3Op::GetObjectAcl
        | S3Op::GetBucketVersioning
        | S3Op::GetBucketPolicy
        | S3Op::GetBucketCors
        | S3Op::GetBucketLifecycleConfiguration
        | S3Op::GetBucketTagging
        | S3Op::GetBucketWebsite
        | S3Op::GetBucketReplication
        | S3Op::GetObjectLockConfiguration
        | S3Op::GetObjectTagging => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_counted_before_they_are_parsed() {
        let parts = |item: &str, count: usize| {
            format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", item.repeat(count))
        };
        let check = |document: String| check_items(S3Op::CompleteMultipartUpload, document.as_bytes()).is_ok();
        let most = usize::from(PART_NUMBER_MAX);
        let whole = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>";
        assert!(check(parts(whole, most)) && !check(parts(whole, most + 1)));
        for item in ["<Part/>", "<Part></Part>", "<Part a='b'/>", "<Part\n/>"] {
            assert!(!check(parts(item, most + 1)), "{item:?}");
        }
        assert!(check(parts("<Other/>", most + 1)) && check(String::new()));
        let keys = "<Object><Key>k</Key></Object>".repeat(DELETE_KEYS_MAX + 1);
        assert!(check_items(S3Op::DeleteObjects, keys.as_bytes()).is_err());
        assert!(check_items(S3Op::DeleteObjects, &keys.as_bytes()[8..]).is_ok());
    }

    #[test]
    fn all_documents_together_are_bounded_and_room_comes_back() {
        let documents = Documents::default();
        let (first, second) = (Held::default(), Held::default());
        documents.take(DOCUMENTS_BYTES_MAX - 10, &first).expect("there is room");
        documents.take(10, &second).expect("to the last byte");
        assert!(documents.take(1, &second).is_err());
        drop(first);
        documents.take(1, &second).expect("there is room again");
    }
}
