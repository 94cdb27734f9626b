//! The ambient things a program may not reach for on its own: clock, randomness, tasks.
//!
//! Whoever needs the time takes a [`Clock`]; whoever starts work gives it to [`Tasks`], which joins it at shutdown.
//! Tests and simulations hand in a clock that they move themselves.

use bulkhead_model::Timestamp;
use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng, rngs::StdRng};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinError, time::Instant};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::Instrument as _;

/// Everything ambient, cheap to clone.
#[derive(Debug, Clone)]
pub struct Env {
    pub clock: Clock,
    pub rng: Rng,
    pub tasks: Tasks,
}

impl Env {
    /// The real world.
    pub fn system() -> Self {
        Self { clock: Clock::system(), rng: Rng::from_os(), tasks: Tasks::default() }
    }

    /// A world for tests: wall time stands still until it is moved, randomness comes from `seed`.
    pub fn for_tests(seed: u64) -> Self {
        Self { clock: Clock::manual(Timestamp(1_750_000_000_000)), rng: Rng::from_seed(seed), tasks: Tasks::default() }
    }

    /// A simulated world: no threads but this one, blocking work takes simulated time.
    pub fn simulated(clock: Clock, rng: Rng, pace: Pace) -> Self {
        Self { clock, rng, tasks: Tasks { blocking: Blocking::Here(pace), ..Tasks::default() } }
    }
}

/// Wall time and monotonic time. Monotonic time is tokio's, so a paused or simulated runtime controls it.
#[derive(Debug, Clone)]
pub struct Clock {
    manual: Option<Arc<Mutex<Timestamp>>>,
    /// What was agreed on with others, and when.
    agreed: Arc<Mutex<Option<(Timestamp, Instant)>>>,
    /// There are others, and none has said yet that the machine's clock is right.
    doubted: Arc<AtomicBool>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { manual: None, agreed: Arc::default(), doubted: Arc::default() }
    }

    /// A wall clock that shows `start` until [`Clock::set_wall`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self { manual: Some(Arc::new(Mutex::new(start))), agreed: Arc::default(), doubted: Arc::default() }
    }

    /// For timeouts and durations. Never goes back.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// For timestamps that people see: what was agreed on, going on by the monotonic clock, else the machine's clock. May jump.
    pub fn wall(&self) -> Timestamp {
        let agreed = *self.agreed.lock();
        match agreed {
            Some((time, since)) => time.plus(self.now().saturating_duration_since(since)),
            None => self.machine(),
        }
    }

    /// Takes `time` for the time now, whatever the machine's clock says from here on.
    pub fn agree(&self, time: Timestamp) {
        *self.agreed.lock() = Some((time, self.now()));
        self.doubted.store(false, Ordering::Relaxed);
    }

    /// The machine's clock is all there is, and may be wrong, until something is agreed on.
    pub fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether nobody should be refused for the time it is here.
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// What the machine's clock shows. May jump, and be wrong.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn machine(&self) -> Timestamp {
        match &self.manual {
            Some(manual) => *manual.lock(),
            None => {
                let shown: Timestamp = std::time::SystemTime::now().into();
                Timestamp(shown.0.saturating_add_signed(crate::drill::faults().clock_offset()))
            }
        }
    }

    /// Moves a manual wall clock, forwards or back. Does nothing to the machine's clock.
    pub fn set_wall(&self, to: Timestamp) {
        if let Some(manual) = &self.manual {
            *manual.lock() = to;
        }
    }
}

/// Randomness: seeded by the operating system, or by a test.
#[derive(Debug, Clone)]
pub struct Rng {
    inner: Arc<Mutex<StdRng>>,
}

impl Rng {
    /// Seeded by the operating system; fit for secrets (the generator is cryptographic).
    pub fn from_os() -> Self {
        Self { inner: Arc::new(Mutex::new(rand::make_rng())) }
    }

