//! Clients under whose eyes faults happen: each writes keys of its own, and everybody reads and lists everybody's. What they
//! saw acknowledged is verified key by key.

mod acks;
pub mod pulse;
#[cfg(test)]
mod tests;
pub mod verify;

pub use acks::Acks;

use crate::{
    client::{Condition, ListQuery, Lost, Outcome, PayloadHash, Put, Refusal, Session, Target},
    clock,
    limits::{CLIENT_PAUSE, DRILL_REQUEST_TIMEOUT, UNKNOWNS_PER_KEY_MAX, VIOLATIONS_MAX},
    oracle::{Fate, Ledger, Seen, Summary, WriteId},
    workload::Content,
};
use parking_lot::Mutex;
use pulse::{Kind, Pulse};
use rand::{Rng as _, RngExt as _, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::RwLock, task::JoinSet};

const KEYS_PER_CLIENT: u64 = 40;
/// Between an error and the next try, so that a dead server is not asked in a tight loop.
const AFTER_ERROR: Duration = Duration::from_millis(20);

/// Running clients.
pub struct Traffic {
    pub acks: Arc<Acks>,
    pub pulse: Arc<Pulse>,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// How large objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// From nothing to 9 MiB.
    Wide,
    /// From nothing to 1 MiB, and rarely 9 MiB: for runs of hundreds of rounds, whose garbage must fit a disk.
    Small,
    /// From 4 KiB to 16 MiB, with a pause after each operation: for runs that look at latency.
    Served,
}

/// What all clients see.
struct Shared {
    sizes: Sizes,
    ledgers: Vec<Ledger>,
    acks: Arc<Acks>,
    pulse: Arc<Pulse>,
    violations: Mutex<Vec<String>>,
    /// Held for reading during an operation; who holds it for writing has silence.
    floor: RwLock<()>,
    stop: AtomicBool,
}

/// What a client does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Put,
    Delete,
    Get,
    List,
}

impl Traffic {
    /// Starts `clients` clients on `bucket`.
    pub fn start(target: &Arc<Target>, bucket: &str, clients: u64, seed: u64, sizes: Sizes) -> Self {
        let (acks, pulse) = (Arc::new(Acks::new()), Arc::new(Pulse::default()));
        let shared = Arc::new(Shared {
            sizes,
            ledgers: (0..clients).map(|_| Ledger::default()).collect(),
            acks: acks.clone(),
            pulse: pulse.clone(),
            violations: Mutex::default(),
            floor: RwLock::default(),
            stop: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for (number, _) in shared.ledgers.iter().enumerate() {
            let client = Client {
                number,
                bucket: bucket.to_owned(),
                session: Session::new(target.clone(), PayloadHash::Signed).with_timeout(DRILL_REQUEST_TIMEOUT),
                rng: StdRng::seed_from_u64(seed ^ (number as u64) << 32),
                shared: shared.clone(),
            };
            tasks.spawn(client.run());
        }
        Self { acks, pulse, shared, tasks }
    }

    /// How large its objects are.
    pub fn sizes(&self) -> Sizes {
        self.shared.sizes
    }

    /// The clients' ledgers; a ledger's keys begin with its [`prefix`].
    pub fn ledgers(&self) -> &[Ledger] {
        &self.shared.ledgers
    }

    /// Waits until no operation is under way, and keeps it so until the guard is dropped.
    pub async fn silence(&self) -> impl Drop + use<'_> {
        self.shared.floor.write().await
    }

    /// Waits until writes are acknowledged.
    ///
    /// # Errors
    /// When none is within `patience`.
    pub async fn expect_flow(&self, patience: Duration) -> anyhow::Result<()> {
        self.acks.mark(clock::now());
        let flows = clock::wait_until(patience, async || self.acks.since_mark() >= 3).await;
        self.check()?;
        anyhow::ensure!(flows, "no writes were acknowledged for {patience:?}");
        Ok(())
    }

    /// Nothing wrong was seen so far.
    ///
    /// # Errors
    /// Lists what was.
    pub fn check(&self) -> anyhow::Result<()> {
        let violations = self.shared.violations.lock();
        anyhow::ensure!(
            violations.is_empty(),
            "the store answered what no correct store answers:\n{}",
            violations.join("\n")
        );
        Ok(())
    }

    /// Stops the clients and answers what they counted.
    ///
    /// # Errors
    /// As [`Traffic::check`].
    pub async fn stop(mut self) -> anyhow::Result<Summary> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        self.check()?;
        let mut total = Summary::default();
        for ledger in &self.shared.ledgers {
            total += ledger.summary();
        }
        Ok(total)
    }
}

