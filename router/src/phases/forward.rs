//! There and back: the request to a node of its cell, again if that is safe, and the answer as soon as it begins.

use super::{RequestCx, course::Course};
use crate::{
    Router,
    error::Fault,
    limits,
    upstream::{
        attempt::{Answer, Payload, Template},
        body::Source,
        cell::Hold,
        head,
    },
};
use bulkhead_service::{
    http::{BodyError, RequestBody},
    telemetry::trace_context,
};
use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts, uri::PathAndQuery};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// The phase.
///
/// # Errors
/// When no try brought an answer. [`Fault::OutcomeUnknown`] when the request may have been executed.
pub async fn run(router: &Router, head: Parts, body: RequestBody, cx: &mut RequestCx) -> Result<Answer, Fault> {
    let is_copy = head.headers.contains_key("x-amz-copy-source");
    let prefers_leader = !is_copy && is_small_write(&head.method, &body);
    let (payload, _held) = read(router, body, cx).await?;
    let course = Course::new(cx, prefers_leader, is_copy);
    let template = Template {
        method: head.method,
        target: head.uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")),
        headers: prepare(head.headers, cx)?,
        payload,
    };
    course.run(router, template, cx).await
}

fn is_small_write(method: &Method, body: &RequestBody) -> bool {
    let changes = matches!(*method, Method::PUT | Method::POST | Method::DELETE);
    changes && body.size_hint().upper().is_some_and(|bytes| bytes <= limits::SMALL_WRITE_BYTES_MAX)
}

/// Reads a small body of known length, so that the request can be sent again, if there is room to hold it; leaves any other with
/// the client.
async fn read(router: &Router, body: RequestBody, cx: &mut RequestCx) -> Result<(Payload, Option<Room>), Fault> {
    if body.is_end_stream() {
        return Ok((Payload::Whole(Bytes::new()), None));
    }
    let small = body.size_hint().exact().filter(|bytes| *bytes <= limits::REPLAY_BODY_BYTES_MAX);
    if let Some(room) = small.and_then(|bytes| room(router, cx, bytes)) {
        let bytes = body.collect().await.map_err(|error| clients_fault(&error))?.to_bytes();
        cx.held = bytes.len() as u64;
        return Ok((Payload::Whole(bytes), Some(room)));
    }
    let source = Source::new(body);
    cx.source = Some(Arc::clone(&source));
    Ok((Payload::Streamed(source), None))
}

/// Memory for a body: of the cell's share and of the router's. Held until the answer begins.
type Room = (Hold, OwnedSemaphorePermit);

fn room(router: &Router, cx: &RequestCx, bytes: u64) -> Option<Room> {
    let of_cell = cx.cell.as_ref()?.hold(cx.location.as_ref()?.account, bytes)?;
    let of_router = Arc::clone(&router.held_bytes).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
    Some((of_cell, of_router))
}

fn prepare(mut headers: HeaderMap, cx: &RequestCx) -> Result<HeaderMap, Fault> {
    head::from_client(&mut headers);
    head::for_cell(&mut headers, cx.request, cx.location.as_ref().ok_or(Fault::NoHome)?);
    trace_context::inject(&cx.span, &mut headers);
    Ok(headers)
}

pub(super) fn clients_fault(error: &BodyError) -> Fault {
    match error {
        BodyError::Stalled(_) | BodyError::TooSlow => Fault::BodyStalled,
        BodyError::Broken(_) => Fault::BodyBroken,
    }
}
