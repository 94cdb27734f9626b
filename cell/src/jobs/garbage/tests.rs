//! Bytes that are freed are never named, whoever stalls, however old the states are that are looked at; and what nobody needs is freed.

use super::*;
use crate::{
    jobs::census::{self, Held},
    limits::EPOCHS_PER_NODE_MAX,
    meta::{
        apply::Index,
        command::{Condition, DeleteObject, Done, Envelope, Outcome, PutObject},
        format,
        record::{Account, BucketId, ContentHeaders, Etag, Layout},
        view::IndexView,
    },
};
use bulkhead_model::{AccountId, ClaimId, Epoch, blueprint::Capacity};
use bulkhead_replica::{Machine as _, MemoryStore};
use proptest::prelude::*;

const GRACE: Duration = Duration::from_secs(60);
const CHUNK_BYTES: u32 = 100;
const START: u64 = 1_750_000_000_000;
const KEYS: [&str; 3] = ["a", "b", "c"];

/// An upload that has a blob id and writes.
#[derive(Debug, Clone, Copy)]
struct Writer {
    blob: BlobId,
    len: u64,
    written: u64,
}

/// A cell's index, the chunks of one node that is to have all of them, and writers that take their time.
struct World {
    index: Index,
    store: MemoryStore,
    time: u64,
    bucket: BucketId,
    /// The epochs of two nodes, as they know them: the newest, and all that were opened.
    epochs: [Vec<UploadEpoch>; 2],
    held: BTreeSet<ChunkId>,
    writers: Vec<Writer>,
    next: u64,
}

impl World {
    fn new() -> Self {
        let index = Index::new(Capacity::holding(1 << 40, 1 << 40, 10));
        let mut world = Self {
            index,
            store: MemoryStore::default(),
            time: START,
            bucket: BucketId(0),
            epochs: [vec![], vec![]],
            held: BTreeSet::new(),
            writers: vec![],
            next: 0,
        };
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        let record = Account { display_name: "a".into(), email: "a@example.com".into(), epoch: Epoch(1) };
        world.must(Command::PutAccount { account, record });
        let create = Command::CreateBucket { name: "b".into(), owner: account, claim: ClaimId(1), location: None };
        let Done::BucketCreated { bucket } = world.must(create) else { panic!("a bucket") };
        world.bucket = bucket;
        world.open(0);
        world.open(1);
        world
    }

    fn run(&mut self, command: Command) -> Outcome {
        let envelope = Envelope { time: Timestamp(self.time), request: None, routed: None, command };
        let applied = self.index.apply(&self.store, &format::encode(&envelope)).expect("memory does not fail");
        self.store.write(applied.mutations);
        format::decode(&applied.outcome).expect("its own outcome")
    }

    fn must(&mut self, command: Command) -> Done {
        self.run(command).expect("it is allowed")
    }

    fn opened(&mut self, node: usize, command: Command) {
        let Done::EpochOpened { epoch } = self.must(command) else { panic!("an epoch") };
        self.epochs[node].push(epoch);
    }

    /// The node begins anew.
    fn open(&mut self, node: usize) {
        self.opened(node, Command::OpenEpoch { node: NodeId(node as u64 + 1) });
    }

    /// Keeps what `keeps` says, whether or not somebody writes under it: the node may be wrong.
    fn rotate(&mut self, node: usize, keeps: &[bool]) {
        let to = *self.epochs[node].last().expect("it opened one");
        let all = self.epochs[node].iter().rev().zip(keeps);
        let keep = all.filter(|(_, keep)| **keep).map(|(epoch, _)| *epoch).collect();
        self.opened(node, Command::RotateEpoch { node: NodeId(node as u64 + 1), to, keep });
    }

    fn begin(&mut self, node: usize, chunks: u64) {
        let epoch = *self.epochs[node].last().expect("it opened one");
        self.next += 1;
        let blob = BlobId { epoch, number: self.next };
        self.writers.push(Writer { blob, len: chunks * u64::from(CHUNK_BYTES), written: 0 });
    }

    fn write(&mut self, at: usize) {
        let count = self.writers.len();
        if let Some(writer) = self.writers.get_mut(at % count.max(1))
            && writer.written < chunk_count(writer.len, CHUNK_BYTES)
        {
            let index = u32::try_from(writer.written).expect("small");
            self.held.insert(ChunkId { blob: writer.blob.into(), index });
            writer.written += 1;
        }
    }

    /// Names what a writer has written, if it has written all of it. It keeps its blob: a late repetition is as bad.
    fn name(&mut self, at: usize, key: usize) {
        let Some(writer) = self.writers.get(at % self.writers.len().max(1)).copied() else { return };
        if writer.written < chunk_count(writer.len, CHUNK_BYTES) {
            return;
        }
        let segment = Segment { blob: writer.blob, len: writer.len, chunk_bytes: CHUNK_BYTES };
        // Refused or not.
        let _ = self.run(Command::PutObject(PutObject {
            bucket: self.bucket,
            key: KEYS[key].into(),
            condition: Condition::default(),
            len: writer.len,
            etag: Etag { md5: [0; 16], parts: None },
            checksum: None,
            headers: ContentHeaders::default(),
            layout: Layout::Segments(vec![segment]),
            body: None,
        }));
    }