    /// The same seed gives the same numbers.
    pub fn from_seed(seed: u64) -> Self {
        Self { inner: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// 64 random bits.
    pub fn u64(&self) -> u64 {
        self.inner.lock().next_u64()
    }

    /// 128 random bits.
    pub fn u128(&self) -> u128 {
        (u128::from(self.u64()) << 64) | u128::from(self.u64())
    }

    /// A number below `bound`, or 0 when `bound` is 0. The bias is below 2⁻³² for bounds below 2³².
    pub fn below(&self, bound: u64) -> u64 {
        let wide = u128::from(self.u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a 64 by 64 bit product fits 64 bits")
    }

    /// Fills `buffer` with random bytes.
    pub fn fill(&self, buffer: &mut [u8]) {
        self.inner.lock().fill_bytes(buffer);
    }

    /// Full jitter: a duration between zero and `max`.
    pub fn jitter(&self, max: Duration) -> Duration {
        Duration::from_nanos(self.below(u64::try_from(max.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// How long the disk takes in a simulation. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Pace {
    rng: Rng,
    most: Arc<Mutex<Duration>>,
}

impl Pace {
    /// Each piece of work takes up to `most`.
    pub fn new(rng: Rng, most: Duration) -> Self {
        Self { rng, most: Arc::new(Mutex::new(most)) }
    }

    /// From now on each piece of work takes up to `most`.
    pub fn set(&self, most: Duration) {
        *self.most.lock() = most;
    }

    /// Lets the time of one piece of work pass.
    pub async fn pass(&self) {
        let most = *self.most.lock();
        tokio::time::sleep(self.rng.jitter(most)).await;
    }
}

/// Where work that blocks is done.
#[derive(Debug, Clone, Default)]
enum Blocking {
    /// On tokio's threads for it.
    #[default]
    Threads,
    /// Here, after a simulated time: threads would come to their ends in another order every time.
    Here(Pace),
}

/// Blocking work did not end: it panicked, or the process is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the work did not end: {0}")]
pub struct BlockingError(String);

/// Background work: started here, told to stop by the token, joined at shutdown.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    blocking: Blocking,
}

impl Tasks {
    /// Starts `work`. A panic in it is logged with the task's `name` and ends only the task.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = tokio::spawn(work);
        self.tracker.spawn(async move {
            if let Err(error) = task.await {
                report(name, &error);
            }
        });
    }

    /// Runs work that blocks where it holds nobody up.
    ///
    /// # Errors
    /// When the work panics, or the process is stopping.
    pub async fn blocking<T, F>(&self, work: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match &self.blocking {
            Blocking::Threads => {
                tokio::task::spawn_blocking(work).await.map_err(|error| BlockingError(error.to_string()))
            }
            Blocking::Here(pace) => {
                pace.pass().await;
                Ok(work())
            }
        }
    }

    /// Does `work` in a task of its own, so that it goes on while nobody asks for its result. It begins when that is asked for the first
    /// time, and ends at once when nobody wants it any more.
    ///
    /// # Errors
    /// When the work panics, or the process is stopping.
    pub async fn driven<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, BlockingError> {
        let task = AbortOnDropHandle::new(self.tracker.spawn(work.in_current_span()));
        task.await.map_err(|error| BlockingError(error.to_string()))
    }

    /// The pace of a simulated world. In one, a component that would have a thread of its own runs as a task instead.
    pub fn simulated(&self) -> Option<&Pace> {
        match &self.blocking {
            Blocking::Threads => None,
            Blocking::Here(pace) => Some(pace),
        }
    }

    /// Cancelled when the process is asked to stop. Long-running work selects on it.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Asks all work to stop and waits for it, at most `patience`. Says whether all of it ended.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}

fn report(name: &'static str, error: &JoinError) {
    if error.is_panic() {
        tracing::error!(task = name, %error, "a background task panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp(5));
        assert_eq!(clock.wall(), Timestamp(5));
        clock.set_wall(Timestamp(3));
        assert_eq!(clock.wall(), Timestamp(3));
    }

    #[test]
    fn a_time_that_was_agreed_on_goes_on_whatever_the_machine_s_clock_does() {
        let clock = Clock::manual(Timestamp(5));
        clock.agree(Timestamp(1_000_000));
        clock.set_wall(Timestamp(7));
        assert_eq!(clock.machine(), Timestamp(7));
        assert!((1_000_000..1_060_000).contains(&clock.wall().0), "{:?}", clock.wall());
    }

    #[test]
    fn a_clock_is_doubted_until_something_is_agreed_on() {
        let clock = Clock::manual(Timestamp(5));
        assert!(!clock.is_doubted(), "alone it is all there is");
        clock.doubt();
        assert!(clock.clone().is_doubted());
        clock.agree(Timestamp(6));
        assert!(!clock.is_doubted());
    }

    #[test]
    fn a_seed_repeats_itself() {
        let (a, b) = (Rng::from_seed(7), Rng::from_seed(7));
        assert_eq!((a.u128(), a.below(10)), (b.u128(), b.below(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_simulated_world_blocking_work_takes_time_and_no_thread() {
        let rng = Rng::from_seed(1);
        let env = Env::simulated(Clock::manual(Timestamp(5)), rng.clone(), Pace::new(rng, Duration::from_secs(9)));
        let (begun, here) = (env.clock.now(), std::thread::current().id());
        let there = env.tasks.blocking(move || std::thread::current().id()).await.expect("done");
        assert_eq!(there, here);
        assert!(env.clock.now() > begun, "it took no time");
    }

    #[tokio::test]
    async fn driven_work_goes_on_when_nobody_asks_and_ends_when_nobody_wants_it() {
        let (tasks, reached) = (Tasks::default(), Arc::new(tokio::sync::Notify::new()));
        let seen = reached.clone();
        let mut work = Box::pin(tasks.driven(async move {
            tokio::task::yield_now().await;
            seen.notify_one();
            std::future::pending::<()>().await;
        }));
        assert!(futures::poll!(&mut work).is_pending());
        reached.notified().await;
        drop(work);
        tasks.tracker.close();
        tasks.tracker.wait().await;
    }

    #[tokio::test]
    async fn shutdown_waits_for_work_that_heeds_the_token() {
        let tasks = Tasks::default();
        let stopping = tasks.stopping();
        tasks.spawn("heeds", async move { stopping.cancelled().await });
        assert!(tasks.shutdown(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_panicking_task_does_not_hang_the_shutdown() {
        let tasks = Tasks::default();
        tasks.spawn("panics", async { panic!("on purpose") });
        assert!(tasks.shutdown(Duration::from_secs(5)).await);
    }
}
