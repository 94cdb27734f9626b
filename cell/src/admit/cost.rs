//! What a request costs before it is executed: its class, and its work in one unit. Pure.
//!
//! One unit is what a GET of a 4 KiB object costs: a linearizable view and one lookup. The other prices are relative to it and come
//! from the CPU time per operation in `docs/benchmarks.md` (see [`crate::limits`]). They need to be right within a factor of
//! two: admission finds the cell's capacity by itself, and fairness divides by what is charged.

use crate::{
    limits::{
        BYTES_READ_PER_UNIT, BYTES_WRITTEN_PER_UNIT, COST_COMMIT, COST_HELD_MAX, COST_VIEW, DELETE_COMMAND_KEYS_MAX,
        DELETE_KEYS_MAX, DOCUMENT_BYTES_PER_DELETED_KEY, DOCUMENT_BYTES_PER_PART, KEYS_DELETED_PER_UNIT,
        KEYS_LISTED_PER_UNIT, LIST_KEYS_MAX, PART_NUMBER_MAX, PARTS_NAMED_PER_UNIT,
    },
    s3::calls::S3Op,
};

/// What a request does, for limits and figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    Read,
    Write,
    List,
    Delete,
}

impl Class {
    /// Every class, in the order of [`Class::index`].
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::List, Self::Delete];

    /// The class of a call. No `_` arm: a new call must state its class before it compiles.
    pub fn of(op: S3Op) -> Self {
        match op {
            S3Op::GetObject
            | S3Op::HeadObject
            | S3Op::HeadBucket
            | S3Op::GetBucketLocation
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
            | S3Op::GetObjectTagging => Self::Read,
            S3Op::CreateBucket
            | S3Op::PutObject
            | S3Op::CopyObject
            | S3Op::CreateMultipartUpload
            | S3Op::UploadPart
            | S3Op::UploadPartCopy
            | S3Op::CompleteMultipartUpload => Self::Write,
            S3Op::ListBuckets
            | S3Op::ListObjects
            | S3Op::ListObjectsV2
            | S3Op::ListObjectVersions
            | S3Op::ListParts
            | S3Op::ListMultipartUploads => Self::List,
            S3Op::DeleteBucket | S3Op::DeleteObject | S3Op::DeleteObjects | S3Op::AbortMultipartUpload => Self::Delete,
        }
    }

    /// A short name, for metrics and people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }

    /// Its place in [`Class::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::List => 2,
            Self::Delete => 3,
        }
    }
}

/// What a request says about its size before its body is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declared {
    /// Bytes of the body, decoded; absent when none are stated.
    pub body: Option<u64>,
    /// `max-keys` and its like; absent means the most.
    pub keys: Option<u64>,
}

/// Work, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u32);

impl Cost {
    /// So many units; no work costs nothing.
    pub fn units_of(units: u64) -> Self {
        Self(u32::try_from(units.max(1)).unwrap_or(u32::MAX))
    }

    /// What a request costs when it begins. The bytes of a body are charged as they come and go ([`Cost::of_written`], [`Cost::of_read`]): how
    /// long they take is the client's choice. Those that ride along in a commit are part of its price.
    pub fn of(op: S3Op, declared: &Declared) -> Self {
        let body = declared.body.unwrap_or(0);
        let listed = declared.keys.unwrap_or(u64::MAX).min(LIST_KEYS_MAX as u64);
        Self::units_of(match op {
            S3Op::PutObject
            | S3Op::UploadPart
            | S3Op::CopyObject
            | S3Op::UploadPartCopy
            | S3Op::CreateBucket
            | S3Op::CreateMultipartUpload
            | S3Op::DeleteBucket
            | S3Op::DeleteObject
            | S3Op::AbortMultipartUpload => COST_COMMIT,
            S3Op::CompleteMultipartUpload => {
                let parts = (body / DOCUMENT_BYTES_PER_PART).min(PART_NUMBER_MAX.into());
                COST_COMMIT + parts / PARTS_NAMED_PER_UNIT
            }
            S3Op::DeleteObjects => {
                let keys = (body / DOCUMENT_BYTES_PER_DELETED_KEY).clamp(1, DELETE_KEYS_MAX as u64);
                COST_COMMIT * keys.div_ceil(DELETE_COMMAND_KEYS_MAX as u64) + keys / KEYS_DELETED_PER_UNIT
            }
            S3Op::ListBuckets
            | S3Op::ListObjects
            | S3Op::ListObjectsV2
            | S3Op::ListObjectVersions
            | S3Op::ListParts
            | S3Op::ListMultipartUploads => COST_VIEW + listed / KEYS_LISTED_PER_UNIT,
            S3Op::GetObject
            | S3Op::HeadObject
            | S3Op::HeadBucket
            | S3Op::GetBucketLocation
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
            | S3Op::GetObjectTagging => COST_VIEW,
        })
    }

