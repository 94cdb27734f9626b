//! What goes back to the client, and what is held until it has ended.

use super::RequestCx;
use crate::upstream::{attempt::Held, body::Boxed};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The body of the answer to the client.
#[derive(Debug)]
pub struct AnswerBody {
    content: Content,
    /// Recorded when it is dropped, so with the end of the answer.
    cx: Box<RequestCx>,
}

#[derive(Debug)]
enum Content {
    Made(Option<Bytes>),
    Passed {
        incoming: Incoming,
        held: Held,
        /// It is the cell that is waited for, not the client.
        awaits_cell: bool,
    },
}

impl AnswerBody {
    /// The router's own answer.
    pub fn made(bytes: Bytes, cx: RequestCx) -> Self {
        let content = Content::Made((!bytes.is_empty()).then_some(bytes));
        Self::new(content, cx)
    }

    /// The cell's answer.
    pub fn passed(incoming: Incoming, held: Held, cx: RequestCx) -> Self {
        Self::new(Content::Passed { incoming, held, awaits_cell: false }, cx)
    }

    fn new(content: Content, cx: RequestCx) -> Self {
        let mut body = Self { content, cx: Box::new(cx) };
        body.cx.result.complete = body.is_end_stream();
        body
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Boxed;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Boxed>>> {
        let this = self.get_mut();
        let (frame, was_awaited) = match &mut this.content {
            Content::Made(bytes) => (bytes.take().map(|bytes| Ok(Frame::data(bytes))), false),
            Content::Passed { incoming, awaits_cell, .. } => {
                let polled = Pin::new(incoming).poll_frame(cx);
                let was_awaited = std::mem::replace(awaits_cell, polled.is_pending());
                (ready!(polled), was_awaited)
            }
        };
        let ended = frame.is_none() || this.is_end_stream();
        let result = &mut this.cx.result;
        result.complete |= ended;
        match &frame {
            Some(Ok(frame)) => result.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => {
                result.broken_by_cell = true;
                result.complete = false;
                // A cell may end an answer that its client does not take: that is no fault of the node.
                if let (true, Content::Passed { held, .. }, Some(cell)) = (was_awaited, &this.content, &this.cx.cell) {
                    cell.failed(&held.in_flight, this.cx.clock.now());
                }
            }
            None => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Made(bytes) => bytes.is_none(),
            Content::Passed { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Made(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Passed { incoming, .. } => incoming.size_hint(),
        }
    }
}
