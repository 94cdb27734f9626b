//! Bodies as they go out: verified pieces of an object's bytes, read ahead by a bounded amount.
//!
//! Each piece is read in a task of its own: a stream is driven by who reads it, and a client that does not read must not keep what a
//! piece holds while it is read. The first piece is read before the response begins, so an object that cannot be read is an honest error. A later failure cuts
//! the body short: there is no other way to say it.

use super::{OpError, budget::Budget, range::Piece};
use crate::limits::READ_AHEAD_PIECES;
use bulkhead_service::env::Tasks;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use std::{
    future::{Future, ready},
    pin::Pin,
};

/// Verified bytes of an object, in order.
pub type ReadStream = Pin<Box<dyn Stream<Item = Result<Bytes, ReadFault>> + Send>>;

/// Why a body ends before its end: no copy of a chunk could be read. The connection must be cut, not ended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the object's bytes cannot be read: {0}")]
pub struct ReadFault(pub String);

/// A body that is in memory.
pub fn of_bytes(bytes: Bytes) -> ReadStream {
    if bytes.is_empty() { Box::pin(stream::empty()) } else { Box::pin(stream::iter([Ok(bytes)])) }
}

/// A body of `pieces`, each read by `fetch` in a task. Returns once the first is read.
///
/// # Errors
/// When the first piece cannot be read.
pub async fn open<P, R, F>(pieces: P, budget: Budget, tasks: &Tasks, fetch: R) -> Result<ReadStream, OpError>
where
    P: Iterator<Item = Piece> + Send + 'static,
    R: Fn(Piece) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Bytes, OpError>> + Send + 'static,
{
    let tasks = tasks.clone();
    let fetch = move |piece: Piece| {
        let (tasks, budget) = (tasks.clone(), budget.clone());
        let wanted = piece.range.end - piece.range.start;
        let read = fetch(piece);
        async move {
            // In the order of the pieces, not in a task: a later piece that took the last of the memory would keep the one before it waiting.
            let share = budget.take(wanted).await?;
            let bytes = tasks.driven(read).await.unwrap_or_else(|error| Err(OpError::Internal(error.to_string())))?;
            Ok(share.hold(bytes))
        }
    };
    let mut read = Box::pin(stream::iter(pieces).map(fetch).buffered(READ_AHEAD_PIECES));
    let Some(first) = read.next().await.transpose()? else { return Ok(Box::pin(stream::empty())) };
    let rest = read.map(|piece: Result<Bytes, OpError>| piece.map_err(|error| ReadFault(error.to_string())));
    Ok(Box::pin(stream::once(ready(Ok(first))).chain(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admit::{
            Admission, Ask, Begun, Pass,
            cost::{Class, Cost},
        },
        chunks::ChunkId,
        limits::WEIGHT_NORMAL,
    };
    use bulkhead_model::AccountId;
    use bulkhead_service::Env;
    use futures::TryStreamExt as _;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };
    use tokio::{task::yield_now, time::timeout};

    fn pieces(n: u32) -> impl Iterator<Item = Piece> {
        (0..n).map(|index| Piece { chunk: ChunkId { blob: 1, index }, range: 0..10 })
    }

    /// Ten bytes that say which piece they are.
    fn bytes(piece: &Piece) -> Bytes {
        vec![u8::try_from(piece.chunk.index).expect("few pieces"); 10].into()
    }

    #[tokio::test]
    async fn pieces_come_in_order_and_no_more_than_a_few_ahead() {
        let fetched = Arc::new(AtomicU32::new(0));
        let counter = fetched.clone();
        let fetch = move |piece: Piece| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move { Ok(bytes(&piece)) }
        };
        let budget = Budget::new(1_000);
        let mut body = open(pieces(20), budget.clone(), &Tasks::default(), fetch).await.expect("readable");
        for taken in 1..=20 {
            let piece = body.next().await.expect("twenty pieces").expect("readable");
            assert_eq!(u32::from(piece[0]), taken - 1);
            assert!(fetched.load(Ordering::SeqCst) <= taken + READ_AHEAD_PIECES as u32);
        }
        assert!(body.next().await.is_none());
        drop(body);
        assert_eq!(budget.free(), 1_000);
    }

    #[tokio::test]
    async fn an_unreadable_first_piece_is_an_error_and_a_later_one_a_fault() {
        let unreadable = |bad: u32| {
            move |piece: Piece| {
                let good = piece.chunk.index != bad;
                ready(if good { Ok(bytes(&piece)) } else { Err(OpError::Internal("no copy".into())) })
            }
        };
        let (tasks, budget) = (Tasks::default(), Budget::new(100));
        assert!(matches!(open(pieces(3), budget.clone(), &tasks, unreadable(0)).await, Err(OpError::Internal(_))));
        let body = open(pieces(3), budget, &tasks, unreadable(1)).await.expect("the first is readable");
        assert!(body.try_collect::<Vec<_>>().await.is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reader_that_keeps_a_piece_until_it_has_the_next_is_served_to_the_end() {
        let fetch = |piece: Piece| async move {
            yield_now().await;
            Ok::<Bytes, OpError>(bytes(&piece))
        };
        for _ in 0..20 {
            let budget = Budget::undivided(READ_AHEAD_PIECES as u64 * 10);
            let mut body = open(pieces(200), budget, &Tasks::default(), fetch).await.expect("readable");
            let mut kept = None;
            while let Some(piece) = body.next().await {
                kept = Some(piece.expect("a later piece does not take the memory before it"));
            }
            assert!(kept.is_some());
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_nothing_of_the_limit() {
        let gate = Admission::new(Env::for_tests(1).clock, true);
        let ask = Ask {
            account: AccountId::new(AccountId::FIRST).expect("in range"),
            weight: WEIGHT_NORMAL,
            class: Class::Read,
            cost: Cost::units_of(1),
            begun: Begun::No,
            deadline: gate.now() + Duration::from_secs(60),
        };
        let pass = Pass::enter(&gate, ask).await.expect("room");
        let fetch = move |piece: Piece| {
            let pass = Arc::clone(&pass);
            async move {
                let _held = pass.stage(Cost::units_of(8)).await?;
                for _ in 0..10 * piece.chunk.index {
                    yield_now().await;
                }
                Ok::<Bytes, OpError>(bytes(&piece))
            }
        };
        let body = open(pieces(3), Budget::new(100), &Tasks::default(), fetch).await.expect("readable");
        let given_back = async {
            while gate.load().held > 0 {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), given_back)
            .await
            .expect("the piece that was read ahead goes on holding its cost");
        drop(body);
    }

    #[tokio::test]
    async fn no_bytes_are_an_empty_body() {
        let fetch = |piece: Piece| ready(Ok(bytes(&piece)));
        let body = open(pieces(0), Budget::new(100), &Tasks::default(), fetch).await.expect("nothing to read");
        assert_eq!(body.count().await, 0);
        assert_eq!(of_bytes(Bytes::new()).count().await, 0);
    }
}
