//! Upload epochs: a node has one open at a time.

use super::{Decision, draft::Draft};
use crate::meta::{
    command::Done,
    format,
    keys::{self, within},
    record::{OpenEpoch, UploadEpoch},
};
use bulkhead_model::NodeId;

/// Opens the next epoch for a node and closes the one it had: whoever still writes under that one cannot name it any more.
pub(super) fn open(draft: &mut Draft<'_>, node: NodeId) -> Decision {
    let mut cursor = draft.cursor(keys::meta::FAMILY);
    cursor.seek(&keys::meta::EPOCHS)?;
    while let Some((rest, value)) = within(&*cursor, &keys::meta::EPOCHS) {
        let epoch = UploadEpoch(keys::meta::number(rest)?);
        if format::decode::<OpenEpoch>(value).map_err(bulkhead_replica::StoreError::from)?.node == node {
            draft.delete(keys::meta::epoch(epoch));
        }
        cursor.advance()?;
    }
    draft.cell.last_epoch += 1;
    let epoch = UploadEpoch(draft.cell.last_epoch);
    draft.put(keys::meta::epoch(epoch), &OpenEpoch { node, opened: draft.time() });
    Ok(Done::EpochOpened { epoch })
}
