//! What the index stores: accounts, credentials, buckets, objects, uploads, parts.
//!
//! Every record is written through [`crate::meta::format`], which puts the format version in front.

use bulkhead_model::{AccessKeyId, AccountId, AccountLimits, ClaimId, Epoch, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// A bucket's identity inside the cell. Never reused, so a re-created bucket shares nothing with its predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketId(pub u64);

/// Names a span of time in which one node writes blobs. Bytes written under an epoch may be named only while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UploadEpoch(pub u64);

/// A run of bytes written by one request: an object's body, or a part's. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobId {
    pub epoch: UploadEpoch,
    /// Counts the blobs of the epoch.
    pub number: u64,
}

impl From<BlobId> for u128 {
    fn from(blob: BlobId) -> Self {
        (u128::from(blob.epoch.0) << 64) | u128::from(blob.number)
    }
}

impl From<u128> for BlobId {
    fn from(number: u128) -> Self {
        let [epoch, number] =
            [number >> 64, number & u128::from(u64::MAX)].map(|half| u64::try_from(half).expect("half of 128 bits"));
        Self { epoch: UploadEpoch(epoch), number }
    }
}

/// A multipart upload. Unique within the cell; shown to clients as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UploadId(pub u128);

impl UploadId {
    /// A new id: the time in front, so that the uploads of a key sort by when they were initiated, then 64 random bits.
    pub fn mint(initiated: Timestamp, random: u64) -> Self {
        Self((u128::from(initiated.0) << 64) | u128::from(random))
    }
}

/// `len` bytes of blob `blob`, cut into chunks of `chunk_bytes` (the last may be shorter): chunk *i* is `(blob, i)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub blob: BlobId,
    pub len: u64,
    pub chunk_bytes: u32,
}

/// Where an object's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// In the index: family `inline`, under this id.
    Inline(BlobId),
    /// In the chunk store, one segment after the other.
    Segments(Vec<Segment>),
}

/// An MD5, and for an object completed from parts the number of them: printed `"<md5>"` or `"<md5>-<parts>"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Etag {
    pub md5: [u8; 16],
    pub parts: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

/// How a multipart object's checksum is made of its parts'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// Over all bytes.
    FullObject,
    /// Over the parts' checksums; shown with `-<parts>` behind it.
    Composite,
}

/// A stored, verified checksum. `value` is raw bytes (big-endian for CRCs), shown in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    pub algorithm: ChecksumAlgorithm,
    pub kind: ChecksumKind,
    pub value: Vec<u8>,
}

/// The headers a client stores with an object and gets back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentHeaders {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub content_disposition: Option<String>,
    pub cache_control: Option<String>,
    /// As the client sent it.
    pub expires: Option<String>,
    pub website_redirect_location: Option<String>,
    /// `x-amz-meta-` names (lower case, without the prefix) and values, in the order of their names.
    pub user: Vec<(String, String)>,
}

/// One part of a completed multipart object, for `partNumber` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSummary {
    pub number: u16,
    pub len: u64,
    pub checksum: Option<Vec<u8>>,
}

/// The front of an [`Object`], field for field: all that a listing decodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHead {
    pub len: u64,
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<Checksum>,
}

/// The current version of an object. Its first fields are those of [`ObjectHead`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    pub len: u64,
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<Checksum>,
    pub headers: ContentHeaders,
    pub layout: Layout,
    /// Empty unless completed from parts.
    pub parts: Vec<PartSummary>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub display_name: String,
    pub email: String,
    pub epoch: Epoch,
}

/// What was set for an account; the rest is the cell's default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsRecord {
    pub limits: AccountLimits,
    /// Counts the control plane's changes of them; 0 when there were none.
    pub version: u64,
}

/// What an account may hold, and who of it is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Of objects and parts.
    pub bytes: Option<u64>,
    pub objects: Option<u64>,
    pub buckets: Option<u64>,
    /// All its requests are refused.
    pub suspended: bool,
    /// Requests signed with these are refused.
    pub disabled_keys: Vec<AccessKeyId>,
    /// Counts the control plane's changes of them; 0 when there were none.
    pub version: u64,
}

/// A credential; the secret is encrypted with the cell's key (AES-256-GCM, nonce in front).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub account: AccountId,
    pub sealed_secret: Vec<u8>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential {{ account: {}, sealed_secret: <redacted> }}", self.account)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub id: BucketId,
    pub owner: AccountId,
    pub created: Timestamp,
    pub claim: ClaimId,
    /// As the client asked for it in `CreateBucketConfiguration`; `None` is `us-east-1`.
    pub location: Option<String>,
}

/// Counted inside `apply`, never estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub bytes: u64,
    pub objects: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    pub initiated: Timestamp,
    pub headers: ContentHeaders,
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
}

/// An uploaded part. Its bytes are always in the chunk store, however few, so that completing an upload only puts segments
/// one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub len: u64,
    pub etag: Etag,
    /// Set by `apply`; what the proposer puts here is ignored.
    pub modified: Timestamp,
    /// Of the upload's algorithm, whenever the upload has one.
    pub checksum: Option<Checksum>,
    /// Empty when `len` is 0.
    pub segments: Vec<Segment>,
}

/// Who may be writing blobs under an upload epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEpoch {
    pub node: NodeId,
    pub opened: Timestamp,
}
