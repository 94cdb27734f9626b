//! Random histories against a small model: same answers, exact usage, the same state whoever applies them.

use super::*;
use crate::meta::command::EtagMatch;
use proptest::prelude::*;
use std::collections::BTreeMap;

const NAMES: [&str; 2] = ["one", "two"];
const KEYS: [&str; 4] = ["a", "a/b", "a/c", "\u{0}b"];

/// One step: small numbers that pick names, keys and sizes.
#[derive(Debug, Clone)]
enum Step {
    CreateBucket { name: usize, owner: u64 },
    DeleteBucket { name: usize },
    Put { name: usize, key: usize, len: u64, tag: u8, large: bool, fresh: bool },
    Delete { name: usize, keys: Vec<usize>, tag: Option<u8> },
    CreateUpload { name: usize, key: usize, upload: u64 },
    PutPart { name: usize, key: usize, upload: u64, number: u16, len: u64, tag: u8 },
    Complete { name: usize, key: usize, upload: u64, skip: u16 },
    Abort { name: usize, key: usize, upload: u64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let (name, key, up) = (|| 0..NAMES.len(), || 0..KEYS.len(), || 0..2u64);
    prop_oneof![
        1 => (name(), 1..=2u64).prop_map(|(name, owner)| Step::CreateBucket { name, owner }),
        1 => name().prop_map(|name| Step::DeleteBucket { name }),
        5 => (name(), key(), 0..50u64, 1..4u8, any::<bool>(), any::<bool>())
            .prop_map(|(name, key, len, tag, large, fresh)| Step::Put { name, key, len, tag, large, fresh }),
        3 => (name(), prop::collection::vec(key(), 1..4), prop::option::of(1..4u8))
            .prop_map(|(name, keys, tag)| Step::Delete { name, keys, tag }),
        2 => (name(), key(), up()).prop_map(|(name, key, upload)| Step::CreateUpload { name, key, upload }),
        6 => (name(), key(), up(), 1..4u16, prop_oneof![Just(0), Just(9), Just(5 * MIB)], 1..4u8)
            .prop_map(|(name, key, upload, number, len, tag)| Step::PutPart { name, key, upload, number, len, tag }),
        2 => (name(), key(), up(), 0..4u16).prop_map(|(name, key, upload, skip)| Step::Complete { name, key, upload, skip }),
        1 => (name(), key(), up()).prop_map(|(name, key, upload)| Step::Abort { name, key, upload }),
        1 => Just(Step::Reopen),
    ]
}

type Parts = BTreeMap<u16, (u64, u8)>;

#[derive(Debug, Default)]
struct Bucket {
    id: Option<BucketId>,
    owner: u64,
    /// Length and ETag.
    objects: BTreeMap<usize, (u64, Etag)>,
    uploads: BTreeMap<(usize, u64), Parts>,
}

#[derive(Debug, Default)]
struct Model {
    buckets: [Bucket; 2],
    claims: u64,
}

impl Model {
    /// The command of a step, and whether the model expects it to be done.
    fn take(&mut self, world: &mut World, step: &Step) -> (Command, bool) {
        match *step {
            Step::CreateBucket { name, owner } => {
                self.claims += 1;
                (create_bucket(NAMES[name], owner, self.claims), self.buckets[name].id.is_none())
            }
            Step::DeleteBucket { name } => {
                let bucket = &mut self.buckets[name];
                let id = bucket.id.unwrap_or(BucketId(0));
                let done = bucket.id.is_some() && bucket.objects.is_empty();
                if done {
                    *bucket = Bucket::default();
                }
                (delete_bucket(id, NAMES[name]), done)
            }
            Step::Put { name, key, len, tag, large, fresh } => {
                let bucket = &mut self.buckets[name];
                let id = bucket.id.unwrap_or(BucketId(0));
                let object =
                    if large { world.large(id, KEYS[key], tag, len) } else { world.small(id, KEYS[key], tag, len) };
                let if_none_match = fresh.then_some(EtagMatch::Any);
                let condition = Condition { if_match: None, if_none_match };
                let done = bucket.id.is_some() && !(fresh && bucket.objects.contains_key(&key));
                if done {
                    bucket.objects.insert(key, (len, etag(tag)));
                }
                (Command::PutObject(PutObject { condition, ..object }), done)
            }
            Step::Delete { name, ref keys, tag } => {
                let bucket = &mut self.buckets[name];
                let if_match = tag.map(|tag| EtagMatch::OneOf(vec![etag(tag)]));
                let condition = Condition { if_match, if_none_match: None };
                let object = |key: &usize| DeleteObject { key: KEYS[*key].into(), condition: condition.clone() };
                let objects = keys.iter().map(object).collect();
                for key in keys {
                    if bucket.objects.get(key).is_some_and(|(_, own)| tag.is_none_or(|tag| etag(tag) == *own)) {
                        bucket.objects.remove(key);
                    }
                }
                (Command::DeleteObjects { bucket: bucket.id.unwrap_or(BucketId(0)), objects }, bucket.id.is_some())
            }
            Step::Reopen => (Command::OpenEpoch { node: NodeId(1) }, true),
            ref other => self.take_upload(world, other),
        }
    }

