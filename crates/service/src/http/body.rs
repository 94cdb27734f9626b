//! The body of a request as handlers see it: bounded waiting, and a record of how far it was read.

use super::{guard::Patience, pace::Pace};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the client sent nothing for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("the client sends too slowly")]
    TooSlow,
    #[error("the body could not be read: {0}")]
    Broken(#[from] hyper::Error),
}

/// A frame has arrived, so a client that waited for `100 Continue` has seen it.
const RECEIVED: u8 = 1;
/// Nothing is left to read.
const ENDED: u8 = 2;

/// How far a handler has read a body. Shared between the body and the connection it came on.
#[derive(Debug, Clone)]
pub(super) struct Mark(Arc<AtomicU8>);

impl Mark {
    fn add(&self, bits: u8) {
        self.0.fetch_or(bits, Ordering::Relaxed);
    }

    pub(super) fn was_received(&self) -> bool {
        self.0.load(Ordering::Relaxed) & RECEIVED != 0
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.load(Ordering::Relaxed) & ENDED != 0
    }
}

/// A request's body. A frame that does not arrive in time is an error.
pub struct RequestBody {
    incoming: Incoming,
    mark: Mark,
    limit: Duration,
    patience: Patience,
    pace: Pace,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, stall: Duration, pace: Pace) -> Self {
        let mark = Mark(Arc::new(AtomicU8::new(if incoming.is_end_stream() { ENDED } else { 0 })));
        Self { incoming, mark, limit: stall, patience: Patience::new(stall), pace }
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark.clone()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.patience.reset();
                if matches!(frame, Some(Ok(_))) {
                    this.mark.add(RECEIVED);
                }
                if frame.is_none() || this.incoming.is_end_stream() {
                    this.mark.add(ENDED);
                }
                let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
                if this.pace.moved(bytes) && !this.mark.has_ended() {
                    return Poll::Ready(Some(Err(BodyError::TooSlow)));
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                this.pace.waits();
                this.patience.poll_expired(cx).map(|()| Some(Err(BodyError::Stalled(this.limit))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody").field("size", &self.incoming.size_hint()).finish_non_exhaustive()
    }
}
