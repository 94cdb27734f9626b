//! `/v1/cells/{cell}/quarantine`: requests that ended processes of a cell and are refused there, and letting go of them.

use super::{Api, error::Failure, extract};
use crate::{
    cells::CellError,
    store::{DirectoryError, command::Refusal, read},
};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::{
    CellId,
    api::control_plane::{CellNode, NodeQuarantine},
};
use http::StatusCode;

pub async fn list(State(api): State<Api>, Path(cell): Path<String>) -> Result<Json<Vec<NodeQuarantine>>, Failure> {
    let id: CellId = extract::id(&cell)?;
    let nodes = nodes(&api, &id).await?;
    Ok(Json(api.cells.quarantine(&id, &nodes).await?))
}

/// Asked of every node: a shape may be refused on one of them alone.
pub async fn lift(State(api): State<Api>, Path((cell, shape)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    let id: CellId = extract::id(&cell)?;
    if shape.len() != 16 || !shape.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::invalid(format!("{shape:?} is no shape: it has 16 hex digits")));
    }
    let nodes = nodes(&api, &id).await?;
    let lifted = nodes.iter().map(|node| api.cells.lift(&id, node.admin, &shape));
    let lifted = futures::future::join_all(lifted).await;
    if lifted.iter().any(Result::is_ok) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(not_lifted(&id, &shape, lifted.into_iter().filter_map(Result::err).collect()))
}

/// Only when every node says so, none refuses it: one that does not answer may, and one that did not confirm may have let go of it.
fn not_lifted(cell: &CellId, shape: &str, errors: Vec<CellError>) -> Failure {
    let refuses_nothing = |error: &CellError| match error {
        CellError::Refused { status, .. } => *status == StatusCode::NOT_FOUND,
        CellError::Unreachable { .. } | CellError::Unknown { .. } | CellError::Directory(_) | CellError::Token(_) => {
            false
        }
    };
    let is_open = errors.iter().any(|error| matches!(error, CellError::Unknown { .. }));
    let is_absent = errors.iter().all(refuses_nothing);
    let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let why = why.join("; ");
    match (is_open, is_absent) {
        (true, _) => Failure::unknown(format!("whether a node of cell {cell} let go of {shape} is not known: {why}")),
        (false, true) => Failure::not_found(format!("no node of cell {cell} refuses {shape}: {why}")),
        (false, false) => {
            Failure::unavailable(format!("not every node of cell {cell} says whether it refuses {shape}: {why}"))
        }
    }
}

async fn nodes(api: &Api, cell: &CellId) -> Result<Vec<CellNode>, Failure> {
    let record = read::cell(&api.directory.view().await?, cell).map_err(DirectoryError::from)?;
    Ok(record.ok_or_else(|| Refusal::NoSuchCell(cell.clone()))?.nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse as _;

    #[test]
    fn a_node_that_does_not_answer_may_refuse_it() {
        let cell: CellId = "c1".parse().expect("a label");
        let absent = || CellError::Refused { cell: cell.clone(), status: StatusCode::NOT_FOUND, why: "no such".into() };
        let silent = || CellError::Unreachable { cell: cell.clone(), why: "no answer".into() };
        let open = || CellError::Unknown { cell: cell.clone(), why: "no answer".into() };
        let status = |errors| not_lifted(&cell, "00c0ffee00c0ffee", errors).into_response().status();
        assert_eq!(status(vec![absent(), absent()]), StatusCode::NOT_FOUND);
        assert_eq!(status(vec![absent(), silent()]), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(vec![silent(), silent()]), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(vec![absent(), open()]), StatusCode::SERVICE_UNAVAILABLE);
    }
}
