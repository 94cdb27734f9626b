//! One sync for everything that is queued.

use super::*;
use crate::{
    chunks::{
        CopyError,
        health::DiskHealth,
        index::Index,
        writer::{Job, Message, Stored, Writer},
    },
    limits::{CHUNK_WRITE_BYTES_MAX, DISK_RESERVE_BYTES},
};
use tokio::sync::{Semaphore, mpsc, oneshot};

type Outcome = oneshot::Receiver<Result<Stored, CopyError>>;

/// Runs a writer over these chunks, all queued before it starts.
fn run(disk: &FaultyDisk, chunks: Vec<Chunk>, prepare: impl FnOnce(&mut Vec<Outcome>)) -> Vec<Outcome> {
    let (sender, queue) = mpsc::channel(chunks.len() + 1);
    let budget = Arc::new(Semaphore::new(CHUNK_WRITE_BYTES_MAX));
    let mut outcomes = Vec::new();
    for chunk in chunks {
        let (done, outcome) = oneshot::channel();
        let budget = Arc::clone(&budget).try_acquire_many_owned(1).expect("plenty");
        let job = Job { chunk, deadline: deadline(), moved_from: None, done, budget };
        sender.try_send(Message::Write(job)).expect("there is room for all");
        outcomes.push(outcome);
    }
    sender.try_send(Message::Stop).expect("there is room for all");
    prepare(&mut outcomes);
    let env = Env::for_tests(0);
    let writer = Writer {
        disk: Arc::new(disk.clone()),
        index: Arc::new(Index::default()),
        health: Arc::new(DiskHealth::new(env.clock.now())),
        node: NodeId(1),
        extent_bytes: EXTENT_BYTES,
        reserve_bytes: DISK_RESERVE_BYTES,
        clock: env.clock,
        rng: env.rng,
        queue,
        open: None,
        next: 0,
    };
    writer.run();
    outcomes
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
