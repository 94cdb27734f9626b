//! Outcomes of recent requests, by request id and by age.
//!
//! | key | value |
//! |---|---|
//! | `01`, request id | [`Replay`] |
//! | `02`, tick in which it was applied, request id | – |

use super::{Row, short, take_u64};
use crate::meta::bookkeeping::Replay;
use bulkhead_model::RequestId;
use bulkhead_replica::{Family, StoreError};

/// Family `replays`.
pub const FAMILY: Family = Family { index: 9, name: "replays", large_values: false };

const BY_REQUEST: u8 = 1;
const BY_AGE: u8 = 2;

/// What became of this request.
pub fn by_request(request: RequestId) -> Row<Replay> {
    let mut bytes = vec![BY_REQUEST];
    bytes.extend_from_slice(&request.0.to_be_bytes());
    Row::new(FAMILY, bytes)
}

/// Says when this request was applied.
pub fn by_age(applied: u64, request: RequestId) -> Row<()> {
    let mut bytes = vec![BY_AGE];
    bytes.extend_from_slice(&applied.to_be_bytes());
    bytes.extend_from_slice(&request.0.to_be_bytes());
    Row::new(FAMILY, bytes)
}

/// What all keys of [`by_age`] begin with.
pub const AGES: [u8; 1] = [BY_AGE];

/// The tick and the request behind [`AGES`].
///
/// # Errors
/// When they are not there.
pub fn age(rest: &[u8]) -> Result<(u64, RequestId), StoreError> {
    const WHAT: &str = "the age of an outcome";
    let (applied, rest) = take_u64(WHAT, rest)?;
    let request: [u8; 16] = rest.try_into().map_err(|_| short(WHAT))?;
    Ok((applied, RequestId(u128::from_be_bytes(request))))
}
