//! Batched read-index: one round of the group confirms the position for every reader who waited when it began.
//!
//! Invariant: a reader is never answered by a round that began before it arrived. A round begins after its readers were
//! taken from the queue, and one round is in flight at a time, so whoever comes later joins the next.
//! Must not know how a round is done.

use crate::limits::READ_WAITERS_MAX;
use std::future::Future;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// The position to wait for, or why there is none.
pub(crate) type Confirmed = Result<u64, String>;

/// Where readers queue. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reads {
    queue: mpsc::Sender<oneshot::Sender<Confirmed>>,
}

/// Takes readers from the queue.
pub(crate) struct Rounds {
    queue: mpsc::Receiver<oneshot::Sender<Confirmed>>,
}

/// A queue and its other end.
pub(crate) fn queue() -> (Reads, Rounds) {
    let (sender, receiver) = mpsc::channel(READ_WAITERS_MAX);
    (Reads { queue: sender }, Rounds { queue: receiver })
}

impl Reads {
    /// The position that includes everything acknowledged before this call, confirmed by a round that begins after it.
    pub async fn confirmed(&self, deadline: Instant) -> Confirmed {
        let (answer, wait) = oneshot::channel();
        let asked = async {
            self.queue.send(answer).await.map_err(|_| "this node is stopping".to_owned())?;
            wait.await.map_err(|_| "this node is stopping".to_owned())?
        };
        timeout_at(deadline, asked).await.unwrap_or_else(|_| Err("no majority confirmed the position in time".into()))
    }
}

impl Rounds {
    /// Runs rounds while there are readers, until nobody can come any more.
    pub async fn run<F: Future<Output = Confirmed>>(mut self, round: impl Fn() -> F) {
        let mut readers = Vec::new();
        while self.queue.recv_many(&mut readers, READ_WAITERS_MAX).await > 0 {
            metrics::counter!("replica_read_rounds").increment(1);
            metrics::counter!("replica_reads").increment(readers.len() as u64);
            let confirmed = round().await;
            for reader in readers.drain(..) {
                // A reader that went away does not need it.
                drop(reader.send(confirmed.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::Env;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };
    use tokio::sync::Semaphore;

    /// Rounds that say how many had begun, and end when they are let.
    struct Held {
        begun: AtomicU64,
        let_end: Semaphore,
    }

    fn started() -> (Reads, Arc<Held>, Env) {
        let env = Env::for_tests(1);
        let held = Arc::new(Held { begun: AtomicU64::new(0), let_end: Semaphore::new(0) });
        let (reads, rounds) = queue();
        let of = Arc::clone(&held);
        env.tasks.spawn("rounds", async move {
            rounds
                .run(|| async {
                    let this = of.begun.fetch_add(1, Ordering::SeqCst) + 1;
                    of.let_end.acquire().await.expect("never closed").forget();
                    Ok(this)
                })
                .await;
        });
        (reads, held, env)
    }

    async fn begun(held: &Held, rounds: u64) {
        let reached = async {
            while held.begun.load(Ordering::SeqCst) < rounds {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), reached).await.expect("the round begins");
    }

    #[tokio::test]
    async fn a_reader_is_never_answered_by_a_round_that_began_before_it_came() {
        let (reads, held, env) = started();
        let deadline = env.clock.now() + Duration::from_secs(5);
        let first = reads.confirmed(deadline);
        let later = async {
            begun(&held, 1).await;
            // The first round is in flight: whoever comes now waits for the second, together.
            let waiting = futures::future::join_all((0..10).map(|_| reads.confirmed(deadline)));
            held.let_end.add_permits(2);
            waiting.await
        };
        let (first, later) = tokio::join!(first, later);
        assert_eq!(first, Ok(1));
        assert_eq!(later, vec![Ok(2); 10]);
        assert_eq!(held.begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_reader_gives_up_at_its_deadline() {
        let (reads, _held, env) = started();
        let answer = reads.confirmed(env.clock.now() + Duration::from_millis(30)).await;
        assert!(answer.is_err());
    }
}
