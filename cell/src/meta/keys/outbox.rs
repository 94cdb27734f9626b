//! Errands to the control plane, in the order they arose.
//!
//! | key | value |
//! |---|---|
//! | sequence | [`Errand`] |

use super::{Row, take_u64};
use crate::meta::bookkeeping::Errand;
use bulkhead_replica::{Family, StoreError};

/// Family `outbox`.
pub const FAMILY: Family = Family { index: 10, name: "outbox", large_values: false };

/// The errand of this number.
pub fn row(sequence: u64) -> Row<Errand> {
    Row::new(FAMILY, sequence.to_be_bytes().to_vec())
}

/// The number in a key of this family.
///
/// # Errors
/// When it is too short.
pub fn sequence(key: &[u8]) -> Result<u64, StoreError> {
    Ok(take_u64("an errand's number", key)?.0)
}
