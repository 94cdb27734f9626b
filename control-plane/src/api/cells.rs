//! `/v1/cells`: recorded here, stamped and removed by [`crate::reconcile::cells`]; who asked watches the operation.

use super::{
    Api,
    error::Failure,
    extract::{self, Body},
    operations,
};
use crate::{
    domain::{cell, disks},
    limits::{CERTIFICATE_BYTES_MAX, LABEL_CHARS_MAX},
    reconcile::headroom,
    store::{
        DirectoryError,
        command::{Command, Refusal},
        read, record,
    },
};
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use bulkhead_model::{
    Blueprint, CellId, NodeId,
    api::control_plane::{
        Cell, CellCertificate, CellLoad, CellState, CellStorage, ClosedBy, Figures, Operation, StampCell,
    },
};
use bytes::Bytes;
use http::{StatusCode, header};

pub async fn stamp(
    State(api): State<Api>,
    Body(wanted): Body<StampCell>,
) -> Result<(StatusCode, Json<Operation>), Failure> {
    cell::check_name(&wanted.name).map_err(Failure::invalid)?;
    let region = wanted.region.unwrap_or_else(|| api.local.region().to_owned());
    if region.is_empty() || region.len() > LABEL_CHARS_MAX || !region.bytes().all(|b| b.is_ascii_graphic()) {
        let accepted = format!("a region has 1 to {LABEL_CHARS_MAX} visible ASCII characters, such as eu-west");
        return Err(Failure::invalid(accepted));
    }
    let blueprint = blueprint(&api, &wanted.blueprint).await?;
    if !api.certifier.waives(&blueprint.name) && !blueprint.is_certifiable() {
        return Err(Failure::invalid(format!(
            "blueprint {} declares no rates or objectives, and a cell of it could never be certified: see [capacity] and [slo] of \
             blueprints/dev.toml",
            blueprint.name
        )));
    }
    let command = Command::RequestCell {
        cell: wanted.name,
        blueprint_hash: blueprint.hash(),
        capacity: headroom::figures(&blueprint.capacity),
        blueprint: wanted.blueprint,
        region,
    };
    let done = api.directory.propose(command).await?;
    operations::accepted(&api, done).await
}

/// Gives a cell that failed another attempt.
pub async fn resume(
    State(api): State<Api>,
    Path(cell): Path<String>,
) -> Result<(StatusCode, Json<Operation>), Failure> {
    let done = api.directory.propose(Command::ResumeCell { cell: extract::id(&cell)? }).await?;
    operations::accepted(&api, done).await
}

/// Removes a cell that never took an account; its name may be used again.
pub async fn teardown(
    State(api): State<Api>,
    Path(cell): Path<String>,
) -> Result<(StatusCode, Json<Operation>), Failure> {
    dismantle(&api, extract::id(&cell)?, true).await
}

/// Removes a drained cell; its name stays taken.
pub async fn retire(
    State(api): State<Api>,
    Path(cell): Path<String>,
) -> Result<(StatusCode, Json<Operation>), Failure> {
    dismantle(&api, extract::id(&cell)?, false).await
}

async fn dismantle(api: &Api, cell: CellId, forget: bool) -> Result<(StatusCode, Json<Operation>), Failure> {
    let done = api.directory.propose(Command::DismantleCell { cell, forget }).await?;
    operations::accepted(api, done).await
}

