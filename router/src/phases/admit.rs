//! May: the method is one of S3's, the body is not too large, there is a slot in the router and in the cell's share, and the cell's
//! breaker lets it through.

use super::RequestCx;
use crate::{
    Router,
    error::Fault,
    limits,
    upstream::cell::{Refused, Share},
};
use bulkhead_service::http::RequestBody;
use http::{Method, request::Parts};
use http_body::Body as _;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// The slots a request holds until its answer has ended.
#[derive(Debug)]
pub struct Slots {
    _router: OwnedSemaphorePermit,
    _cell: Share,
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
/// [`Fault::Overloaded`], [`Fault::CellFull`] and [`Fault::CellAway`] when there is none.
pub fn take_slots(router: &Router, cx: &mut RequestCx) -> Result<(), Fault> {
    cx.slots = None;
    let cell = cx.cell.as_ref().ok_or(Fault::NoHome)?;
    // The cell's first: a cell that is full or away takes nothing from the others.
    let account = cx.location.as_ref().ok_or(Fault::NoHome)?.account;
    let share = cell.enter(account, router.env.clock.now()).map_err(|refused| match refused {
        Refused::Full => Fault::CellFull,
        Refused::Away => Fault::CellAway,
    })?;
    let slot = Arc::clone(&router.slots).try_acquire_owned().map_err(|_| Fault::Overloaded)?;
    cx.slots = Some(Slots { _router: slot, _cell: share });
    Ok(())
}

fn is_s3(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS].contains(method)
}
