//! The store against a model of it: a map of what was acknowledged and a set of what may be there.
//!
//! Whatever the disk does, an acknowledged chunk is there byte for byte, a chunk that was not acknowledged is there whole or not at all,
//! and what a reopened store has it keeps.

use super::*;
use crate::chunks::disk::Fault;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    /// So many chunks of this length at once.
    Put {
        count: u64,
        len: u32,
    },
    /// The last chunk once more.
    PutAgain,
    Plan(Fault),
    Crash,
    Kill,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = (0..5_u64, 0..5).prop_map(|(after, kind)| match kind {
        0 => Fault::Write(after),
        1 => Fault::WriteNoSpace(after),
        2 => Fault::Directory(after),
        3 => Fault::Read(after * 3),
        _ => Fault::Sync(after),
    });
    prop_oneof![
        6 => (1..6_u64, 1..=CHUNK_BYTES).prop_map(|(count, len)| Step::Put { count, len }),
        1 => Just(Step::PutAgain),
        3 => fault.prop_map(Step::Plan),
        2 => Just(Step::Crash),
        1 => Just(Step::Kill),
        1 => Just(Step::Restart),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Acknowledged, or seen after a reopening.
    Durable,
    /// Its put failed.
    Unknown,
}

/// What should be there.
#[derive(Default)]
struct Model {
    chunks: BTreeMap<u64, (u32, State)>,
    /// In this life a read may have failed, so that the store may have forgotten durable chunks.
    reads_failed: bool,
}

impl Model {
    async fn put(&mut self, store: &LocalStore, count: u64, len: u32) {
        let first = self.chunks.len() as u64;
        let puts = (first..first + count)
            .map(|number| async move { (number, store.put(chunk(number, len), deadline()).await) });
        for (number, outcome) in futures::future::join_all(puts).await {
            let state = if outcome.is_ok() { State::Durable } else { State::Unknown };
            self.chunks.insert(number, (len, state));
        }
    }

    async fn put_again(&mut self, store: &LocalStore) {
        if let Some((number, (len, state))) = self.chunks.iter_mut().next_back()
            && store.put(chunk(*number, *len), deadline()).await.is_ok()
        {
            *state = State::Durable;
        }
    }

    async fn check(&mut self, store: &LocalStore) -> Result<(), TestCaseError> {
        for (number, (len, state)) in &mut self.chunks {
            match (read(store, *number, *len).await, *state) {
                (Ok(read), _) => {
                    prop_assert_eq!(read, bytes(*number, *len), "chunk {} has other bytes", number);
                    *state = State::Durable;
                }
                (Err(ReadError::Missing), State::Unknown) => {}
                (Err(ReadError::Missing | ReadError::Damaged(_)), _) if self.reads_failed => {}
                (Err(error), _) => return Err(TestCaseError::fail(format!("chunk {number} is lost: {error}"))),
            }
        }
        Ok(())
    }
}

async fn run(seed: u64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut disk = disk(seed);
    let mut store = open(&disk).await;
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Put { count, len } => model.put(&store, count, len).await,
            Step::PutAgain => model.put_again(&store).await,
            Step::Plan(fault) => {
                model.reads_failed |= matches!(fault, Fault::Read(_));
                disk.plan(fault);
                continue;
            }
            Step::Crash | Step::Kill | Step::Restart => {
                if let Step::Restart = step {
                    store.shutdown().await;
                }
                disk = if let Step::Crash = step { disk.crash() } else { disk.kill() };
                model.reads_failed = disk.will_fail_a_read();
                store = open(&disk).await;
            }
        }
        model.check(&store).await?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_and_no_wrong_byte_is_read(seed: u64, steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(run(seed, steps))?;
    }
}
