//! One sync for everything that is queued.

use super::*;
use crate::{
    chunks::{
        CopyError,
        health::DiskHealth,
        index::{Index, Location},
        writer::{Job, Message, Stored, Writer},
    },
    limits::{CHUNK_WRITE_BYTES_MAX, DISK_RESERVE_BYTES},
};
use tokio::sync::{Semaphore, mpsc, oneshot};

type Outcome = oneshot::Receiver<Result<Stored, CopyError>>;

/// Runs a writer over these chunks, all queued before it starts.
fn run(disk: &FaultyDisk, chunks: Vec<Chunk>, prepare: impl FnOnce(&mut Vec<Outcome>)) -> Vec<Outcome> {
    let (queue, mut outcomes) = queue_of(chunks.into_iter().map(|chunk| (chunk, None)).collect());
    prepare(&mut outcomes);
    writer(disk, Arc::default(), queue, &Env::for_tests(0)).run();
    outcomes
}

/// A queue of these chunks, each with where it is to be moved from, and of the end.
fn queue_of(chunks: Vec<(Chunk, Option<Location>)>) -> (mpsc::Receiver<Message>, Vec<Outcome>) {
    let (sender, queue) = mpsc::channel(chunks.len() + 1);
    let budget = Arc::new(Semaphore::new(CHUNK_WRITE_BYTES_MAX));
    let mut outcomes = Vec::new();
    for (chunk, moved_from) in chunks {
        let (done, outcome) = oneshot::channel();
        let budget = Arc::clone(&budget).try_acquire_many_owned(1).expect("plenty");
        let job = Job { chunk, deadline: deadline(), moved_from, done, budget };
        sender.try_send(Message::Write(job)).expect("there is room for all");
        outcomes.push(outcome);
    }
    sender.try_send(Message::Stop).expect("there is room for all");
    (queue, outcomes)
}

fn writer(disk: &FaultyDisk, index: Arc<Index>, queue: mpsc::Receiver<Message>, env: &Env) -> Writer {
    Writer {
        disk: Arc::new(disk.clone()),
        index,
        health: Arc::new(DiskHealth::new(env.clock.now())),
        node: NodeId(1),
        extent_bytes: EXTENT_BYTES,
        reserve_bytes: DISK_RESERVE_BYTES,
        clock: env.clock.clone(),
        rng: env.rng.clone(),
        queue,
        behind: Vec::new(),
        behind_since: None,
        open: None,
        next: 0,
    }
}

/// Of one extent: its creation, and its sealing (the footer, and the file's length).
const SYNCS_PER_EXTENT: u64 = 3;

#[test]
fn everything_queued_shares_one_sync() {
    let disk = disk(0);
    let outcomes = run(&disk, (0..40).map(|number| chunk(number, 5_000)).collect(), |_| {});
    for mut outcome in outcomes {
        assert!(matches!(outcome.try_recv(), Ok(Ok(_))));
    }
    assert_eq!(disk.syncs(), SYNCS_PER_EXTENT + 1);
}

#[test]
fn a_batch_that_spans_extents_is_synced_once_in_each() {
    let disk = disk(0);
    let outcomes = run(&disk, (0..8).map(|number| chunk(number, CHUNK_BYTES)).collect(), |_| {});
    for mut outcome in outcomes {
        assert!(matches!(outcome.try_recv(), Ok(Ok(_))));
    }
    assert_eq!(disk.syncs(), 2 * (SYNCS_PER_EXTENT + 1));
}

#[test]
fn an_id_twice_in_one_batch_is_written_once() {
    let disk = disk(0);
    let outcomes = run(&disk, vec![chunk(1, 5_000), chunk(1, 5_000)], |_| {});
    for mut outcome in outcomes {
        assert!(matches!(outcome.try_recv(), Ok(Ok(_))));
    }
    assert_eq!(disk.syncs(), SYNCS_PER_EXTENT + 1);
}

#[test]
fn a_chunk_that_nobody_waits_for_is_not_written() {
    let disk = disk(0);
    let outcomes = run(&disk, vec![chunk(1, 5_000)], |outcomes| outcomes.clear());
    assert!(outcomes.is_empty());
    assert_eq!(disk.syncs(), 0);
}

#[test]
fn what_compaction_moves_goes_behind_what_tenants_wait_for_and_has_its_own_sync() {
    let (disk, index, env) = (disk(0), Arc::<Index>::default(), Env::for_tests(0));
    let stored = |mut outcome: Outcome| match outcome.try_recv() {
        Ok(Ok(Stored::At(location))) => location,
        other => panic!("not stored: {other:?}"),
    };
    let (queue, mut outcomes) = queue_of(vec![(chunk(1, 5_000), None)]);
    writer(&disk, Arc::clone(&index), queue, &env).run();
    let from = stored(outcomes.remove(0));
    let before = disk.syncs();
    let (queue, mut outcomes) = queue_of(vec![(chunk(1, 5_000), Some(from)), (chunk(2, 5_000), None)]);
    Writer { next: 1, ..writer(&disk, index, queue, &env) }.run();
    let (moved, put) = (stored(outcomes.remove(0)), stored(outcomes.remove(0)));
    assert!(put.offset() < moved.offset(), "the put came later and was written first");
    assert_eq!(disk.syncs() - before, SYNCS_PER_EXTENT + 2);
}
