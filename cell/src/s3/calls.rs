//! The S3 surface as data: which calls exist, which are built, what each does and which query parameters select it.
//!
//! `docs/s3.md` holds the same table for people; a test compares the two in both directions.

/// The calls that are built. The names are S3's own.
macro_rules! built {
    ($($name:ident),+ $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum S3Op { $($name),+ }

        impl S3Op {
            /// Every built call.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The call's name in S3's documentation.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

built! {
    ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation,
    PutObject, GetObject, HeadObject, DeleteObject, DeleteObjects, CopyObject,
    ListObjects, ListObjectsV2, ListObjectVersions,
    CreateMultipartUpload, UploadPart, UploadPartCopy, CompleteMultipartUpload, AbortMultipartUpload,
    ListParts, ListMultipartUploads,
    GetBucketAcl, GetObjectAcl, GetBucketVersioning, GetBucketPolicy, GetBucketCors, GetBucketLifecycleConfiguration,
    GetBucketTagging, GetBucketWebsite, GetBucketReplication, GetObjectLockConfiguration, GetObjectTagging,
}

/// What a call does to what. Decides who may do it; today only a bucket's owner may do anything with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    ListAccount,
    CreateBucket,
    DeleteBucket,
    ListBucket,
    ReadBucketSettings,
    ReadObject,
    WriteObject,
    DeleteObject,
    ReadUploads,
}

impl Action {
    /// Whether the action changes anything.
    pub fn writes(self) -> bool {
        match self {
            Self::CreateBucket | Self::DeleteBucket | Self::WriteObject | Self::DeleteObject => true,
            Self::ListAccount | Self::ListBucket | Self::ReadBucketSettings | Self::ReadObject | Self::ReadUploads => {
                false
            }
        }
    }
}

impl S3Op {
    /// The built call of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.name() == name)
    }

    /// What the call does. No `_` arm, on purpose: a new call must state its permission here first.
    pub fn action(self) -> Action {
        match self {
            Self::ListBuckets => Action::ListAccount,
            Self::CreateBucket => Action::CreateBucket,
            Self::DeleteBucket => Action::DeleteBucket,
            Self::ListObjects | Self::ListObjectsV2 | Self::ListObjectVersions => Action::ListBucket,
            Self::HeadBucket
            | Self::GetBucketLocation
            | Self::GetBucketAcl
            | Self::GetBucketVersioning
            | Self::GetBucketPolicy
            | Self::GetBucketCors
            | Self::GetBucketLifecycleConfiguration
            | Self::GetBucketTagging
            | Self::GetBucketWebsite
            | Self::GetBucketReplication
            | Self::GetObjectLockConfiguration => Action::ReadBucketSettings,
            Self::GetObject | Self::HeadObject | Self::GetObjectAcl | Self::GetObjectTagging => Action::ReadObject,
            Self::PutObject
            | Self::CopyObject
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::UploadPartCopy
            | Self::CompleteMultipartUpload
            | Self::AbortMultipartUpload => Action::WriteObject,
            Self::DeleteObject | Self::DeleteObjects => Action::DeleteObject,
            Self::ListParts | Self::ListMultipartUploads => Action::ReadUploads,
        }
    }

    /// The query parameters out of [`SELECTORS`] that the call understands.
    pub fn selectors(self) -> &'static [&'static str] {
        match self {
            Self::ListBuckets
            | Self::CreateBucket
            | Self::HeadBucket
            | Self::DeleteBucket
            | Self::PutObject
            | Self::CopyObject
            | Self::ListObjects => &[],
            Self::GetBucketLocation => &["location"],
            Self::GetObject | Self::HeadObject => &["partNumber", "versionId"],
            Self::DeleteObject => &["versionId"],
            Self::DeleteObjects => &["delete"],
            Self::ListObjectsV2 => &["list-type"],
            Self::ListObjectVersions => &["versions"],
            Self::CreateMultipartUpload | Self::ListMultipartUploads => &["uploads"],
            Self::UploadPart | Self::UploadPartCopy => &["partNumber", "uploadId"],
            Self::CompleteMultipartUpload | Self::AbortMultipartUpload | Self::ListParts => &["uploadId"],
            Self::GetBucketAcl => &["acl"],
            Self::GetObjectAcl => &["acl", "versionId"],
            Self::GetObjectTagging => &["tagging", "versionId"],
            Self::GetBucketVersioning => &["versioning"],
            Self::GetBucketPolicy => &["policy"],
            Self::GetBucketCors => &["cors"],
            Self::GetBucketLifecycleConfiguration => &["lifecycle"],
            Self::GetBucketTagging => &["tagging"],
            Self::GetBucketWebsite => &["website"],
            Self::GetBucketReplication => &["replication"],
            Self::GetObjectLockConfiguration => &["object-lock"],
        }
    }

    /// The query parameter that says how much of a page is asked for, of a call that lists.
    pub fn page_size_parameter(self) -> Option<&'static str> {
        match self {
            Self::ListBuckets => Some("max-buckets"),
            Self::ListObjects | Self::ListObjectsV2 | Self::ListObjectVersions => Some("max-keys"),
            Self::ListParts => Some("max-parts"),
            Self::ListMultipartUploads => Some("max-uploads"),
            Self::CreateBucket
            | Self::HeadBucket
            | Self::DeleteBucket
            | Self::GetBucketLocation
            | Self::PutObject
            | Self::GetObject
            | Self::HeadObject
            | Self::DeleteObject
            | Self::DeleteObjects
            | Self::CopyObject
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::UploadPartCopy
            | Self::CompleteMultipartUpload
            | Self::AbortMultipartUpload
            | Self::GetBucketAcl
            | Self::GetObjectAcl
            | Self::GetBucketVersioning
            | Self::GetBucketPolicy
            | Self::GetBucketCors
            | Self::GetBucketLifecycleConfiguration
            | Self::GetBucketTagging
            | Self::GetBucketWebsite
            | Self::GetBucketReplication
            | Self::GetObjectLockConfiguration
            | Self::GetObjectTagging => None,
        }
    }

    /// Whether the request's body is an XML document, read as a whole before the call begins.
    pub fn takes_document(self) -> bool {
        matches!(self, Self::CreateBucket | Self::DeleteObjects | Self::CompleteMultipartUpload)
    }
}