    fn take_upload(&mut self, world: &mut World, step: &Step) -> (Command, bool) {
        match *step {
            Step::CreateUpload { name, key, upload: up } => {
                let bucket = &mut self.buckets[name];
                if bucket.id.is_some() {
                    bucket.uploads.entry((key, up)).or_default();
                }
                (create_upload(bucket.id.unwrap_or(BucketId(0)), KEYS[key], upload(up)), bucket.id.is_some())
            }
            Step::PutPart { name, key, upload: up, number, len, tag } => {
                let bucket = &mut self.buckets[name];
                let command = world.part(bucket.id.unwrap_or(BucketId(0)), KEYS[key], upload(up), number, tag, len);
                let parts = bucket.uploads.get_mut(&(key, up));
                let done = parts.is_some();
                parts.map(|parts| parts.insert(number, (len, tag)));
                (command, done)
            }
            Step::Complete { name, key, upload: up, skip } => {
                let bucket = &mut self.buckets[name];
                let id = bucket.id.unwrap_or(BucketId(0));
                let parts = bucket.uploads.get(&(key, up)).cloned();
                let mut listed: Vec<_> = parts.clone().unwrap_or_default().into_iter().collect();
                listed.retain(|(number, _)| *number != skip);
                let fits = listed.iter().rev().skip(1).all(|(_, (len, _))| *len >= 5 * MIB);
                let done = parts.is_some() && !listed.is_empty() && fits;
                let tags: Vec<_> = listed.iter().map(|(number, (_, tag))| (*number, *tag)).collect();
                if done {
                    bucket.uploads.remove(&(key, up));
                    let md5s = tags.iter().flat_map(|(_, tag)| [*tag; 16]).collect::<Vec<_>>();
                    let md5 = <md5::Md5 as md5::Digest>::digest(md5s).into();
                    let len = listed.iter().map(|(_, (len, _))| len).sum();
                    bucket.objects.insert(key, (len, Etag { md5, parts: u32::try_from(tags.len()).ok() }));
                }
                (Command::CompleteUpload(complete(id, KEYS[key], upload(up), &tags)), done)
            }
            Step::Abort { name, key, upload: up } => {
                let bucket = &mut self.buckets[name];
                let done = bucket.uploads.remove(&(key, up)).is_some();
                (abort(bucket.id.unwrap_or(BucketId(0)), KEYS[key], upload(up)), done)
            }
            ref other => unreachable!("{other:?} is not about uploads"),
        }
    }

    /// Notes what only the index knows: ids.
    fn learn(&mut self, world: &mut World, step: &Step, outcome: &Outcome) {
        match (step, outcome) {
            (Step::CreateBucket { name, owner }, Ok(Done::BucketCreated { bucket })) => {
                self.buckets[*name] = Bucket { id: Some(*bucket), owner: *owner, ..Bucket::default() };
            }
            (Step::Reopen, Ok(Done::EpochOpened { epoch })) => world.epoch = *epoch,
            (_, Ok(_) | Err(_)) => {}
        }
    }

    fn compare(&self, world: &World) {
        for (name, bucket) in NAMES.iter().zip(&self.buckets) {
            let found = world.view().bucket(name).expect("memory");
            assert_eq!(found.as_ref().map(|found| found.id), bucket.id, "{name}");
            let Some(id) = bucket.id else { continue };
            assert_eq!(found.map(|found| found.owner), Some(account(bucket.owner)));
            let mut bytes = 0;
            for (at, key) in KEYS.iter().enumerate() {
                let object = world.view().object(id, key).expect("memory");
                assert_eq!(object.map(|object| (object.len, object.etag)), bucket.objects.get(&at).copied(), "{key:?}");
                bytes += bucket.objects.get(&at).map_or(0, |(len, _)| *len);
            }
            bytes += bucket.uploads.values().flat_map(Parts::values).map(|(len, _)| len).sum::<u64>();
            let expected = Some(usage(bytes, bucket.objects.len() as u64));
            assert_eq!(world.view().bucket_usage(id).expect("memory"), expected, "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_history_gives_the_model_s_answers_exact_usage_and_the_same_state_twice(
        steps in prop::collection::vec(step(), 1..60),
        clocks in prop::collection::vec(0..2_000u64, 60),
    ) {
        let (mut world, mut twin, mut model) = (World::new(), World::new(), Model::default());
        for (at, step) in steps.iter().enumerate() {
            let (command, expected) = model.take(&mut world, step);
            let time = Timestamp(START.0 + clocks[at]);
            let envelope = Envelope { time, request: Some(RequestId(at as u128)), routed: None, command };
            let outcome = world.apply(&envelope);
            prop_assert_eq!(outcome.is_ok(), expected, "{:?} gave {:?}", step, outcome);
            model.learn(&mut world, step, &outcome);
            prop_assert_eq!(&twin.apply(&envelope), &outcome);
            let before = world.store.clone();
            if outcome.is_ok() {
                prop_assert_eq!(world.apply(&envelope), outcome);
                prop_assert_eq!(&world.store, &before);
            }
            model.compare(&world);
            audit::audit(&world.store);
        }
        prop_assert_eq!(&world.store, &twin.store);
    }
}
