//! `GET /admin/v1/load`: what this node executes, who waits for it, and who is refused.

use super::Admin;
use crate::admit::{Load, Tally};
use axum::{Json, extract::State};
use bulkhead_model::{
    AccountId,
    api::cell::{AccountLoad, NodeLoad},
};

pub(super) async fn show(State(admin): State<Admin>) -> Json<NodeLoad> {
    let Load { enabled, limit, held, queued, admitted, refused, over, accounts } = admin.admission.load();
    let refused = refused.into_iter().map(|(why, count)| (why.name(), count)).chain(over);
    Json(NodeLoad {
        node: admin.identity.node,
        isolation: enabled,
        limit_units: limit,
        held_units: held,
        queued: queued as u64,
        admitted,
        refused: refused.map(|(why, count)| (why.to_owned(), count)).collect(),
        accounts: accounts.into_iter().map(account).collect(),
    })
}

fn account((account, tally): (AccountId, Tally)) -> AccountLoad {
    let Tally { units, waited, refused } = tally;
    AccountLoad { account, units, waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX), refused }
}