    fn delete(&mut self, key: usize) {
        let object = DeleteObject { key: KEYS[key].into(), condition: Condition::default() };
        self.must(Command::DeleteObjects { bucket: self.bucket, objects: vec![object] });
    }

    fn view(&self) -> MemoryStore {
        self.store.clone()
    }

    /// Everything named is here, whole.
    fn check(&self) -> Result<(), TestCaseError> {
        let view = IndexView::new(self.store.clone());
        for key in KEYS {
            let Some(object) = view.object(self.bucket, key).expect("memory") else { continue };
            let Layout::Segments(segments) = object.layout else { panic!("all are segments") };
            for chunk in segments.iter().flat_map(chunks_of) {
                prop_assert!(self.held.contains(&chunk), "{} of {key} was freed and is named", chunk);
            }
        }
        Ok(())
    }

    fn free(&mut self, chunks: impl IntoIterator<Item = ChunkId>) {
        for chunk in chunks {
            self.held.remove(&chunk);
        }
    }

    /// The fast path, by some state of the index.
    fn free_garbage(&mut self, state: MemoryStore) {
        let page = plan(&bytes(state), GarbageKey::default(), Duration::ZERO).expect("memory");
        let chunks: Vec<_> = page.ready.iter().flat_map(|(_, segment)| chunks_of(segment)).collect();
        self.free(chunks);
    }

    fn page(&self) -> Held {
        Held { chunks: self.held.iter().copied().collect(), is_all: true }
    }

    /// The census, by a page of chunks and some state of the index.
    fn census(&mut self, state: MemoryStore, held: &Held) {
        let part = census::plan(&bytes(state), None, held, |_| true).expect("memory");
        assert_eq!(part.to, None);
        self.free(part.free);
    }

    /// The leader forgets garbage, by some state of the index.
    fn forget(&mut self, state: MemoryStore) {
        let page = plan(&bytes(state), GarbageKey::default(), GARBAGE_LINGER).expect("memory");
        let rows = page.ready.iter().map(|(released, segment)| (*released, segment.blob)).collect();
        self.must(Command::ExpireGarbage { rows });
    }
}

fn bytes(state: MemoryStore) -> Bytes<MemoryStore> {
    Bytes::new(IndexView::new(state), GRACE).expect("memory")
}

