//! The request's body before anyone knows whose it is: parked in a slot, then read as a document or streamed as bytes.
//!
//! s3s gets a body that reads from the slot, so that its parsers see documents; an object's bytes are taken out of the
//! slot by the call itself and never pass through s3s, whose `aws-chunked` decoder holds a whole chunk in memory.

use super::{
    calls::S3Op,
    chunked::{Decoder, Trailers},
    document::{Documents, Held, check_items},
    error,
    stated::{Framing, Stated},
};
use crate::{
    limit::Permit,
    limits::{DISCARD_PATIENCE, DISCARDED_BODY_BYTES_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_PATIENCE, WEIGHT_NORMAL},
    ops::body::{Body, BodyError, BodyStream},
};
use bulkhead_model::AccountId;
use bulkhead_service::http::BodyError as ConnectionError;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use parking_lot::Mutex;
use s3s::{S3Result, StdError, auth::SecretKey};
use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

type Inner = UnsyncBoxBody<Bytes, StdError>;

/// Holds the request's body until somebody takes it. Clones share the body.
#[derive(Clone)]
pub struct Slot {
    body: Arc<Mutex<Option<Inner>>>,
    /// Bytes taken from the connection so far.
    received: Arc<AtomicU64>,
    /// Whom they are charged to, once that is known; until then nothing is read.
    permit: Arc<OnceLock<Permit>>,
    /// Room for it, when it is a document.
    document: Arc<Held>,
}

/// How long the body of a refused request is, when it is worth reading to keep its connection: short, and on its way already.
pub fn discardable(headers: &HeaderMap) -> Option<u64> {
    let len = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    (len <= DISCARDED_BODY_BYTES_MAX && !headers.contains_key(header::EXPECT)).then_some(len)
}

impl Slot {
    /// Parks a body as it comes from the connection.
    pub fn park<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let body = body.map_err(Into::into).boxed_unsync();
        let body = Arc::new(Mutex::new(Some(body)));
        Self { body, received: Arc::default(), permit: Arc::default(), document: Arc::default() }
    }

    /// Bytes of the body read so far, as they were on the wire.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Charges what flows, either way, to this permit, and keeps it as long as the request.
    pub fn meter(&self, permit: Permit) {
        // Set once: a request is let in once.
        let _ = self.permit.set(permit);
    }

    /// The account's share of a busy cell, relative to other accounts; the usual one before it was let in.
    pub fn weight(&self) -> u32 {
        self.permit.get().map_or(WEIGHT_NORMAL, |permit| u32::try_from(permit.weight()).unwrap_or(u32::MAX))
    }

    /// So many bytes of the answer went out.
    pub fn sent(&self, bytes: u64) {
        if let Some(permit) = self.permit.get() {
            permit.went(bytes);
        }
    }

    /// Reads what nobody has read and throws it away, if it is short: the connection can be used again only behind the body's end.
    pub async fn discard(&self, declared: Option<u64>) {
        let (Some(_), Some(mut body)) = (declared, self.take()) else { return };
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        // When the client is slower than that, its connection is closed.
        let _ = tokio::time::timeout(DISCARD_PATIENCE, rest).await;
    }

    fn take(&self) -> Option<Inner> {
        self.body.lock().take()
    }

    /// What s3s reads: whatever is in the slot when it reads.
    pub fn for_s3s(&self) -> s3s::Body {
        s3s::Body::http_body_unsync(SlotBody(self.clone()))
    }

    /// The frames of the body. How long each may take is the connection's business.
    fn into_frames(self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        let (received, permit) = (Arc::clone(&self.received), Arc::clone(&self.permit));
        futures::stream::unfold(self.take(), move |body| {
            let (received, permit) = (Arc::clone(&received), Arc::clone(&permit));
            async move {
                let mut body = body?;
                loop {
                    let data = match body.frame().await {
                        None => return None,
                        Some(Err(error)) => return Some((Err(cut_short(&error)), None)),
                        Some(Ok(frame)) => frame.into_data(),
                    };
                    if let Ok(data) = data
                        && !data.is_empty()
                    {
                        received.fetch_add(data.len() as u64, Ordering::Relaxed);
                        let wait = permit.get().map_or(Duration::ZERO, |permit| permit.came(data.len() as u64));
                        if !wait.is_zero() {
                            // What is not read waits at its client.
                            tokio::time::sleep(wait).await;
                        }
                        return Some((Ok(data), Some(body)));
                    }
                }
            }
        })
    }

    /// Reads the whole body as a document, verifies what the headers state about it, and parks it again for s3s.
    ///
    /// # Errors
    /// When the body is too large, has too many items, stops short, comes too slowly, or is not what the headers say, and when the node or
    /// the account holds too many.
    pub async fn read_document(
        &self,
        op: S3Op,
        stated: &Stated,
        account: AccountId,
        documents: &Documents,
    ) -> S3Result<()> {
        if stated.framing != Framing::Plain {
            return Err(s3s::s3_error!(NotImplemented, "A document cannot be sent as aws-chunked."));
        }
        if stated.len.is_some_and(|len| len > DOCUMENT_BYTES_MAX as u64) {
            return Err(too_large());
        }
        let read = tokio::time::timeout(DOCUMENT_PATIENCE, self.collect(account, documents)).await;
        let document = read.map_err(|_| error::respond(BodyError::TooSlow.into()))??;
        check_items(op, &document)?;
        stated.verify_document(&document).map_err(error::respond)?;
        *self.body.lock() = Some(Full::new(document.freeze()).map_err(|never| match never {}).boxed_unsync());
        Ok(())
    }

    /// All of the body, as far as there is room for it.
    async fn collect(&self, account: AccountId, documents: &Documents) -> S3Result<BytesMut> {
        let mut document = BytesMut::new();
        let mut frames = std::pin::pin!(self.clone().into_frames());
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|fault| error::respond(fault.into()))?;
            if document.len() + frame.len() > DOCUMENT_BYTES_MAX {
                return Err(too_large());
            }
            documents.take(account, frame.len(), &self.document)?;
            document.extend_from_slice(&frame);
        }
        Ok(document)
    }

    /// The body as an object's bytes, decoded, with what the headers (and in the end the trailer) state about them.
    /// `secret` is the one that signed the request.
    pub fn into_bytes(self, stated: Stated, secret: &SecretKey) -> Body {
        let trailers = Arc::new(Mutex::new(None));
        let decoder = match &stated.framing {
            Framing::Plain => None,
            Framing::Unsigned => Some(Decoder::unsigned()),
            Framing::Signed(signed) => Some(Decoder::signed(signed.signer(secret.expose()), signed.trailer)),
        };
        let frames = self.into_frames();
        let stream: BodyStream = match decoder {
            None => Box::pin(frames),
            Some(decoder) => decoded(frames, decoder, &trailers),
        };
        stated.into_body(stream, trailers)
    }
}

