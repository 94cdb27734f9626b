//! A request's body, generated while it is sent.

use crate::{limits::PIECE_BYTES, workload::Content};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// What a request carries. Its length is always known, so it is never sent chunked.
#[derive(Debug, Clone)]
pub enum Payload {
    Empty,
    Bytes(Bytes),
    /// The bytes `from..to` of `content`.
    Generated {
        content: Content,
        from: u64,
        to: u64,
    },
}

impl Payload {
    /// All of `content`.
    pub fn whole(content: Content) -> Self {
        Self::Generated { content, from: 0, to: content.len() }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Generated { from, to, .. } => to - from,
        }
    }

    /// Whether nothing is left to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next piece, at most [`PIECE_BYTES`] of generated content.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if self.is_empty() {
            return None;
        }
        match self {
            Self::Empty => None,
            Self::Bytes(bytes) => Some(std::mem::take(bytes)),
            Self::Generated { content, from, to } => {
                let mut piece = BytesMut::zeroed(PIECE_BYTES.min((*to - *from) as usize));
                content.fill(*from, &mut piece);
                *from += piece.len() as u64;
                Some(piece.freeze())
            }
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
