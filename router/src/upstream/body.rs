//! The body of a try, and the body of its answer.
//!
//! A large body stays with the client until a cell asks for it (`100 Continue`, which every cell does before it reads), so that a
//! try which is refused at the head, or whose node is silent, can be repeated elsewhere. Whether it has been taken and whether the try has been given up are decided under one lock: a try
//! that was given up never reads from the client.

use bulkhead_service::http::{BodyError, RequestBody};
use bytes::Bytes;
use futures::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

/// Any error of a body.
pub type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// A client's body that is passed on as it comes, shared by the tries of one request.
#[derive(Debug)]
pub struct Source {
    body: Mutex<Option<RequestBody>>,
    size: SizeHint,
    sent: AtomicU64,
    failed: Mutex<Option<BodyError>>,
}

impl Source {
    /// A body nothing has been read of.
    pub fn new(body: RequestBody) -> Arc<Self> {
        let size = body.size_hint();
        Arc::new(Self { body: Mutex::new(Some(body)), size, sent: AtomicU64::new(0), failed: Mutex::new(None) })
    }

    /// Bytes passed on so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// No try has begun to read it.
    pub fn is_untouched(&self) -> bool {
        self.body.lock().is_some()
    }

    /// Why the client's body ended early, if it did. Told once.
    pub fn take_failure(&self) -> Option<BodyError> {
        self.failed.lock().take()
    }
}

/// Where one try stands with its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for the cell to ask for the body.
    Closed,
    /// May read.
    Open,
    /// Given up: must not read, now or later.
    Abandoned,
}

/// The side of a streamed try that controls its body. The try is given up when this is dropped.
#[derive(Debug)]
pub struct Gate {
    source: Arc<Source>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stage: Mutex<Stage>,
    reader: AtomicWaker,
}

impl Shared {
    fn wake(&self, stage: Stage) {
        let mut current = self.stage.lock();
        if *current != Stage::Abandoned {
            *current = stage;
        }
        drop(current);
        self.reader.wake();
    }
}

impl Gate {
    /// A new try of `source`, and its body.
    pub fn new(source: &Arc<Source>) -> (Self, TryBody) {
        let shared = Arc::new(Shared { stage: Mutex::new(Stage::Closed), reader: AtomicWaker::new() });
        let gate = Self { source: Arc::clone(source), shared: Arc::clone(&shared) };
        (gate, TryBody::Streamed(Streamed { source: Arc::clone(source), shared, taken: None }))
    }

    /// What the HTTP client calls when the cell has answered `100 Continue`.
    pub fn opener(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.wake(Stage::Open)
    }

    /// Gives the try up. Says whether the body is still untouched, so that another try may have it.
    pub fn abandon(self) -> bool {
        self.shared.wake(Stage::Abandoned);
        self.source.is_untouched()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.wake(Stage::Abandoned);
    }
}

/// The body of one try.
#[derive(Debug)]
pub enum TryBody {
    Whole(Option<Bytes>),
    Streamed(Streamed),
}

/// Reads from the client once the gate is open.
#[derive(Debug)]
pub struct Streamed {
    source: Arc<Source>,
    shared: Arc<Shared>,
    taken: Option<RequestBody>,
}

/// The answer to the client has ended, so nobody needs the rest of the request.
#[derive(Debug, thiserror::Error)]
#[error("the try was given up")]
struct Abandoned;

impl Streamed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Boxed>>> {
        self.shared.reader.register(cx.waker());
        if self.taken.is_none() {
            ready!(self.poll_take())?;
        } else if *self.shared.stage.lock() == Stage::Abandoned {
            return Poll::Ready(Some(Err(Abandoned.into())));
        }
        let Some(body) = &mut self.taken else { return Poll::Ready(None) };
        match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                // Trailers of the transfer coding end here: they are hop-by-hop.
                let Ok(data) = frame.into_data() else { return Poll::Ready(None) };
                self.source.sent.fetch_add(data.len() as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => {
                let text = error.to_string();
                *self.source.failed.lock() = Some(error);
                Poll::Ready(Some(Err(text.into())))
            }
            None => Poll::Ready(None),
        }
    }

    fn poll_take(&mut self) -> Poll<Result<(), Boxed>> {
        // Held while the body is taken: `Gate::abandon` changes the stage under the same lock before it looks for the body.
        let stage = self.shared.stage.lock();
        match *stage {
            Stage::Closed => return Poll::Pending,
            Stage::Open => {}
            Stage::Abandoned => return Poll::Ready(Err(Abandoned.into())),
        }
        self.taken = self.source.body.lock().take();
        Poll::Ready(if self.taken.is_some() { Ok(()) } else { Err(Abandoned.into()) })
    }
}

impl Body for TryBody {
    type Data = Bytes;
    type Error = Boxed;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Boxed>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(streamed) => streamed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed(streamed) => streamed.taken.as_ref().is_some_and(Body::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Streamed(streamed) => streamed.taken.as_ref().map_or(streamed.source.size, Body::size_hint),
        }
    }
}
