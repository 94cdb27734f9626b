//! `/v1/fleet`: every cell against what it may hold, and what will be done next.

use super::{Api, cells, error::Failure};
use crate::{
    domain::{
        cell,
        headroom::{self, Need},
    },
    reconcile::headroom::{next_name, standings},
    store::{read, record},
};
use axum::{Json, extract::State};
use bulkhead_model::{
    CellId,
    api::control_plane::{CellState, ClosedBy, Dimension, Fleet, FleetCell, FleetDimension},
};

pub async fn show(State(api): State<Api>) -> Result<Json<Fleet>, Failure> {
    let all = read::cells(&api.directory.view().await?)?;
    let standings = standings(&all, &api.watch, api.env.clock.wall());
    let floor = Some(api.headroom.floor_percent).filter(|floor| *floor > 0);
    let next = match floor {
        None => "nothing: it stamps no cell by itself".to_owned(),
        Some(floor) => match headroom::need(&standings, floor, api.headroom.cells_max) {
            Need::Nothing => format!("stamp {} when headroom falls below {floor}% of a cell", next_name(&all)),
            Need::Wait => "wait for the cell that is being stamped".to_owned(),
            Need::Stamp => format!("stamp {} now", next_name(&all)),
            Need::Blocked => "nothing before a cell that failed is resumed or torn down".to_owned(),
            Need::AtMost => format!("nothing: there are {} cells of at most {}", all.len(), api.headroom.cells_max),
        },
    };
    let (headroom_percent, floor_percent) = (headroom::percent(&standings), floor);
    let cells = all.into_iter().map(|(id, record)| one(&api, id, record)).collect();
    Ok(Json(Fleet { cells, headroom_percent, floor_percent, next }))
}

fn one(api: &Api, id: CellId, record: record::Cell) -> FleetCell {
    let seen = api.watch.of(&id);
    let load = record.load(seen.as_ref().map(|seen| seen.figures).unwrap_or_default());
    let dimension = |dimension: Dimension| FleetDimension {
        dimension,
        used: load.used.get(dimension),
        capacity: load.capacity.get(dimension),
        soft_limit: load.soft_limit(dimension),
    };
    let build = seen.as_ref().and_then(|seen| seen.build.clone()).map(|build| build.unwrap_or_else(|builds| builds));
    FleetCell {
        next: next(&record, cells::refuses(api, &id, &record)),
        certificate: cells::vouched(&record.more.vouched),
        build,
        ready: seen.as_ref().map_or(0, |seen| seen.ready),
        nodes: record.nodes.len() as u64,
        dimensions: Dimension::ALL.map(dimension).to_vec(),
        cell: id,
        region: record.more.region,
        blueprint: record.blueprint,
        state: record.state,
    }
}

/// What will be done with a cell next.
fn next(record: &record::Cell, refuses: Option<String>) -> String {
    match (&record.state, refuses) {
        (CellState::Failed { why }, _) => format!("nothing before it is resumed or torn down: {why}"),
        (CellState::Active, None) => "take accounts".into(),
        (CellState::Active, Some(why)) => format!("close to new accounts: {why}"),
        (CellState::Closed { by: ClosedBy::Operator }, _) => "nothing: an operator closed it".into(),
        (CellState::Closed { by: by @ ClosedBy::SoftLimit { .. } }, _) => format!("open again when it has room: {by}"),
        (CellState::Closed { by: by @ ClosedBy::Certificate { .. } }, _) => {
            format!("open again with a certificate that holds: {by}")
        }
        (CellState::Draining, _) => "nothing: it is drained, and can be retired".into(),
        (CellState::Retired, _) => "nothing: it is gone".into(),
        (state, _) if record.replacement.is_some() => format!("{}; a node is being replaced", cell::name(state)),
        (state, _) => format!("go on: it is {}", cell::name(state)),
    }
}
