//! Tenants that read and write small objects at a steady pace, and remember how each request went: what a fault elsewhere must
//! not change.

use crate::{
    client::{Condition, Outcome, PayloadHash, Put, Session, Target},
    clock,
    limits::BEATS_MAX,
    workload::Content,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const OBJECT_BYTES: u64 = 4 << 10;
const KEYS: u64 = 8;
/// A client's request may wait this long: longer than anything a router promises.
const PATIENCE: Duration = Duration::from_secs(40);

/// Running tenants.
pub struct Pulse {
    clients: u64,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    beats: Mutex<Vec<Beat>>,
}

impl Shared {
    fn note(&self, beat: Beat) {
        let mut beats = self.beats.lock();
        if beats.len() < BEATS_MAX {
            beats.push(beat);
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
struct Beat {
    ended: Instant,
    took: Duration,
    error: Option<String>,
}

/// What requests that ended within some time saw.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub requests: usize,
    pub errors: BTreeMap<String, usize>,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Figures {
    fn of(beats: &[Beat]) -> Self {
        let mut errors = BTreeMap::new();
        beats.iter().filter_map(|beat| beat.error.clone()).for_each(|error| *errors.entry(error).or_default() += 1);
        let mut took: Vec<Duration> = beats.iter().filter(|beat| beat.error.is_none()).map(|beat| beat.took).collect();
        took.sort_unstable();
        let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1)));
        let [p50, p99, max] = [50, 99, 100].map(|percent| at(percent).copied().unwrap_or_default());
        Self { requests: beats.len(), errors, p50, p99, max }
    }

    /// Requests that failed.
    pub fn failed(&self) -> usize {
        self.errors.values().sum()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let (p50, p99, max) = (millis(self.p50), millis(self.p99), millis(self.max));
        write!(
            f,
            "{:6} requests, {:4} errors, p50 {p50:7.1} ms, p99 {p99:7.1} ms, max {max:8.1} ms",
            self.requests,
            self.failed()
        )?;
        self.errors.iter().try_for_each(|(error, count)| write!(f, "; {count} x {error}"))
    }
}

impl Pulse {
    /// Starts `clients` clients on `bucket`, each of which begins a request every `every`, or when its last one has ended.
    pub fn start(target: &Arc<Target>, bucket: &str, clients: u64, every: Duration) -> Self {
        let shared = Arc::<Shared>::default();
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let session = Session::new(target.clone(), PayloadHash::Unsigned).with_timeout(PATIENCE);
            tasks.spawn(beat(session, bucket.to_owned(), number, every, shared.clone()));
        }
        Self { clients, shared, tasks }
    }

    /// How many there are.
    pub fn clients(&self) -> u64 {
        self.clients
    }

    /// What the requests saw that ended between two moments.
    pub fn between(&self, from: Instant, to: Instant) -> Figures {
        let beats = self.shared.beats.lock();
        let within: Vec<Beat> = beats.iter().filter(|beat| beat.ended >= from && beat.ended < to).cloned().collect();
        drop(beats);
        Figures::of(&within)
    }

    /// Ends the clients.
    ///
    /// # Errors
    /// When one of them has panicked.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}

async fn beat(mut session: Session, bucket: String, number: u64, every: Duration, shared: Arc<Shared>) {
    let mut turn = 0_u64;
    while !shared.stop.load(Ordering::Relaxed) {
        let begun = clock::now();
        let key = format!("pulse/{number}/{}", turn / 2 % KEYS);
        let error = if turn.is_multiple_of(2) {
            put(&mut session, &bucket, &key).await
        } else {
            get(&mut session, &bucket, &key).await
        };
        // A write that failed leaves nothing to read.
        turn += if error.is_some() { 2 } else { 1 };
        let ended = clock::now();
        shared.note(Beat { ended, took: ended - begun, error });
        tokio::time::sleep_until((begun + every).into()).await;
    }
}

async fn put(session: &mut Session, bucket: &str, key: &str) -> Option<String> {
    let content = Content::of(key, 1, OBJECT_BYTES);
    let put = Put { bucket, key, version: 1, content, condition: Condition::Always };
    error_of(session.put(&put).await)
}

async fn get(session: &mut Session, bucket: &str, key: &str) -> Option<String> {
    let expected = Content::of(key, 1, OBJECT_BYTES);
    let read = session.get(bucket, key).await;
    match read.and_then(async |download| download.verify(expected, 0).await).await {
        Outcome::Ok(Err(mismatch)) => Some(format!("wrong bytes: {mismatch}")),
        other => error_of(other),
    }
}

fn error_of<T>(outcome: Outcome<T>) -> Option<String> {
    match outcome {
        Outcome::Ok(_) => None,
        Outcome::Refused(refusal) => Some(format!("{} {}", refusal.status, refusal.code)),
        Outcome::Unsent(_) => Some("no connection".to_owned()),
        Outcome::Unknown(lost) => Some(lost.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, Sin};

    #[tokio::test]
    async fn a_pulse_sees_what_ends_in_a_span_and_counts_errors_apart() {
        let begun = clock::now();
        let beat = |millis: u64, error: Option<&str>| Beat {
            ended: begun + Duration::from_millis(millis),
            took: Duration::from_millis(millis),
            error: error.map(str::to_owned),
        };
        let beats: Vec<Beat> =
            (1..=100).map(|n| beat(n, None)).chain([beat(5000, Some("500 InternalError"))]).collect();
        let figures = Figures::of(&beats);
        assert_eq!((figures.requests, figures.failed(), figures.max.as_millis()), (101, 1, 100));
        assert_eq!((figures.p50.as_millis(), figures.p99.as_millis()), (51, 100));
    }

    #[tokio::test]
    async fn a_well_behaved_store_gives_a_pulse_without_errors() {
        let fake = Fake::start(Sin::None).await;
        let begun = clock::now();
        let pulse = Pulse::start(&fake.target, "b", 2, Duration::from_millis(1));
        assert!(clock::wait_until(PATIENCE, async || pulse.between(begun, clock::now()).requests > 20).await);
        assert_eq!(pulse.between(begun, clock::now()).failed(), 0);
        pulse.stop().await.expect("nobody panicked");
    }
}
