//! Runs cases one after the other, those of a group on one cluster, and stops each cluster at the end of its group.
//!
//! Understands what `cargo test` passes: names to run only those cases that contain one, `--list`, and flags, which mean
//! nothing here.

use super::fleet::Fleet;
use bulkhead_loadtest::{clock, faults::Ground};
use futures::future::LocalBoxFuture;
use std::{process::ExitCode, time::Instant};

/// How a case went.
pub enum Verdict {
    Passed,
    /// Something this machine does not have is needed: said loudly, and not a failure.
    Skipped(String),
}

/// A case: what it shows, and how.
pub type Case = (&'static str, for<'a> fn(&'a Fleet) -> LocalBoxFuture<'a, anyhow::Result<Verdict>>);

/// Cases that share a cluster.
pub struct Group {
    pub name: &'static str,
    pub cases: &'static [Case],
    /// What the cluster stands on.
    pub ground: Ground,
}

/// Runs the cases that the arguments name, all when they name none.
pub fn main(groups: &[Group]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        groups.iter().flat_map(|group| group.cases).for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let runtime = tokio::runtime::Runtime::new().expect("a process may have threads");
    let mut failed = Vec::new();
    for group in groups {
        let chosen: Vec<&Case> = group.cases.iter().filter(|(name, _)| wanted(name)).collect();
        if !chosen.is_empty() {
            failed.extend(runtime.block_on(run(group, &chosen)));
        }
    }
    // Once more at the end, below the logs.
    failed.iter().for_each(|why| println!("FAILED {why}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Answers which cases failed, and why.
async fn run(group: &Group, cases: &[&Case]) -> Vec<String> {
    let (Group { name: group, ground, .. }, begun) = (group, clock::now());
    let fleet = match Fleet::start(*ground).await {
        Ok(fleet) => fleet,
        Err(error) => {
            let why = format!("{group}: the cluster did not start: {error:#}");
            println!("{why}");
            return vec![why];
        }
    };
    println!("{group}: cluster up in {:.1} s, running {} cases", seconds_since(begun), cases.len());
    let mut failed = Vec::new();
    for (name, case) in cases {
        let begun = clock::now();
        let verdict = case(&fleet).await;
        let seconds = seconds_since(begun);
        match verdict {
            Ok(Verdict::Passed) => println!("test {name} ... ok ({seconds:.1} s)"),
            Ok(Verdict::Skipped(why)) => println!("test {name} ... SKIPPED: {why}"),
            Err(error) => {
                println!("test {name} ... FAILED ({seconds:.1} s)\n{error:#}");
                failed.push(format!("{name}: {error:#}"));
            }
        }
    }
    if !failed.is_empty() {
        println!("{group}: {} of {} cases failed\n{}", failed.len(), cases.len(), fleet.logs());
    }
    failed
}

fn seconds_since(begun: Instant) -> f64 {
    (clock::now() - begun).as_secs_f64()
}