    /// Of what is left to do when a body is in.
    pub fn of_commit() -> Self {
        Self::units_of(COST_COMMIT)
    }

    /// Of bytes made durable in three places.
    pub fn of_written(bytes: u64) -> Self {
        Self::units_of(bytes.div_ceil(BYTES_WRITTEN_PER_UNIT))
    }

    /// Of bytes read and verified.
    pub fn of_read(bytes: u64) -> Self {
        Self::units_of(bytes.div_ceil(BYTES_READ_PER_UNIT))
    }

    /// What is charged to the account.
    pub fn units(self) -> u64 {
        self.0.into()
    }

    /// What is held of the cell's limit while the work is done. Bounded, so that anything fits the smallest limit.
    pub fn held(self) -> u64 {
        self.units().min(COST_HELD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(op: S3Op, body: u64) -> u64 {
        Cost::of(op, &Declared { body: Some(body), keys: None }).units()
    }

    #[test]
    fn a_small_read_is_the_unit() {
        assert_eq!(cost(S3Op::GetObject, 0), 1);
        assert_eq!(Cost::of_read(4 << 10).units(), 1);
    }

    #[test]
    fn work_is_priced_by_bytes_keys_and_commits() {
        assert_eq!(cost(S3Op::PutObject, 4 << 10), 4);
        assert_eq!(cost(S3Op::PutObject, 64 << 10), 4, "its bytes are charged as they come");
        assert_eq!(cost(S3Op::PutObject, 1 << 30), 4);
        assert_eq!(Cost::of_written(4 << 20).units(), 128);
        assert_eq!(Cost::of_read(1 << 20).units(), 8);
        assert_eq!(cost(S3Op::ListObjectsV2, 0), 51);
        let ten = Declared { body: None, keys: Some(10) };
        assert_eq!(Cost::of(S3Op::ListObjectsV2, &ten).units(), 1);
        assert_eq!(cost(S3Op::DeleteObjects, 64 * 1_000), 4 * 4 + 500);
        assert_eq!(cost(S3Op::DeleteObjects, 60), 4);
        assert_eq!(cost(S3Op::CompleteMultipartUpload, 100 * 8), 4 + 2);
        assert_eq!(cost(S3Op::CompleteMultipartUpload, 8 << 20), 4 + 2_500, "no upload has more parts");
    }

    #[test]
    fn every_call_has_a_class_and_costs_something_and_what_changes_anything_costs_a_commit() {
        for op in S3Op::ALL {
            let cost = Cost::of(*op, &Declared::default());
            assert!(cost.units() >= 1 && cost.held() <= COST_HELD_MAX);
            let writes = matches!(Class::of(*op), Class::Write | Class::Delete);
            assert_eq!(writes, op.action().writes(), "{}", op.name());
            assert!(!writes || cost.units() >= COST_COMMIT, "{}", op.name());
        }
    }

    #[test]
    fn an_absurd_declaration_is_held_within_the_bound() {
        let absurd = Declared { body: Some(u64::MAX), keys: Some(u64::MAX) };
        for op in S3Op::ALL {
            assert!(Cost::of(*op, &absurd).held() <= COST_HELD_MAX);
        }
    }

    #[test]
    fn a_class_knows_its_place() {
        for (at, class) in Class::ALL.iter().enumerate() {
            assert_eq!(class.index(), at);
        }
    }
}