pub async fn close(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<Cell>, Failure> {
    advance(api, cell, CellState::Closed { by: ClosedBy::Operator }, "closed by an operator").await
}

/// What is full, or not vouched for, is closed again at once by itself.
pub async fn open(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<Cell>, Failure> {
    advance(api, cell, CellState::Active, "opened by an operator").await
}

pub async fn drain(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<Cell>, Failure> {
    advance(api, cell, CellState::Draining, "drained: it takes no accounts any more").await
}

async fn advance(api: Api, cell: String, to: CellState, note: &str) -> Result<Json<Cell>, Failure> {
    let id: CellId = extract::id(&cell)?;
    let record = record(&api, &id).await?;
    let command = Command::AdvanceCell { cell: id, seen: record.since, to, note: note.into() };
    api.directory.propose(command).await?;
    api.wake.notify_waiters();
    show(State(api), Path(cell)).await
}

/// The document as it was signed, byte for byte.
pub async fn certificate(State(api): State<Api>, Path(cell): Path<String>) -> Result<Response, Failure> {
    let id: CellId = extract::id(&cell)?;
    record(&api, &id).await?;
    let found = read::certificate(&api.directory.view().await?, &id)?;
    let found = found.ok_or_else(|| Failure::not_found(format!("cell {id} has no certificate")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], found.document).into_response())
}

/// Puts a certificate beside a cell that another run of the load test made, if the gate finds that it holds.
pub async fn put_certificate(
    State(api): State<Api>,
    Path(cell): Path<String>,
    document: Bytes,
) -> Result<Json<Cell>, Failure> {
    let id: CellId = extract::id(&cell)?;
    if document.len() > CERTIFICATE_BYTES_MAX {
        return Err(Failure::invalid(format!(
            "a certificate has at most {CERTIFICATE_BYTES_MAX} bytes here, not {}",
            document.len()
        )));
    }
    let record = record(&api, &id).await?;
    if cell::is_being_stamped(&record.state) {
        let state = cell::name(&record.state);
        return Err(Failure::conflict(format!(
            "cell {id} is {state}: it is opened with the certificate that its stamp ends with"
        )));
    }
    let blueprint = api.local.blueprint(&id, &record.blueprint, &record.blueprint_hash).map_err(Failure::failed)?;
    let build = build(&api, &id, &record).await?;
    let view = api.directory.view().await?;
    let judged = api.certifier.judge(&view, &id, &record, &blueprint.certification, &document, &build)?;
    drop(view);
    let certified = judged.map_err(|error| Failure::refused(error.to_string()))?.certified;
    let document = String::from_utf8(document.to_vec()).map_err(Failure::invalid)?;
    api.directory.propose(Command::CertifyCell { cell: id, certified, document }).await?;
    show(State(api), Path(cell)).await
}

/// What all nodes of a cell run, asked now.
async fn build(api: &Api, id: &CellId, record: &record::Cell) -> Result<String, Failure> {
    let asked = api.env.clock.now();
    api.watch.look(&api.cells, id, record).await;
    match api.watch.of(id).filter(|seen| seen.at >= asked).and_then(|seen| seen.build) {
        Some(Ok(build)) => Ok(build),
        Some(Err(builds)) => {
            Err(Failure::conflict(format!("the nodes of cell {id} are of different builds: {builds}")))
        }
        None => Err(Failure::unavailable(format!("not every node of cell {id} says what it runs"))),
    }
}

async fn record(api: &Api, id: &CellId) -> Result<record::Cell, Failure> {
    let record = read::cell(&api.directory.view().await?, id)?;
    Ok(record.ok_or_else(|| Refusal::NoSuchCell(id.clone()))?)
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
    Ok(Json(cells.into_iter().map(|(id, record)| shown(&api, id, record)).collect()))
}

pub async fn show(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<Cell>, Failure> {
    let id: CellId = extract::id(&cell)?;
    let record = read::cell(&api.directory.view().await?, &id).map_err(DirectoryError::from)?;
    let record = record.ok_or_else(|| Refusal::NoSuchCell(id.clone()))?;
    Ok(Json(shown(&api, id, record)))
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

fn shown(api: &Api, id: CellId, record: record::Cell) -> Cell {
    let (capacity, refuses) = (record.capacity(), refuses(api, &id, &record));
    Cell {
        cell: id,
        certificate: vouched(&record.more.vouched),
        refuses,
        capacity,
        region: record.more.region,
        operation: record.more.operation,
        blueprint: record.blueprint,
        blueprint_hash: record.blueprint_hash,
        state: record.state,
        nodes: record.nodes,
        replacement: record.replacement,
        accounts: record.accounts,
        created_at: record.created,
        since: record.since,
    }
}

/// Why a cell takes no account of the smallest kind.
pub fn refuses(api: &Api, id: &CellId, record: &record::Cell) -> Option<String> {
    let one = Figures { accounts: 1, ..Figures::default() };
    record.closed(api.env.clock.wall()).or_else(|| record.load(api.watch.figures(id)).refuses(one))
}

/// What vouches for a cell, for people.
pub fn vouched(vouched: &record::Vouched) -> CellCertificate {
    match vouched {
        record::Vouched::Nothing => CellCertificate::None,
        record::Vouched::Waived => CellCertificate::Waived,
        record::Vouched::By(certified) => CellCertificate::Held {
            build: certified.build.clone(),
            digest: certified.digest.clone(),
            issued_at: certified.issued,
            expires_at: certified.expires,
        },
    }
}