fn cut_short(error: &StdError) -> BodyError {
    match error.downcast_ref::<ConnectionError>() {
        Some(ConnectionError::Stalled(_) | ConnectionError::TooSlow) => BodyError::TooSlow,
        Some(ConnectionError::Broken(_)) | None => BodyError::Incomplete(error.to_string()),
    }
}

fn too_large() -> s3s::S3Error {
    s3s::s3_error!(
        MaxMessageLengthExceeded,
        "Your request was too large: a document has at most {DOCUMENT_BYTES_MAX} bytes."
    )
}

/// Where the decoder leaves the trailers when the body has ended well.
pub type TrailerCell = Arc<Mutex<Option<Trailers>>>;

fn decoded<S>(frames: S, decoder: Decoder, trailers: &TrailerCell) -> BodyStream
where
    S: Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
{
    struct Decoding<S> {
        frames: Pin<Box<S>>,
        input: Bytes,
        decoder: Decoder,
        trailers: TrailerCell,
    }
    let start = Decoding { frames: Box::pin(frames), input: Bytes::new(), decoder, trailers: Arc::clone(trailers) };
    let stream = futures::stream::try_unfold(Some(start), |state| async move {
        let Some(mut state) = state else { return Ok(None) };
        loop {
            if let Some(payload) = state.decoder.next(&mut state.input)? {
                return Ok(Some((payload, Some(state))));
            }
            match state.frames.next().await {
                Some(frame) => state.input = frame?,
                None => {
                    let trailers = state.decoder.finish()?;
                    *state.trailers.lock() = Some(trailers);
                    return Ok(None);
                }
            }
        }
    });
    Box::pin(stream)
}

/// A body that reads from the slot.
struct SlotBody(Slot);

impl http_body::Body for SlotBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        match self.0.body.lock().as_mut() {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.0.body.lock().as_ref().map_or_else(SizeHint::default, |body| body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Dimension, Limiter};
    use bulkhead_model::Limits;
    use bulkhead_service::env::Clock;
    use http_body_util::StreamBody;
    use std::convert::Infallible;

    #[tokio::test(start_paused = true)]
    async fn a_large_body_is_read_no_faster_than_its_accounts_rate() {
        const FRAME: usize = 64 << 10;
        const FRAMES: usize = 128;
        let limits = Limits { bytes_in: 4 << 20, ..Limits::default() };
        let clock = Clock::system();
        let limiter = Limiter::new(Arc::new(move |_| limits), clock.clone());
        let frames = (0..FRAMES).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; FRAME]))));
        let slot = Slot::park(StreamBody::new(futures::stream::iter(frames)));
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        slot.meter(limiter.enter(account, Dimension::Writes, (FRAMES * FRAME) as u64).expect("nothing is owed"));
        let begun = clock.now();
        let read: Vec<_> = slot.into_frames().collect().await;
        assert!(read.len() == FRAMES && read.iter().all(Result::is_ok));
        let took = begun.elapsed().as_millis();
        assert!((1_900..2_100).contains(&took), "8 MiB at 4 MiB a second took {took} ms");
    }
}
