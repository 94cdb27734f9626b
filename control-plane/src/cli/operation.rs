//! `bulkhead operation`, and how every command that begins long work watches it.

use super::{
    CliError, Connection, Output,
    output::{table, time},
};
use crate::limits::{POLL_PAUSE, WATCH_SECONDS};
use bulkhead_model::api::control_plane::{Operation, OperationKind, OperationState, OperationStep};
use bulkhead_service::env::Clock;
use clap::{Args, Subcommand};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the last operations: stamped and removed cells, purged accounts.
    #[command(after_help = "Example: bulkhead operation list")]
    List,
    /// Show one operation with all its steps.
    #[command(after_help = "Example: bulkhead operation show 7")]
    Show { operation: u64 },
    /// Watch an operation until it ends.
    #[command(after_help = "Example: bulkhead operation watch 7")]
    Watch {
        operation: u64,
        #[command(flatten)]
        wait: Wait,
    },
}

/// How long to watch.
#[derive(Debug, Clone, Copy, Args)]
pub struct Wait {
    /// How long to watch, in seconds; 0 only begins it. It goes on whether or not anybody watches.
    #[arg(long, default_value_t = WATCH_SECONDS)]
    pub wait: u64,
}

impl Command {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        match self {
            Self::List => {
                let all: Vec<Operation> = api.get("/v1/operations").await?;
                Ok(Output::new(list_text(&all), &all))
            }
            Self::Show { operation } => {
                let one: Operation = api.get(&format!("/v1/operations/{operation}")).await?;
                Ok(Output::new(show_text(&one), &one))
            }
            Self::Watch { operation, wait } => {
                let one: Operation = api.get(&format!("/v1/operations/{operation}")).await?;
                let ended = watch(api, one, wait, "").await?;
                Ok(Output::new(show_text(&ended), &ended))
            }
        }
    }
}

/// Watches an operation, telling each step on standard error as it comes. One that fails is an error, with what can be done.
pub async fn watch(api: &Connection, begun: Operation, wait: Wait, hint: &str) -> Result<Operation, CliError> {
    let clock = Clock::system();
    let deadline = clock.now() + Duration::from_secs(wait.wait);
    let (mut operation, mut told) = (begun, None::<OperationStep>);
    loop {
        // Of many steps the last ones are kept.
        let new = told.as_ref().and_then(|told| operation.steps.iter().position(|step| step == told));
        for step in operation.steps.iter().skip(new.map_or(0, |at| at + 1)) {
            eprintln!("{}  {}: {}", time(step.at), operation.target, step.what);
        }
        told = operation.steps.last().cloned();
        match &operation.state {
            OperationState::Succeeded => return Ok(operation),
            OperationState::Failed { why } => {
                let target = &operation.target;
                let what = kind(operation.kind);
                return Err(CliError::Refused(format!("{what} {target} failed: {why}{hint}")));
            }
            OperationState::Running if wait.wait == 0 => return Ok(operation),
            OperationState::Running if clock.now() >= deadline => {
                let (what, target, id) = (kind(operation.kind), &operation.target, operation.id);
                let look = format!("it goes on; `bulkhead operation show {id}` says how far it is");
                return Err(CliError::Refused(format!("{what} {target} has not ended after {} s: {look}", wait.wait)));
            }
            OperationState::Running => tokio::time::sleep(POLL_PAUSE).await,
        }
        operation = api.get(&format!("/v1/operations/{}", operation.id)).await?;
    }
}

fn kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::StampCell => "stamping cell",
        OperationKind::DismantleCell => "removing cell",
        OperationKind::ReplaceNode => "replacing a node of",
        OperationKind::PurgeAccount => "purging account",
    }
}

fn state(state: &OperationState) -> &'static str {
    match state {
        OperationState::Running => "running",
        OperationState::Succeeded => "succeeded",
        OperationState::Failed { .. } => "failed",
    }
}

fn list_text(all: &[Operation]) -> String {
    let row = |one: &Operation| {
        let last = one.steps.last().map(|step| step.what.clone()).unwrap_or_default();
        let (what, id) = (format!("{} {}", kind(one.kind), one.target), one.id.to_string());
        [id, what, state(&one.state).into(), one.by.clone(), time(one.began_at), last]
    };
    let rows: Vec<_> = all.iter().rev().map(row).collect();
    table(["id", "what", "state", "by", "began", "last step"], &rows, "There was no long work yet.")
}

/// All steps of one operation.
pub fn show_text(one: &Operation) -> String {
    let mut text = format!("Operation {}: {} {} {}.\n", one.id, kind(one.kind), one.target, state(&one.state));
    for step in &one.steps {
        text.push_str(&format!("{}  {}\n", time(step.at), step.what));
    }
    if let OperationState::Failed { why } = &one.state {
        text.push_str(&format!("cause: {why}\n"));
    }
    text
}
