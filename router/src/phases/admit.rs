//! May: the method is one of S3's, the body is not too large, the account does not ask for far more than its cell takes, there is a slot in
//! the router and in the cell's share, and the cell's breaker lets it through.

use super::RequestCx;
use crate::{
    Router,
    error::Fault,
    limits,
    upstream::{
        attempt::Answer,
        cell::{Refused, Share},
        throttle::Sort,
    },
};
use bulkhead_model::{headers, settings::THROTTLE};
use bulkhead_service::http::RequestBody;
use http::{Method, StatusCode, request::Parts};
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
    throttle(router, cx)?;
    take_slots(router, cx)
}

/// Of an account that is refused most of what it asks for, some is refused here, unless a setting leaves that to the cell.
fn throttle(router: &Router, cx: &mut RequestCx) -> Result<(), Fault> {
    const DRAWS: u64 = 1 << 20;
    let (cell, location) = (cx.cell.as_ref().ok_or(Fault::NoHome)?, cx.location.as_ref().ok_or(Fault::NoHome)?);
    if !router.settings.is_on(&THROTTLE, Some(&cell.id), Some(location.account)) {
        return Ok(());
    }
    let (sort, draw) =
        (Sort::of(&cx.method, cx.identity.names_object), router.env.rng.below(DRAWS) as f64 / DRAWS as f64);
    let counted = cell.throttle().pass(location.account, sort, draw, router.env.clock.now());
    let Some(counted) = counted else {
        metrics::counter!("throttled_requests", "cell" => cell.id.as_str().to_owned()).increment(1);
        return Err(Fault::Throttled);
    };
    cx.counted = counted;
    Ok(())
}

/// Takes note of whether the cell has taken a request or refused it.
pub fn learn(router: &Router, cx: &RequestCx, outcome: &Result<Answer, Fault>) {
    let (Some(cell), Some(location)) = (&cx.cell, &cx.location) else { return };
    let refused = match outcome {
        // What was not executed for another reason is not too much.
        Ok(Answer { response, .. }) => {
            response.status() == StatusCode::SERVICE_UNAVAILABLE
                && !response.headers().contains_key(headers::NOT_EXECUTED)
        }
        Err(_) => false,
    };
    let sort = Sort::of(&cx.method, cx.identity.names_object);
    cell.throttle().answered(location.account, sort, cx.counted, refused, router.env.clock.now());
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
