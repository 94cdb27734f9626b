//! Real processes of this machine: started once, found again, ended only when they are ours.

use super::{End, Hold, Processes, Spec, Started};
use crate::provision::local::run_file::{Instance, Role, RunFile};
use bulkhead_model::NodeId;
use bulkhead_service::env::Clock;
use std::{collections::BTreeMap, fs};
use tempfile::TempDir;

fn sleeper(dir: &TempDir) -> (Processes, Spec) {
    let spec = Spec {
        name: "c1-1".into(),
        role: Role::Cell,
        cell: None,
        az: None,
        node: NodeId(1),
        argv: vec!["sleep".into(), "600".into()],
        addresses: BTreeMap::new(),
        log: dir.path().join("logs/c1-1"),
    };
    (Processes::new(dir.path().join("run")), spec)
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

#[tokio::test]
async fn a_process_is_started_once_and_found_again_by_whoever_comes_later() {
    let dir = temporary();
    let (processes, spec) = sleeper(&dir);
    assert_eq!(processes.start(&spec, Hold::Respect).expect("started"), Started::Now);
    let first = processes.get("c1-1").expect("recorded");
    let later = Processes::new(dir.path().join("run"));
    assert_eq!(later.start(&spec, Hold::Respect).expect("found"), Started::Already);
    assert_eq!(later.get("c1-1").expect("recorded"), first);
    assert!(first.is_alive());
    later.end("c1-1", End::Kill, &Clock::system()).await.expect("killed");
    assert!(!first.is_alive());
}

#[tokio::test]
async fn what_an_operator_stopped_stays_stopped_until_an_operator_starts_it() {
    let dir = temporary();
    let (processes, spec) = sleeper(&dir);
    processes.start(&spec, Hold::Respect).expect("started");
    processes.end("c1-1", End::Stop, &Clock::system()).await.expect("stopped");
    assert_eq!(processes.start(&spec, Hold::Respect).expect("looked at"), Started::Held);
    let run = processes.get("c1-1").expect("recorded");
    assert!(run.held && !run.is_alive());
    assert_eq!(processes.start_again(run).expect("started"), Started::Now);
    assert!(!processes.get("c1-1").expect("recorded").held);
    processes.end("c1-1", End::Kill, &Clock::system()).await.expect("killed");
}

#[tokio::test]
async fn a_process_that_only_has_the_recorded_pid_is_never_signalled() {
    let dir = temporary();
    let (processes, spec) = sleeper(&dir);
    processes.start(&spec, Hold::Respect).expect("started");
    let run = processes.get("c1-1").expect("recorded");
    let earlier = Instance { start_ticks: run.instance.start_ticks - 1, ..run.instance.clone() };
    processes.save(&RunFile { instance: earlier, ..run.clone() }).expect("written");
    processes.end("c1-1", End::Kill, &Clock::system()).await.expect("nothing to do");
    assert!(run.is_alive(), "another's process was killed");
    processes.save(&run).expect("written");
    processes.end("c1-1", End::Kill, &Clock::system()).await.expect("killed");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_and_an_unknown_process_gets_the_list() {
    let dir = temporary();
    let (processes, spec) = sleeper(&dir);
    let absent = Spec { argv: vec!["/nowhere/bulkhead-cell".into()], ..spec.clone() };
    let error = processes.start(&absent, Hold::Respect).expect_err("absent").to_string();
    assert!(error.contains("c1-1 cannot be started (/nowhere/bulkhead-cell)"), "{error}");
    processes.start(&spec, Hold::Respect).expect("started");
    let error = processes.get("c9-9").expect_err("unknown").to_string();
    assert!(error.contains("no process \"c9-9\"") && error.contains("c1-1"), "{error}");
    processes.end("c1-1", End::Kill, &Clock::system()).await.expect("killed");
    assert!(fs::metadata(&spec.log).is_ok(), "its output has a log");
}