/// What the keys of client `number` begin with.
pub fn prefix(number: usize) -> String {
    format!("client-{number:02}/")
}

/// The content a key's version has: its length too follows from key and version.
pub fn content_of(key: &str, version: WriteId, sizes: Sizes) -> Content {
    let mut dice = [0; 8];
    Content::of(key, version.0, 0).fill(0, &mut dice);
    let dice = u64::from_le_bytes(dice);
    Content::of(key, version.0, length_of(dice, sizes))
}

fn length_of(dice: u64, sizes: Sizes) -> u64 {
    let (part, dice) = (dice % 1000, dice / 1000);
    let (tiny, medium, large) = match sizes {
        Sizes::Wide => (600, 850, 970),
        Sizes::Small => (700, 980, 998),
        Sizes::Served => {
            let (from, to): (u64, u64) = match part {
                0..600 => (4 << 10, 64 << 10),
                600..900 => (64 << 10, 1 << 20),
                _ => (1 << 20, 16 << 20),
            };
            return from + dice % (to - from + 1);
        }
    };
    match part {
        part if part < tiny => dice % (8 << 10),
        part if part < medium => dice % (100 << 10),
        part if part < large => dice % (1 << 20),
        _ => (4 << 20) + dice % (5 << 20),
    }
}

/// What a read of `key` saw. `None` when it learnt nothing; `Err` when no correct store answers so.
pub async fn look(session: &mut Session, bucket: &str, key: &str, sizes: Sizes) -> Result<Option<(Seen, u64)>, String> {
    let read = session.get(bucket, key).await;
    let checked = read
        .and_then(async |download| match download.version.map(WriteId) {
            None => Outcome::Unknown(Lost::Malformed("the object does not tell its version".into())),
            Some(version) => {
                let verified = download.verify(content_of(key, version, sizes), 0).await;
                verified.map(|checked| (version, checked))
            }
        })
        .await;
    match checked {
        Outcome::Ok((version, Ok(bytes))) => Ok(Some((Seen::Version(version), bytes))),
        Outcome::Ok((version, Err(mismatch))) => Err(format!("{key} version {}: {mismatch}", version.0)),
        Outcome::Refused(refusal) if refusal.code == "NoSuchKey" => Ok(Some((Seen::Absent, 0))),
        Outcome::Unknown(Lost::Malformed(what)) => Err(format!("{key}: {what}")),
        Outcome::Refused(refusal) => blameless(&refusal).map(|()| None).map_err(|why| format!("{key}: {why}")),
        Outcome::Unsent(_) | Outcome::Unknown(Lost::TimedOut | Lost::Disconnected(_)) => Ok(None),
    }
}

/// A valid request may be refused because the server cannot serve it now, and for no other reason.
fn blameless(refusal: &Refusal) -> Result<(), String> {
    match refusal.status {
        500.. | 408 | 429 => Ok(()),
        _ => Err(format!("a valid request was refused with {refusal}")),
    }
}

struct Client {
    number: usize,
    bucket: String,
    session: Session,
    rng: StdRng,
    shared: Arc<Shared>,
}

impl Client {
    async fn run(mut self) {
        let shared = self.shared.clone();
        while !shared.stop.load(Ordering::Relaxed) {
            let guard = shared.floor.read().await;
            let step = self.step().await;
            drop(guard);
            match step {
                Ok(true) if shared.sizes == Sizes::Served => tokio::time::sleep(CLIENT_PAUSE).await,
                Ok(true) => {}
                Ok(false) => {
                    shared.pulse.miss();
                    tokio::time::sleep(AFTER_ERROR).await;
                }
                Err(violation) => {
                    let mut violations = shared.violations.lock();
                    if violations.len() < VIOLATIONS_MAX {
                        violations.push(violation);
                    }
                }
            }
        }
    }

