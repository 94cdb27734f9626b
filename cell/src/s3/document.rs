//! The bounds on XML documents in requests: how many bytes of them a node holds at a time, how many of these are one account's, and how
//! many items one may have.
//!
//! s3s makes a value of each item before anyone counts them, and a value is twenty times as large as the shortest item: so items are
//! counted in the bytes, before s3s sees them. Nesting costs nothing there: what the schema does not have is skipped
//! without recursion, and entities are not expanded.

use super::{calls::S3Op, error::respond};
use crate::{
    limits::{DELETE_KEYS_MAX, DOCUMENTS_BYTES_MAX, DOCUMENTS_OF_ACCOUNT_BYTES_MAX, PART_NUMBER_MAX},
    ops::OpError,
};
use bulkhead_model::AccountId;
use parking_lot::Mutex;
use s3s::{S3Result, s3_error};
use std::{collections::HashMap, sync::Arc};

/// The room for documents on a node. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Documents(Arc<Mutex<Room>>);

/// Bytes that are held, in all and by each account that holds any.
#[derive(Debug, Default)]
struct Room {
    held: usize,
    accounts: HashMap<AccountId, usize>,
}

/// What one document holds of the room, until its request is over.
#[derive(Debug, Default)]
pub struct Held(Mutex<Option<Share>>);

#[derive(Debug)]
struct Share {
    documents: Documents,
    account: AccountId,
    bytes: usize,
}

impl Documents {
    /// Takes room for so many bytes more of an account's document. Nobody waits for it: who would, holds what has come already.
    ///
    /// # Errors
    /// `SlowDown` when there is none, or the account holds its share.
    pub fn take(&self, account: AccountId, bytes: usize, held: &Held) -> S3Result<()> {
        if !self.0.lock().take(account, bytes) {
            return Err(respond(OpError::SlowDown("the memory for documents is in use")));
        }
        let mut held = held.0.lock();
        match held.as_mut() {
            Some(share) => share.bytes += bytes,
            None => *held = Some(Share { documents: self.clone(), account, bytes }),
        }
        Ok(())
    }
}

impl Room {
    fn take(&mut self, account: AccountId, bytes: usize) -> bool {
        let own = self.accounts.get(&account).copied().unwrap_or_default();
        let fits = own + bytes <= DOCUMENTS_OF_ACCOUNT_BYTES_MAX && self.held + bytes <= DOCUMENTS_BYTES_MAX;
        if fits && bytes > 0 {
            self.held += bytes;
            self.accounts.insert(account, own + bytes);
        }
        fits
    }

    fn give_back(&mut self, account: AccountId, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
        let left = self.accounts.get(&account).copied().unwrap_or_default().saturating_sub(bytes);
        if left > 0 {
            self.accounts.insert(account, left);
        } else {
            self.accounts.remove(&account);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.documents.0.lock().give_back(self.account, self.bytes);
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

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    #[test]
    fn all_documents_together_are_bounded_and_room_comes_back() {
        let documents = Documents::default();
        let all: Vec<Held> = (0..4).map(|_| Held::default()).collect();
        for (held, n) in all.iter().zip(0..) {
            documents.take(account(n), DOCUMENTS_OF_ACCOUNT_BYTES_MAX, held).expect("there is room");
        }
        let another = Held::default();
        assert!(documents.take(account(4), 1, &another).is_err());
        drop(all);
        documents.take(account(4), 1, &another).expect("there is room again");
    }

    #[test]
    fn one_account_holds_a_quarter_and_leaves_the_rest_to_others() {
        let documents = Documents::default();
        let (first, second, other) = (Held::default(), Held::default(), Held::default());
        documents.take(account(1), DOCUMENTS_OF_ACCOUNT_BYTES_MAX - 10, &first).expect("there is room");
        documents.take(account(1), 10, &second).expect("to the last byte");
        let full = documents.take(account(1), 1, &second).expect_err("its share is used up");
        assert_eq!(full.code().as_str(), "SlowDown");
        assert!(full.headers().is_some_and(|headers| headers.contains_key(http::header::RETRY_AFTER)));
        documents.take(account(2), 1, &other).expect("there is room for others");
        drop((first, second, other));
        assert!(documents.0.lock().accounts.is_empty(), "who holds nothing is forgotten");
        assert_eq!(documents.0.lock().held, 0);
    }
}
