//! `bulkhead cell quarantine` and `bulkhead cell lift`.

use super::{
    CliError, Connection, Output,
    output::{table, time},
};
use bulkhead_model::{
    CellId,
    api::{cell::QuarantineScope, control_plane::NodeQuarantine},
};

pub async fn list(api: &Connection, cell: &CellId) -> Result<Output, CliError> {
    let nodes: Vec<NodeQuarantine> = api.get(&format!("/v1/cells/{cell}/quarantine")).await?;
    Ok(Output::new(text(&nodes), &nodes))
}

pub async fn lift(api: &Connection, cell: &CellId, shape: &str) -> Result<Output, CliError> {
    api.delete(&format!("/v1/cells/{cell}/quarantine/{shape}")).await?;
    Ok(Output::done(format!("{shape} is let go of; every node of {cell} serves it again within seconds.")))
}

fn text(nodes: &[NodeQuarantine]) -> String {
    let mut rows = Vec::new();
    for node in nodes {
        rows.extend(node.refused.iter().map(|refused| {
            [
                node.node.to_string(),
                refused.shape.clone(),
                refused.account.to_string(),
                refused.operation.clone(),
                refused.deaths.to_string(),
                match refused.scope {
                    QuarantineScope::Node => "this node",
                    QuarantineScope::Alone => "none, one at a time",
                    QuarantineScope::Cell => "the cell",
                }
                .to_owned(),
                time(refused.until),
            ]
        }));
    }
    let mut text = table(
        ["node", "shape", "account", "operation", "deaths", "refused by", "until"],
        &rows,
        "No request is refused: none has ended a process lately.",
    );
    for node in nodes {
        if let Some(why) = &node.unreachable {
            text.push_str(&format!("node {} does not say: {why}\n", node.node));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{AccountId, NodeId, Timestamp, api::cell::Quarantined};

    #[test]
    fn what_is_refused_is_told_node_by_node_and_a_silent_node_is_named() {
        let refused = Quarantined {
            shape: "00c0ffee00c0ffee".into(),
            account: AccountId::new(123_456_789_012).expect("twelve digits"),
            operation: "PutObject".into(),
            deaths: 2,
            until: Timestamp(1_800_000_000_000),
            scope: QuarantineScope::Cell,
        };
        let nodes = [
            NodeQuarantine { node: NodeId(1), refused: vec![refused], unreachable: None },
            NodeQuarantine { node: NodeId(2), refused: Vec::new(), unreachable: Some("no answer".into()) },
        ];
        let text = text(&nodes);
        assert!(
            text.contains("1     00c0ffee00c0ffee  123456789012  PutObject  2       the cell    2027-01-15T08:00:00Z"),
            "{text}"
        );
        assert!(text.ends_with("node 2 does not say: no answer\n"), "{text}");
    }
}
