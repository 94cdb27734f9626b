//! Commands: everything that can change the index. Proposed by a node, applied by every replica.
//!
//! The proposer stamps time and ids; `apply` decides. Formats are frozen: see [`crate::meta::format`].

use super::record::{
    Account, BlobId, BucketId, Checksum, ChecksumAlgorithm, ChecksumKind, ContentHeaders, Credential, Etag, Layout,
    LimitsRecord, Part, PartSummary, Settings, UploadEpoch, UploadId, Usage,
};
use bulkhead_model::{AccessKeyId, AccountId, ClaimId, Epoch, NodeId, RequestId, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A command with what every command carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The proposer's wall clock; `apply` makes it monotonic.
    pub time: Timestamp,
    /// With it, a repetition returns the recorded outcome instead of being applied again.
    pub request: Option<RequestId>,
    /// What the router believed: the command is refused with [`Refusal::Moved`] when the account's epoch is another.
    pub routed: Option<(AccountId, Epoch)>,
    pub command: Command,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    PutAccount {
        account: AccountId,
        record: Account,
    },
    DeleteAccount {
        account: AccountId,
    },
    PutCredential {
        key: AccessKeyId,
        credential: Credential,
    },
    DeleteCredential {
        key: AccessKeyId,
        account: AccountId,
    },
    /// Opens the first upload epoch of a node's process and closes all that the node had.
    OpenEpoch {
        node: NodeId,
    },
    CreateBucket {
        name: String,
        owner: AccountId,
        claim: ClaimId,
        location: Option<String>,
    },
    /// Of the bucket of this name only if it is this one: the name may have been given to another meanwhile.
    DeleteBucket {
        bucket: BucketId,
        name: String,
    },
    SettleClaim {
        name: String,
        claim: ClaimId,
    },
    /// The control plane has heard of an outbox entry.
    OutboxDone {
        sequence: u64,
    },
    PutObject(PutObject),
    DeleteObjects {
        bucket: BucketId,
        objects: Vec<DeleteObject>,
    },
    CreateUpload {
        bucket: BucketId,
        key: String,
        upload: UploadId,
        headers: ContentHeaders,
        checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    },
    PutPart {
        bucket: BucketId,
        key: String,
        upload: UploadId,
        number: u16,
        part: Part,
    },
    CompleteUpload(CompleteUpload),
    AbortUpload {
        bucket: BucketId,
        key: String,
        upload: UploadId,
    },
    /// A node that leads has seen [`crate::limits::TICK`] go by since it saw this tick. Another one that says the same later
    /// changes nothing.
    Tick {
        after: u64,
    },
    /// Opens another upload epoch for a node, and closes its epochs up to `to` that are not in `keep`: no upload writes under
    /// them any more.
    RotateEpoch {
        node: NodeId,
        to: UploadEpoch,
        keep: Vec<UploadEpoch>,
    },
    /// Closes upload epochs of nodes that do not do it themselves.
    CloseEpochs {
        epochs: Vec<UploadEpoch>,
    },
    /// Forgets garbage, each row named by when it was released: the bytes are freed, or will be as bytes that were never named.
    ExpireGarbage {
        rows: Vec<(Timestamp, BlobId)>,
    },
    /// Says what an account may ask for. One that is not newer than what is known changes nothing.
    PutLimits {
        account: AccountId,
        limits: LimitsRecord,
    },
    /// Says what counts as held although nobody holds it, in a cell that is being certified.
    SetBallast {
        ballast: Usage,
    },
    /// Says what an account may hold, and who of it is refused. One that is not newer than what is known changes nothing.
    PutSettings {
        account: AccountId,
        settings: Settings,
    },
}

/// Names bytes that are already durable, or brings them along (`body`, for [`Layout::Inline`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutObject {
    pub bucket: BucketId,
    pub key: String,
    pub condition: Condition,
    pub len: u64,
    pub etag: Etag,
    pub checksum: Option<Checksum>,
    pub headers: ContentHeaders,
    pub layout: Layout,
    pub body: Option<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteObject {
    pub key: String,
    pub condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteUpload {
    pub bucket: BucketId,
    pub key: String,
    pub upload: UploadId,
    pub condition: Condition,
    pub listed: Vec<ListedPart>,
    /// The whole object's checksum as the client states it, compared with the one made of the parts.
    pub checksum: Option<Vec<u8>>,
    /// The object's size as the client states it (`x-amz-mp-object-size`).
    pub len: Option<u64>,
}

/// A part as the client lists it when it completes an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPart {
    pub number: u16,
    pub md5: [u8; 16],
    pub checksum: Option<Vec<u8>>,
}

/// What must hold of the current object, decided inside `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Condition {
    pub if_match: Option<EtagMatch>,
    pub if_none_match: Option<EtagMatch>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EtagMatch {
    /// `*`: any existing object.
    Any,
    /// One of these.
    OneOf(Vec<Etag>),
}

