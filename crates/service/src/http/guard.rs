//! The bytes of one connection, with what hyper does not bound by itself: a head that trickles in, a client that does not read.
//!
//! Also feeds [`Framing`], so that the server refuses requests whose end is ambiguous.

use super::{framing::Framing, pace::Pace};
use crate::limits;
use std::{
    future::Future as _,
    io::{Error, ErrorKind, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Sleep, sleep, timeout},
};

/// A connection under watch.
pub(super) struct Guard<IO> {
    io: IO,
    framing: Framing,
    /// Set once the framing is ambiguous; the server reads it for every request.
    ambiguous: Arc<AtomicBool>,
    head: Patience,
    stall: Patience,
    /// Of the answers.
    pace: Pace,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Guard<IO> {
    pub(super) fn new(io: IO, head: Duration, stall: Duration, pace: Pace) -> Self {
        Self {
            io,
            framing: Framing::new(),
            ambiguous: Arc::default(),
            head: Patience::new(head),
            stall: Patience::new(stall),
            pace,
        }
    }

    /// Whether a request with an ambiguous end has arrived.
    pub(super) fn ambiguous(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ambiguous)
    }

    /// Closes the connection. When the client is still sending, reads on for a while first: closing at once would reset the
    /// connection, and the client could lose the answer it has not read yet.
    pub(super) async fn close(mut self) {
        if timeout(limits::LINGER_PATIENCE, self.io.shutdown()).await.is_err() || !self.framing.is_in_body() {
            return;
        }
        let mut left = limits::LINGER_BYTES_MAX;
        let mut scrap = vec![0; 16 << 10];
        let drain = async {
            while left > 0 {
                match self.io.read(&mut scrap).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => left = left.saturating_sub(read),
                }
            }
        };
        // Running out of patience is the expected end here, not a fault.
        let _ = timeout(limits::LINGER_PATIENCE, drain).await;
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guard<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                result?;
                this.framing.feed(&buffer.filled()[before..]);
                if this.framing.is_ambiguous() {
                    this.ambiguous.store(true, Ordering::Relaxed);
                }
                if !this.framing.is_in_head() {
                    this.head.reset();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending if this.framing.is_in_head() => {
                this.head.poll(cx, "the head of the request did not arrive in time")
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guard<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.watch_write(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bytes);
        this.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.stall.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl<IO> Guard<IO> {
    /// Cuts off a client that does not read, or reads too slowly.
    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<std::io::Result<usize>>,
    ) -> Poll<std::io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                if self.pace.moved(*bytes) {
                    return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client reads too slowly")));
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.pace.waits(),
        }
        self.stall.watch(cx, written)
    }
}

/// A time limit that starts when something is first waited for and ends with progress.
pub(super) struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    pub(super) fn reset(&mut self) {
        self.timer = None;
    }

    /// Ready once the limit has passed since the first poll after a reset.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        self.timer.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx)
    }

    fn poll<T>(&mut self, cx: &mut Context<'_>, what: &'static str) -> Poll<std::io::Result<T>> {
        ready!(self.poll_expired(cx));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, what)))
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, progress: Poll<std::io::Result<T>>) -> Poll<std::io::Result<T>> {
        match progress {
            Poll::Ready(result) => {
                self.reset();
                Poll::Ready(result)
            }
            Poll::Pending => self.poll(cx, "the client did not read its answer in time"),
        }
    }
}