/// Query parameters by which S3 chooses between calls, or between versions and parts. One that the chosen call does not
/// understand is refused: the client meant another call.
pub const SELECTORS: &[&str] = &[
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "append",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "events",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "list-type",
    "location",
    "logging",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "select-type",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Calls that S3 has and this cell answers with `501 NotImplemented`.
pub const ABSENT: &[&str] = &[
    "CreateBucketMetadataConfiguration",
    "CreateBucketMetadataTableConfiguration",
    "CreateSession",
    "DeleteBucketAnalyticsConfiguration",
    "DeleteBucketCors",
    "DeleteBucketEncryption",
    "DeleteBucketIntelligentTieringConfiguration",
    "DeleteBucketInventoryConfiguration",
    "DeleteBucketLifecycle",
    "DeleteBucketMetadataConfiguration",
    "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketMetricsConfiguration",
    "DeleteBucketOwnershipControls",
    "DeleteBucketPolicy",
    "DeleteBucketReplication",
    "DeleteBucketTagging",
    "DeleteBucketWebsite",
    "DeleteObjectTagging",
    "DeletePublicAccessBlock",
    "GetBucketAbac",
    "GetBucketAccelerateConfiguration",
    "GetBucketAnalyticsConfiguration",
    "GetBucketEncryption",
    "GetBucketIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration",
    "GetBucketLogging",
    "GetBucketMetadataConfiguration",
    "GetBucketMetadataTableConfiguration",
    "GetBucketMetricsConfiguration",
    "GetBucketNotificationConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicyStatus",
    "GetBucketRequestPayment",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectRetention",
    "GetObjectTorrent",
    "GetPublicAccessBlock",
    "ListBucketAnalyticsConfigurations",
    "ListBucketIntelligentTieringConfigurations",
    "ListBucketInventoryConfigurations",
    "ListBucketMetricsConfigurations",
    "ListDirectoryBuckets",
    "PostObject",
    "PutBucketAbac",
    "PutBucketAccelerateConfiguration",
    "PutBucketAcl",
    "PutBucketAnalyticsConfiguration",
    "PutBucketCors",
    "PutBucketEncryption",
    "PutBucketIntelligentTieringConfiguration",
    "PutBucketInventoryConfiguration",
    "PutBucketLifecycleConfiguration",
    "PutBucketLogging",
    "PutBucketMetricsConfiguration",
    "PutBucketNotificationConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketReplication",
    "PutBucketRequestPayment",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutBucketWebsite",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectLockConfiguration",
    "PutObjectRetention",
    "PutObjectTagging",
    "PutPublicAccessBlock",
    "RenameObject",
    "RestoreObject",
    "SelectObjectContent",
    "UpdateBucketMetadataInventoryTableConfiguration",
    "UpdateBucketMetadataJournalTableConfiguration",
    "UpdateObjectEncryption",
    "WriteGetObjectResponse",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_a_call_understands_is_a_selector() {
        for op in S3Op::ALL {
            for selector in op.selectors() {
                assert!(SELECTORS.contains(selector), "{} names {selector}", op.name());
            }
        }
    }

    #[test]
    fn a_call_is_built_or_absent_and_never_both() {
        for op in S3Op::ALL {
            assert_eq!(S3Op::parse(op.name()), Some(*op));
            assert!(!ABSENT.contains(&op.name()), "{} is in both lists", op.name());
        }
    }

    #[test]
    fn the_document_for_people_has_the_same_calls() {
        let document = include_str!("../../../docs/s3.md");
        let mut rows: Vec<(&str, bool)> = document
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(call, rest)| (call, rest.starts_with("yes")))
            .collect();
        let built = S3Op::ALL.iter().map(|op| (op.name(), true));
        let mut calls: Vec<(&str, bool)> = built.chain(ABSENT.iter().map(|name| (*name, false))).collect();
        rows.sort_unstable();
        calls.sort_unstable();
        assert_eq!(rows, calls, "docs/s3.md on the left, s3/calls.rs on the right");
    }
}
