//! `bulkhead node replace`: begins a replacement and waits until the cell is whole again.

use super::{CliError, Connection, Output};
use crate::limits::{POLL_PAUSE, REPLACE_WAIT_SECONDS};
use bulkhead_model::{
    CellId, NodeId,
    api::control_plane::{Cell, ReplaceStep, Replacement},
};
use bulkhead_service::env::Clock;
use clap::Args;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Replace {
    /// The cell the node is in.
    #[arg(long)]
    cell: CellId,
    /// The node that is to go, by its number.
    #[arg(long, value_parser = number)]
    node: NodeId,
    /// How long to wait, in seconds; 0 only begins it.
    #[arg(long, default_value_t = REPLACE_WAIT_SECONDS)]
    wait: u64,
}

fn number(text: &str) -> Result<NodeId, std::num::ParseIntError> {
    text.parse().map(NodeId)
}

impl Replace {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        let clock = Clock::system();
        let deadline = clock.now() + Duration::from_secs(self.wait);
        let mut cell: Cell = api.post(&format!("/v1/cells/{}/nodes/{}/replace", self.cell, self.node), &()).await?;
        let begun = cell.replacement.clone();
        while cell.replacement.is_some() && clock.now() < deadline {
            tokio::time::sleep(POLL_PAUSE).await;
            cell = api.get(&format!("/v1/cells/{}", self.cell)).await?;
        }
        let new = begun.map(|begun| begun.new.to_string()).unwrap_or_default();
        let text = match &cell.replacement {
            None => format!("Node {} of cell {} is replaced by node {new}.\n", self.node, self.cell),
            Some(replacement) => progress(replacement),
        };
        Ok(Output::new(text, &cell))
    }
}

/// How far a replacement is, in a sentence.
pub fn progress(replacement: &Replacement) -> String {
    let Replacement { old, new, step, .. } = replacement;
    let step = match step {
        ReplaceStep::Joining => "is catching up",
        ReplaceStep::Swapping => "is taking its place",
        ReplaceStep::Repairing => "has taken its place, and its chunks are being copied to it",
    };
    format!("Node {new} replaces node {old}: it {step}. It goes on whether or not anybody waits.\n")
}
