//! `dev down`: stops what runs, and touches nothing else.

use crate::{
    cli::{CliError, Output},
    provision::local::{
        certifier,
        process::{End, Processes},
    },
};
use bulkhead_service::env::Clock;
use std::path::Path;

/// Stops control plane and router, then the cells, each after its requests in flight. The data stays.
///
/// # Errors
/// When a process does not end.
pub async fn down(data: &Path) -> Result<Output, CliError> {
    let (processes, clock) = (Processes::new(data.join("run")), Clock::system());
    let mut roles = processes.list()?;
    roles.retain(|run| run.is_alive());
    let stopped = roles.len();
    // The list is in order of roles: who starts and uses the cells ends before them.
    while let Some(role) = roles.first().map(|run| run.role) {
        let now: Vec<_> = roles.extract_if(.., |run| run.role == role).map(|run| run.name).collect();
        futures::future::try_join_all(now.iter().map(|name| processes.end(name, End::Stop, &clock))).await?;
    }
    let certifications = certifier::end_all(&data.join("cells"), &clock).await?;
    let stopped = stopped + certifications;
    Ok(Output::done(match stopped {
        0 => format!("Nothing of {} was running.", data.display()),
        count => format!("Stopped {count} processes. The data stays in {}.", data.display()),
    }))
}
