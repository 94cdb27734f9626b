//! `/v1/cells`: recorded here, stamped by [`crate::reconcile::cells`]; the answer waits for it.

use super::{
    Api,
    error::Failure,
    extract::{self, Body},
};
use crate::{
    domain::{cell, disks},
    limits::{POLL_PAUSE, STAMP_WAIT},
    store::{
        DirectoryError,
        command::{Command, Refusal},
        read, record,
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::{
    Blueprint, CellId, NodeId,
    api::control_plane::{Cell, CellLoad, CellState, CellStorage, StampCell},
};
use http::StatusCode;

pub async fn stamp(State(api): State<Api>, Body(wanted): Body<StampCell>) -> Result<(StatusCode, Json<Cell>), Failure> {
    cell::check_name(&wanted.name).map_err(Failure::invalid)?;
    let blueprint = blueprint(&api, &wanted.blueprint).await?;
    let command = Command::StampCell {
        cell: wanted.name.clone(),
        blueprint_hash: blueprint.hash(),
        capacity: blueprint.capacity.accounts,
        blueprint: wanted.blueprint,
    };
    api.directory.propose(command).await?;
    api.wake.notify_waiters();
    let stopping = api.env.tasks.stopping();
    match stopping.run_until_cancelled(stamped(&api, wanted.name)).await {
        Some(cell) => Ok((StatusCode::CREATED, Json(cell?))),
        None => Err(Failure::unknown("this node is stopping; the cell is stamped by the next leader")),
    }
}

/// Waits until the reconciler has stamped the cell, or has failed to.
async fn stamped(api: &Api, id: CellId) -> Result<Cell, Failure> {
    let deadline = api.env.clock.now() + STAMP_WAIT;
    loop {
        let changed = api.directory.changed();
        let record = read::cell(&api.directory.view().await?, &id).map_err(DirectoryError::from)?;
        match record.map(|record| (record.state.clone(), record)) {
            Some((CellState::Active, record)) => return Ok(shown(id, record)),
            Some((CellState::Failed { why }, _)) => {
                return Err(Failure::failed(format!("cell {id} was not stamped: {why}; stamp it again to go on")));
            }
            Some((CellState::Provisioning | CellState::Forming, _)) | None => {}
        }
        if api.env.clock.now() > deadline {
            return Err(Failure::unknown(format!(
                "cell {id} is still being stamped; look with `bulkhead cell show {id}`"
            )));
        }
        // Either way the state is looked at again.
        let _ = tokio::time::timeout(POLL_PAUSE, changed).await;
    }
}

async fn blueprint(api: &Api, name: &str) -> Result<Blueprint, Failure> {
    // A blueprint's name is a label, and so never leads out of the directory.
    let label: CellId =
        name.parse().map_err(|_| Failure::invalid(format!("{name:?} is not a blueprint's name, such as dev")))?;
    let file = api.blueprints.join(format!("{label}.toml"));
    let text = tokio::fs::read_to_string(&file).await.map_err(|error| {
        Failure::not_found(format!("blueprint {label} cannot be read from {}: {error}", file.display()))
    })?;
    let blueprint = Blueprint::parse(&text).map_err(Failure::invalid)?;
    if blueprint.name == name {
        Ok(blueprint)
    } else {
        Err(Failure::invalid(format!("{} is named {:?} inside, but must be {name:?}", file.display(), blueprint.name)))
    }
}

/// Begins a replacement; the reconciler carries it out, whether or not anybody waits.
pub async fn replace(
    State(api): State<Api>,
    Path((cell, node)): Path<(String, u64)>,
) -> Result<(StatusCode, Json<Cell>), Failure> {
    let id: CellId = extract::id(&cell)?;
    api.directory.propose(Command::ReplaceNode { cell: id.clone(), node: NodeId(node) }).await?;
    api.wake.notify_waiters();
    let Json(cell) = show(State(api), Path(cell)).await?;
    Ok((StatusCode::ACCEPTED, Json(cell)))
}

pub async fn list(State(api): State<Api>) -> Result<Json<Vec<Cell>>, Failure> {
    let cells = read::cells(&api.directory.view().await?).map_err(DirectoryError::from)?;
    Ok(Json(cells.into_iter().map(|(id, record)| shown(id, record)).collect()))
}

pub async fn show(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<Cell>, Failure> {
    let id: CellId = extract::id(&cell)?;
    let record = read::cell(&api.directory.view().await?, &id).map_err(DirectoryError::from)?;
    let record = record.ok_or_else(|| Refusal::NoSuchCell(id.clone()))?;
    Ok(Json(shown(id, record)))
}

/// How the chunks of a cell are: every node is asked.
pub async fn storage(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<CellStorage>, Failure> {
    let id: CellId = extract::id(&cell)?;
    let record = read::cell(&api.directory.view().await?, &id).map_err(DirectoryError::from)?;
    let record = record.ok_or_else(|| Refusal::NoSuchCell(id.clone()))?;
    let answers = api.cells.storage(&id, &record.nodes).await?;
    Ok(Json(CellStorage { nodes: disks::compare(answers) }))
}

/// What a cell's nodes execute, and who waits there: every node is asked.
pub async fn load(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<CellLoad>, Failure> {
    let id: CellId = extract::id(&cell)?;
    let record = read::cell(&api.directory.view().await?, &id).map_err(DirectoryError::from)?;
    let record = record.ok_or_else(|| Refusal::NoSuchCell(id.clone()))?;
    Ok(Json(api.cells.load(&id, &record.nodes).await?))
}

fn shown(id: CellId, record: record::Cell) -> Cell {
    Cell {
        cell: id,
        blueprint: record.blueprint,
        blueprint_hash: record.blueprint_hash,
        state: record.state,
        nodes: record.nodes,
        replacement: record.replacement,
        accounts: record.accounts,
        created_at: record.created,
    }
}
