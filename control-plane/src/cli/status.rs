//! `bulkhead status`.

use super::{CliError, Connection, Output, output::facts};
use bulkhead_model::api::control_plane::Status;

pub async fn show(api: &Connection) -> Result<Output, CliError> {
    let status: Status = api.get("/v1/status").await?;
    let leader = status.leader.map_or("none; changes must wait".into(), |node| format!("node {node}"));
    let shown = facts(&[
        ("build", status.build.clone()),
        ("node", status.node.to_string()),
        ("leader", leader),
        ("cells", status.cells.to_string()),
        ("accounts", status.accounts.to_string()),
        ("buckets", status.buckets.to_string()),
        ("routing version", status.routing_version.to_string()),
        (
            "certificates",
            if status.uncertified { "WAIVED for cells of blueprint dev: for tests" } else { "demanded" }.into(),
        ),
    ]);
    Ok(Output::new(shown, &status))
}
