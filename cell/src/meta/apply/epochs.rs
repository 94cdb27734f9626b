//! Upload epochs: opened by the node that writes under them, closed for good. Closing is always safe: whoever still writes under a
//! closed epoch is refused when it names what it wrote.

use super::{Decision, draft::Draft};
use crate::{
    limits::EPOCHS_PER_NODE_MAX,
    meta::{
        command::Done,
        format,
        keys::{self, within},
        record::{OpenEpoch, UploadEpoch},
    },
};
use bulkhead_model::NodeId;
use bulkhead_replica::StoreError;

/// Opens a process's first epoch and closes all that its node had: they are of a former life.
pub(super) fn open(draft: &mut Draft<'_>, node: NodeId) -> Decision {
    close_all(draft, &of_node(draft, node)?);
    Ok(open_next(draft, node))
}

/// Opens another epoch for a node. Those up to `to` that are not in `keep` are closed, and the oldest when there are too many: the
/// table is bounded whatever is proposed. An epoch after `to` is one the proposer did not know of, and is left alone.
pub(super) fn rotate(draft: &mut Draft<'_>, node: NodeId, to: UploadEpoch, keep: &[UploadEpoch]) -> Decision {
    let (staying, mut closing): (Vec<_>, Vec<_>) =
        of_node(draft, node)?.into_iter().partition(|epoch| *epoch > to || keep.contains(epoch));
    let excess = (staying.len() + 1).saturating_sub(EPOCHS_PER_NODE_MAX);
    closing.extend(&staying[..excess]);
    close_all(draft, &closing);
    Ok(open_next(draft, node))
}

/// Closes epochs whoever has them: their node is gone, or they have been open for too long.
pub(super) fn close(draft: &mut Draft<'_>, epochs: &[UploadEpoch]) -> Done {
    close_all(draft, epochs);
    Done::Ok
}

fn open_next(draft: &mut Draft<'_>, node: NodeId) -> Done {
    draft.cell.last_epoch += 1;
    let epoch = UploadEpoch(draft.cell.last_epoch);
    draft.put(keys::meta::epoch(epoch), &OpenEpoch { node, opened: draft.time() });
    Done::EpochOpened { epoch }
}

fn close_all(draft: &mut Draft<'_>, epochs: &[UploadEpoch]) {
    for epoch in epochs {
        draft.delete(keys::meta::epoch(*epoch));
    }
}

/// The open epochs of a node, oldest first.
fn of_node(draft: &Draft<'_>, node: NodeId) -> Result<Vec<UploadEpoch>, StoreError> {
    let mut cursor = draft.cursor(keys::meta::FAMILY);
    cursor.seek(&keys::meta::EPOCHS)?;
    let mut epochs = Vec::new();
    while let Some((rest, value)) = within(&*cursor, &keys::meta::EPOCHS) {
        if format::decode::<OpenEpoch>(value)?.node == node {
            epochs.push(UploadEpoch(keys::meta::number(rest)?));
        }
        cursor.advance()?;
    }
    Ok(epochs)
}