/// What a command did, or why it did nothing.
pub type Outcome = Result<Done, Refusal>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    /// Accounts, credentials, claims, outbox, uploads aborted.
    Ok,
    EpochOpened {
        epoch: UploadEpoch,
    },
    BucketCreated {
        bucket: BucketId,
    },
    BucketDeleted,
    ClaimSettled {
        exists: bool,
    },
    ObjectPut {
        etag: Etag,
        modified: Timestamp,
    },
    /// One for each object of the command, in its order.
    ObjectsDeleted(Vec<Result<(), Refusal>>),
    /// Says which, so that a repeated request gets the id of the upload it created the first time.
    UploadCreated {
        upload: UploadId,
    },
    PartPut {
        modified: Timestamp,
    },
    UploadCompleted {
        etag: Etag,
        checksum: Option<Checksum>,
        len: u64,
        parts: Vec<PartSummary>,
    },
}

/// Why nothing was done. Each maps to exactly one S3 error, in `s3/error.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("the account is served under epoch {current}")]
    Moved { current: Epoch },
    #[error("no such account")]
    NoSuchAccount,
    #[error("the account still has {buckets} buckets")]
    AccountNotEmpty { buckets: u64 },
    #[error("the access key belongs to another account")]
    KeyOfAnotherAccount,
    #[error("the bucket exists and is yours")]
    BucketAlreadyOwnedByYou,
    #[error("the bucket exists and is another account's")]
    BucketAlreadyExists,
    /// No bucket has or will have this claim: release it at the control plane, claim the name again, and propose that.
    #[error("the claim on this name was given up")]
    ClaimFenced,
    #[error("no such bucket")]
    NoSuchBucket,
    #[error("the bucket has objects")]
    BucketNotEmpty,
    #[error("no such key")]
    NoSuchKey,
    #[error("a precondition does not hold")]
    PreconditionFailed,
    #[error("upload epoch {} of blob {} is closed", blob.epoch.0, blob.number)]
    EpochClosed { blob: BlobId },
    #[error("no such upload")]
    NoSuchUpload,
    #[error("part {number} was not uploaded, or its ETag or checksum differs")]
    InvalidPart { number: u16 },
    #[error("parts are not in ascending order")]
    InvalidPartOrder,
    #[error("part {number} has {len} bytes, fewer than the {min} every part but the last must have")]
    EntityTooSmall { number: u16, len: u64, min: u64 },
    #[error("the object would have {len} bytes, more than the {max} allowed")]
    EntityTooLarge { len: u64, max: u64 },
    #[error("the stated checksum or size of the whole object is not that of its parts")]
    BadDigest,
    #[error("the cell holds {used} of at most {max} {what}")]
    CellFull { what: CapacityDimension, used: u64, max: u64 },
    #[error("the account has {used} of at most {max} buckets")]
    TooManyBuckets { used: u64, max: u64 },
    #[error("the account has {used} of at most {max} access keys")]
    TooManyKeys { used: u64, max: u64 },
    #[error("the account has {used} of at most {max} uploads in progress")]
    TooManyUploads { used: u64, max: u64 },
    #[error("{keys} keys are to be deleted at once, more than the {max} allowed")]
    TooManyDeletes { keys: u64, max: u64 },
    /// Forgetting an outcome early to make room could carry out a repeated request twice.
    #[error("the cell remembers the outcomes of {max} recent requests, and takes no more before some of them are old")]
    TooManyRecent { max: u64 },
    #[error("the account holds {used} of at most {max} {what}")]
    AccountFull { what: CapacityDimension, used: u64, max: u64 },
}

impl Refusal {
    /// Whether a repetition of the request must be answered the same. What is not final is worth another attempt: nothing
    /// of it is recorded.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Moved { .. } | Self::EpochClosed { .. } | Self::ClaimFenced | Self::TooManyRecent { .. } => false,
            Self::NoSuchAccount
            | Self::AccountNotEmpty { .. }
            | Self::KeyOfAnotherAccount
            | Self::BucketAlreadyOwnedByYou
            | Self::BucketAlreadyExists
            | Self::NoSuchBucket
            | Self::BucketNotEmpty
            | Self::NoSuchKey
            | Self::PreconditionFailed
            | Self::NoSuchUpload
            | Self::InvalidPart { .. }
            | Self::InvalidPartOrder
            | Self::EntityTooSmall { .. }
            | Self::EntityTooLarge { .. }
            | Self::BadDigest
            | Self::CellFull { .. }
            | Self::AccountFull { .. }
            | Self::TooManyBuckets { .. }
            | Self::TooManyKeys { .. }
            | Self::TooManyUploads { .. }
            | Self::TooManyDeletes { .. } => true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CapacityDimension {
    Bytes,
    Objects,
    Accounts,
}

impl std::fmt::Display for CapacityDimension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Objects => "objects",
            Self::Accounts => "accounts",
        })
    }
}