#[derive(Debug, Clone)]
enum Step {
    Begin {
        node: usize,
        chunks: u64,
    },
    Write {
        at: usize,
    },
    Name {
        at: usize,
        key: usize,
    },
    Delete {
        key: usize,
    },
    Rotate {
        node: usize,
        keeps: Vec<bool>,
    },
    Restart {
        node: usize,
    },
    CloseAll,
    Wait {
        seconds: u64,
    },
    /// A state of the index and a page of chunks are taken, and acted upon later or never.
    TakeView,
    TakePage,
    FreeGarbage {
        is_old: bool,
    },
    Census {
        is_old_view: bool,
        is_old_page: bool,
    },
    Forget {
        is_old: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let flag = any::<bool>;
    prop_oneof![
        4 => (0..2usize, 1..4u64).prop_map(|(node, chunks)| Step::Begin { node, chunks }),
        8 => (0..8usize).prop_map(|at| Step::Write { at }),
        6 => (0..8usize, 0..KEYS.len()).prop_map(|(at, key)| Step::Name { at, key }),
        2 => (0..KEYS.len()).prop_map(|key| Step::Delete { key }),
        3 => (0..2usize, prop::collection::vec(flag(), 0..6)).prop_map(|(node, keeps)| Step::Rotate { node, keeps }),
        1 => (0..2usize).prop_map(|node| Step::Restart { node }),
        1 => Just(Step::CloseAll),
        3 => prop_oneof![Just(1u64), Just(61), Just(3_600)].prop_map(|seconds| Step::Wait { seconds }),
        2 => Just(Step::TakeView),
        2 => Just(Step::TakePage),
        3 => flag().prop_map(|is_old| Step::FreeGarbage { is_old }),
        4 => (flag(), flag()).prop_map(|(is_old_view, is_old_page)| Step::Census { is_old_view, is_old_page }),
        2 => flag().prop_map(|is_old| Step::Forget { is_old }),
    ]
}

/// What was taken earlier, or what is now.
fn pick<T>(is_old: bool, old: Option<T>, now: T) -> T {
    old.filter(|_| is_old).unwrap_or(now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_that_were_freed_are_never_named_however_long_a_writer_stalls(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        let (mut old_view, mut old_page) = (None, None);
        for step in steps {
            match step {
                Step::Begin { node, chunks } => world.begin(node, chunks),
                Step::Write { at } => world.write(at),
                Step::Name { at, key } => world.name(at, key),
                Step::Delete { key } => world.delete(key),
                Step::Rotate { node, keeps } => world.rotate(node, &keeps),
                Step::Restart { node } => world.open(node),
                Step::CloseAll => {
                    let epochs = world.epochs.concat();
                    world.must(Command::CloseEpochs { epochs });
                    world.open(0);
                    world.open(1);
                }
                Step::Wait { seconds } => world.time += seconds * 1_000,
                Step::TakeView => old_view = Some(world.view()),
                Step::TakePage => old_page = Some(world.page()),
                Step::FreeGarbage { is_old } => world.free_garbage(pick(is_old, old_view.clone(), world.view())),
                Step::Census { is_old_view, is_old_page } => {
                    let page = pick(is_old_page, old_page.clone(), world.page());
                    world.census(pick(is_old_view, old_view.clone(), world.view()), &page);
                }
                Step::Forget { is_old } => world.forget(pick(is_old, old_view.clone(), world.view())),
            }
            world.check()?;
        }
        settle(&mut world)?;
    }
}

/// Once everybody has let go and the grace has passed, exactly what is named is left.
fn settle(world: &mut World) -> Result<(), TestCaseError> {
    let epochs = world.epochs.concat();
    world.must(Command::CloseEpochs { epochs });
    world.time += 24 * 3_600 * 1_000;
    world.open(0);
    world.free_garbage(world.view());
    world.forget(world.view());
    world.census(world.view(), &world.page());
    world.check()?;
    let view = IndexView::new(world.store.clone());
    let mut named = BTreeSet::new();
    for key in KEYS {
        if let Some(Layout::Segments(segments)) = view.object(world.bucket, key).expect("memory").map(|one| one.layout)
        {
            named.extend(segments.iter().flat_map(chunks_of));
        }
    }
    prop_assert_eq!(&world.held, &named);
    prop_assert!(world.store.is_empty(crate::meta::keys::garbage::FAMILY));
    Ok(())
}

#[test]
fn a_writer_that_stalls_keeps_its_bytes_while_its_epoch_is_open_and_is_refused_afterwards() {
    let mut world = World::new();
    world.begin(0, 2);
    world.write(0);
    world.write(0);
    world.rotate(0, &[true]);
    world.time += 23 * 3_600 * 1_000;
    world.census(world.view(), &world.page());
    assert_eq!(world.held.len(), 2, "its epoch is open");
    world.rotate(0, &[true, false]);
    world.census(world.view(), &world.page());
    assert_eq!(world.held.len(), 0, "its epoch is closed, and nothing was named");
    world.name(0, 0);
    let view = IndexView::new(world.store.clone());
    assert_eq!(view.object(world.bucket, KEYS[0]).expect("memory"), None, "too late");
}

#[test]
fn deleted_bytes_are_kept_for_their_grace_and_until_their_epoch_is_closed() {
    let mut world = World::new();
    world.begin(0, 1);
    world.write(0);
    world.name(0, 0);
    world.delete(0);
    world.time += 61_000;
    world.rotate(0, &[true]);
    world.free_garbage(world.view());
    assert_eq!(world.held.len(), 1, "its epoch is open");
    world.forget(world.view());
    assert_eq!(world.store.len(crate::meta::keys::garbage::FAMILY), 1);
    world.rotate(0, &[true]);
    world.free_garbage(world.view());
    assert_eq!(world.held.len(), 0);
    world.forget(world.view());
    assert_eq!(world.store.len(crate::meta::keys::garbage::FAMILY), 1, "others have not seen it yet");
    world.time += u64::try_from(GARBAGE_LINGER.as_millis()).expect("minutes");
    world.rotate(0, &[true]);
    world.forget(world.view());
    assert!(world.store.is_empty(crate::meta::keys::garbage::FAMILY));
    assert!(world.store.is_empty(crate::meta::keys::blobs::FAMILY));
}

#[test]
fn an_epoch_that_a_state_has_not_heard_of_is_not_taken_for_closed() {
    let mut world = World::new();
    let before = world.view();
    world.rotate(0, &[true]);
    world.begin(0, 1);
    world.write(0);
    world.census(before, &world.page());
    assert_eq!(world.held.len(), 1);
}

#[test]
fn the_leader_closes_what_nodes_that_are_gone_left_open() {
    let now = Timestamp(START);
    let open = |number: u64, node: u64, hours: u64| {
        let opened = Timestamp(START - hours * 3_600 * 1_000 - 1);
        (UploadEpoch(number), OpenEpoch { node: NodeId(node), opened })
    };
    let all = [open(1, 1, 25), open(2, 1, 24), open(3, 1, 0), open(4, 9, 1), open(5, 9, 0)];
    let members = [NodeId(1), NodeId(2)].into();
    assert_eq!(abandoned(&all, &members, now), [UploadEpoch(1), UploadEpoch(4)]);
    assert!(all.len() < EPOCHS_PER_NODE_MAX);
}
