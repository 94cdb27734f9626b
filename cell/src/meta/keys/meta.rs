//! What belongs to the cell as a whole: its state, open upload epochs, buckets that are being cleared away.
//!
//! | key | value |
//! |---|---|
//! | `01` | [`CellState`] |
//! | `02`, upload epoch | [`OpenEpoch`] |
//! | `03`, bucket id | [`Dropped`] |
//! | `04` | [`Usage`]: ballast, while there is any |

use super::{Row, take_u64};
use crate::meta::{
    bookkeeping::{CellState, Dropped},
    record::{BucketId, OpenEpoch, UploadEpoch, Usage},
};
use bulkhead_replica::{Family, StoreError};

/// Family `meta`.
pub const FAMILY: Family = Family { index: 12, name: "meta", large_values: false };

const CELL: u8 = 1;
const EPOCH: u8 = 2;
const DROPPED: u8 = 3;
const BALLAST: u8 = 4;

/// What all keys of [`epoch`] begin with.
pub const EPOCHS: [u8; 1] = [EPOCH];
/// What all keys of [`dropped`] begin with.
pub const DROPS: [u8; 1] = [DROPPED];

/// The cell's state.
pub fn cell() -> Row<CellState> {
    Row::new(FAMILY, vec![CELL])
}

/// Who writes under this epoch, while it is open.
pub fn epoch(epoch: UploadEpoch) -> Row<OpenEpoch> {
    Row::new(FAMILY, tagged(EPOCH, epoch.0))
}

/// What counts as held although nobody holds it.
pub fn ballast() -> Row<Usage> {
    Row::new(FAMILY, vec![BALLAST])
}

/// How far a deleted bucket is cleared away.
pub fn dropped(bucket: BucketId) -> Row<Dropped> {
    Row::new(FAMILY, tagged(DROPPED, bucket.0))
}

/// The number behind [`EPOCHS`] or [`DROPS`].
///
/// # Errors
/// When it is too short.
pub fn number(rest: &[u8]) -> Result<u64, StoreError> {
    Ok(take_u64("a numbered row of the cell", rest)?.0)
}

fn tagged(tag: u8, number: u64) -> Vec<u8> {
    let mut key = vec![tag];
    key.extend_from_slice(&number.to_be_bytes());
    key
}