    /// Does one thing. `false` when the service could not do it.
    async fn step(&mut self) -> Result<bool, String> {
        let key = format!("{}{:03}", prefix(self.number), self.rng.random_range(0..KEYS_PER_CLIENT));
        let full = self.ledger().unknown(&key) >= UNKNOWNS_PER_KEY_MAX;
        let deed = match self.rng.random_range(0..100) {
            0..50 if !full => Deed::Put,
            50..58 if !full => Deed::Delete,
            58..62 => Deed::List,
            _ => Deed::Get,
        };
        match deed {
            Deed::Put => self.put(&key).await,
            Deed::Delete => self.delete(&key).await,
            Deed::Get => self.get().await,
            Deed::List => self.list().await,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.shared.ledgers[self.number]
    }

    async fn put(&mut self, key: &str) -> Result<bool, String> {
        let version = self.ledger().begin_put(key);
        let content = content_of(key, version, self.shared.sizes);
        let put = Put { bucket: &self.bucket, key, version: version.0, content, condition: Condition::Always };
        let begun = clock::now();
        let outcome = self.session.put(&put).await;
        if let Outcome::Ok(_) = &outcome {
            self.shared.pulse.beat(Kind::put(content.len()), clock::now() - begun);
        }
        let (fate, verdict) = self.fate(outcome, key);
        self.ledger().end_put(key, fate);
        verdict
    }

    async fn delete(&mut self, key: &str) -> Result<bool, String> {
        self.ledger().begin_delete(key);
        let outcome = self.session.delete(&self.bucket, key).await;
        let (fate, verdict) = self.fate(outcome, key);
        self.ledger().end_delete(key, fate);
        verdict
    }

    fn fate<T>(&self, outcome: Outcome<T>, key: &str) -> (Fate, Result<bool, String>) {
        match outcome {
            Outcome::Ok(_) => {
                self.shared.acks.hit(clock::now());
                (Fate::Took, Ok(true))
            }
            Outcome::Refused(refusal) => {
                let fate = if refusal.certain() { Fate::Refused } else { Fate::Unknown };
                (fate, blameless(&refusal).map(|()| false).map_err(|why| format!("{key}: {why}")))
            }
            Outcome::Unsent(_) => (Fate::Refused, Ok(false)),
            Outcome::Unknown(Lost::Malformed(what)) => (Fate::Unknown, Err(format!("{key}: {what}"))),
            Outcome::Unknown(Lost::TimedOut | Lost::Disconnected(_)) => (Fate::Unknown, Ok(false)),
        }
    }

    async fn get(&mut self) -> Result<bool, String> {
        let whose = self.rng.random_range(0..self.shared.ledgers.len());
        let key = format!("{}{:03}", prefix(whose), self.rng.next_u64() % KEYS_PER_CLIENT);
        let reading = self.shared.ledgers[whose].begin_read(&key);
        let begun = clock::now();
        let Some((seen, bytes)) = look(&mut self.session, &self.bucket, &key, self.shared.sizes).await? else {
            return Ok(false);
        };
        if let Seen::Version(_) = seen {
            self.shared.pulse.beat(Kind::get(bytes), clock::now() - begun);
        }
        self.shared.ledgers[whose].end_read(&key, &reading, seen)?;
        Ok(true)
    }

    async fn list(&mut self) -> Result<bool, String> {
        let whose = self.rng.random_range(0..self.shared.ledgers.len());
        let listing = self.shared.ledgers[whose].begin_list();
        // One page holds all of a client's keys: pages are separate reads, each as of its own moment.
        let prefix = prefix(whose);
        let query = ListQuery { bucket: &self.bucket, prefix: &prefix, ..Default::default() };
        match self.session.list_page(&query, None).await {
            Outcome::Ok(page) => {
                let keys: BTreeSet<String> = page.objects.into_iter().map(|object| object.key).collect();
                self.shared.ledgers[whose].end_list(&listing, &keys).map(|()| true)
            }
            Outcome::Refused(refusal) => blameless(&refusal).map(|()| false),
            Outcome::Unknown(Lost::Malformed(what)) => Err(what),
            Outcome::Unsent(_) | Outcome::Unknown(Lost::TimedOut | Lost::Disconnected(_)) => Ok(false),
        }
    }
}
