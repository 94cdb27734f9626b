//! May: the method is one of S3's, the body is not too large, and there is a slot, in the router and in the cell's share.

use super::RequestCx;
use crate::{Router, error::Fault, limits};
use bulkhead_service::http::RequestBody;
use http::{Method, request::Parts};
use http_body::Body as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots a request holds until its answer has ended.
#[derive(Debug)]
pub struct Slots {
    _router: OwnedSemaphorePermit,
    _cell: OwnedSemaphorePermit,
}

/// The phase.
///
/// # Errors
/// When the request is refused as such, or there is no slot: it is answered at once, never queued.
pub fn run(router: &Router, head: &Parts, body: &RequestBody, cx: &mut RequestCx) -> Result<(), Fault> {
    if !is_s3(&head.method) {
        return Err(Fault::Method);
    }
    if body.size_hint().lower() > limits::BODY_BYTES_MAX {
        return Err(Fault::TooLarge);
    }
    take_slots(router, cx)
}

/// Takes a slot of the router and one of the cell's share, giving back what the request held before.
///
/// # Errors
/// [`Fault::Overloaded`] when there is none.
pub fn take_slots(router: &Router, cx: &mut RequestCx) -> Result<(), Fault> {
    cx.slots = None;
    let cell = cx.cell.as_ref().ok_or(Fault::NoHome)?;
    let slots = Slots { _router: take(&router.slots)?, _cell: take(&cell.slots())? };
    cx.slots = Some(slots);
    Ok(())
}

fn take(slots: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Fault> {
    Arc::clone(slots).try_acquire_owned().map_err(|_| Fault::Overloaded)
}

fn is_s3(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS].contains(method)
}
