//! The cell's own measure of time going by, which no wall clock can move.

use super::draft::Draft;
use crate::meta::command::Done;

/// Counts a tick, unless it is counted already: two leaders in a row may have waited for the same one.
pub(super) fn tick(draft: &mut Draft<'_>, after: u64) -> Done {
    if draft.cell.ticks == after {
        draft.cell.ticks += 1;
    }
    Done::Ok
}
