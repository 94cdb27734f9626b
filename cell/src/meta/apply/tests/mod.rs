//! `apply` against a store in memory: each subject's behaviour, and properties of random histories.

mod accounts;
mod audit;
mod buckets;
mod epochs;
mod histories;
mod objects;
mod replays;
mod uploads;

use super::*;
use crate::meta::{
    command::{CompleteUpload, Condition, DeleteObject, ListedPart, PutObject},
    record::{Account, BlobId, BucketId, ContentHeaders, Etag, Layout, Part, Segment, UploadEpoch, UploadId, Usage},
    view::IndexView,
};
use bulkhead_model::{ClaimId, NodeId, RequestId, Timestamp};
use bulkhead_replica::MemoryStore;
use bytes::Bytes;

pub(super) const MIB: u64 = 1 << 20;
const START: Timestamp = Timestamp(1_750_000_000_000);

pub(super) fn account(n: u64) -> AccountId {
    AccountId::new(AccountId::FIRST + n).expect("in range")
}

pub(super) fn etag(tag: u8) -> Etag {
    Etag { md5: [tag; 16], parts: None }
}

pub(super) fn upload(n: u64) -> UploadId {
    UploadId::mint(START, n)
}

/// An index with its state, driven one command at a time.
pub(super) struct World {
    pub index: Index,
    pub store: MemoryStore,
    pub time: Timestamp,
    pub epoch: UploadEpoch,
    blobs: u64,
}

impl World {
    /// A cell with accounts 1 and 2 and an open upload epoch.
    pub fn new() -> Self {
        Self::with(Capacity::holding(1 << 50, 1_000_000, 100))
    }

    pub fn with(capacity: Capacity) -> Self {
        let store = MemoryStore::default();
        let mut world = Self { index: Index::new(capacity), store, time: START, epoch: UploadEpoch(0), blobs: 0 };
        for n in [1, 2] {
            world.must(put_account(n, 1));
        }
        world.reopen();
        world
    }

    pub fn apply(&mut self, envelope: &Envelope) -> Outcome {
        let applied = self.index.apply(&self.store, &format::encode(envelope)).expect("memory does not fail");
        self.store.write(applied.mutations);
        format::decode(&applied.outcome).expect("its own outcome")
    }

    pub fn run(&mut self, command: Command) -> Outcome {
        self.apply(&Envelope { time: self.time, request: None, routed: None, command })
    }

    pub fn run_as(&mut self, request: u128, command: Command) -> Outcome {
        self.apply(&Envelope { time: self.time, request: Some(RequestId(request)), routed: None, command })
    }

    /// Runs a command that must succeed.
    pub fn must(&mut self, command: Command) -> Done {
        let shown = format!("{command:?}");
        self.run(command).unwrap_or_else(|refusal| panic!("{shown} was refused: {refusal}"))
    }

    /// Runs a command that must be refused.
    pub fn refused(&mut self, command: Command) -> Refusal {
        let shown = format!("{command:?}");
        match self.run(command) {
            Err(refusal) => refusal,
            Ok(done) => panic!("{shown} was done: {done:?}"),
        }
    }

    pub fn view(&self) -> IndexView<MemoryStore> {
        IndexView::new(self.store.clone())
    }

    /// Opens another upload epoch for the node all blobs are of.
    pub fn reopen(&mut self) {
        let Done::EpochOpened { epoch } = self.must(Command::OpenEpoch { node: NodeId(1) }) else {
            panic!("opening an epoch says which")
        };
        self.epoch = epoch;
    }

    pub fn bucket(&mut self, name: &str, owner: u64) -> BucketId {
        match self.must(create_bucket(name, owner, 1)) {
            Done::BucketCreated { bucket } => bucket,
            other => panic!("creating a bucket says which, not {other:?}"),
        }
    }

    pub fn blob(&mut self) -> BlobId {
        self.blobs += 1;
        BlobId { epoch: self.epoch, number: self.blobs }
    }

    pub fn segments(&mut self, len: u64) -> Vec<Segment> {
        vec![Segment { blob: self.blob(), len, chunk_bytes: 4 << 20 }]
    }

    pub fn large(&mut self, bucket: BucketId, key: &str, tag: u8, len: u64) -> PutObject {
        let layout = Layout::Segments(self.segments(len));
        put(bucket, key, tag, len, layout, None)
    }

    pub fn small(&mut self, bucket: BucketId, key: &str, tag: u8, len: u64) -> PutObject {
        let body = vec![tag; usize::try_from(len).expect("small")];
        put(bucket, key, tag, len, Layout::Inline(self.blob()), Some(body.into()))
    }

    pub fn part(&mut self, bucket: BucketId, key: &str, of: UploadId, number: u16, tag: u8, len: u64) -> Command {
        let segments = if len == 0 { Vec::new() } else { self.segments(len) };
        let part = Part { len, etag: etag(tag), modified: Timestamp(0), checksum: None, segments };
        Command::PutPart { bucket, key: key.into(), upload: of, number, part }
    }
}

fn put(bucket: BucketId, key: &str, tag: u8, len: u64, layout: Layout, body: Option<Bytes>) -> PutObject {
    PutObject {
        bucket,
        key: key.into(),
        condition: Condition::default(),
        len,
        etag: etag(tag),
        checksum: None,
        headers: ContentHeaders::default(),
        layout,
        body,
    }
}

pub(super) fn put_account(n: u64, epoch: u64) -> Command {
    let record = Account { display_name: format!("a{n}"), email: format!("a{n}@example.com"), epoch: Epoch(epoch) };
    Command::PutAccount { account: account(n), record }
}

pub(super) fn create_bucket(name: &str, owner: u64, claim: u64) -> Command {
    Command::CreateBucket { name: name.into(), owner: account(owner), claim: ClaimId(claim), location: None }
}

pub(super) fn delete_bucket(bucket: BucketId, name: &str) -> Command {
    Command::DeleteBucket { bucket, name: name.into() }
}

pub(super) fn delete(bucket: BucketId, keys: &[&str]) -> Command {
    let object = |key: &&str| DeleteObject { key: (*key).into(), condition: Condition::default() };
    Command::DeleteObjects { bucket, objects: keys.iter().map(object).collect() }
}

pub(super) fn create_upload(bucket: BucketId, key: &str, id: UploadId) -> Command {
    let headers = ContentHeaders { content_type: Some("text/plain".into()), ..ContentHeaders::default() };
    Command::CreateUpload { bucket, key: key.into(), upload: id, headers, checksum: None }
}

pub(super) fn abort(bucket: BucketId, key: &str, id: UploadId) -> Command {
    Command::AbortUpload { bucket, key: key.into(), upload: id }
}

pub(super) fn complete(bucket: BucketId, key: &str, id: UploadId, listed: &[(u16, u8)]) -> CompleteUpload {
    let listed = listed.iter().map(|&(number, tag)| ListedPart { number, md5: [tag; 16], checksum: None }).collect();
    let condition = Condition::default();
    CompleteUpload { bucket, key: key.into(), upload: id, condition, listed, checksum: None, len: None }
}

pub(super) fn usage(bytes: u64, objects: u64) -> Usage {
    Usage { bytes, objects }
}
