//! A cell is stamped by whoever leads, one step at a time: the process may die after any of them.

use super::cells::CellKeeper;
use crate::{
    provision::local::{
        Local, LocalConfig,
        files::Surroundings,
        process::{End, Processes},
    },
    store::{command::Command, read, record::Cell},
    testing::World,
};
use axum::{
    Json, Router,
    routing::{get, post},
};
use bulkhead_model::{
    Blueprint, CellId, NodeId,
    api::{
        cell::{CellUsage, NodeStatus},
        control_plane::{CellNode, CellState},
    },
};
use bulkhead_service::http::{self, Options};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const BLUEPRINT: &str = include_str!("../../../blueprints/dev.toml");

pub(super) fn c2() -> CellId {
    "c2".parse().expect("a label")
}

/// A provisioner whose cell binary only waits.
pub(super) fn local(dir: &Path, world: &World) -> Local {
    let binary = dir.join("bulkhead-cell");
    fs::write(&binary, "#!/bin/sh\nexec sleep 600\n").expect("writable");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o700)).expect("ours");
    fs::write(dir.join("dev.toml"), BLUEPRINT).expect("writable");
    let config = LocalConfig {
        dir: world.cells_dir(),
        run: dir.join("run"),
        binaries: dir.into(),
        port_base: 9100,
        hosts: Vec::new(),
        region: "us-east-1".into(),
        domains: Vec::new(),
        otlp_endpoint: None,
    };
    let rng = world.api.env.rng.clone();
    let surroundings = Surroundings { control_plane: Vec::new(), machine_token_file: dir.join("machine.token"), rng };
    Local::new(config, surroundings, dir.into())
}

/// What a node answers: not ready before the group is formed.
async fn pretended_node(world: &World, node: u64, formed: Arc<AtomicUsize>) -> CellNode {
    let az: bulkhead_model::Az = format!("az-{node}").parse().expect("a label");
    let (status_az, seen) = (az.clone(), Arc::clone(&formed));
    let status = move || {
        let ready = seen.load(Ordering::SeqCst) > 0;
        let status = NodeStatus {
            cell: c2(),
            node: NodeId(node),
            az: status_az.clone(),
            blueprint_hash: String::new(),
            build: String::new(),
            ready,
            waits_for: Vec::new(),
            leader: None,
            term: 0,
            applied: 0,
            members: Vec::new(),
            learners: Vec::new(),
            wiped: false,
            missing_copies: None,
            usage: CellUsage::default(),
        };
        std::future::ready(Json(status))
    };
    let form = move || {
        formed.fetch_add(1, Ordering::SeqCst);
        std::future::ready(())
    };
    let routes = Router::new().route("/admin/v1/status", get(status)).route("/admin/v1/form", post(form));
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let running = http::serve(&world.api.env, any, Options::new("node"), routes).await.expect("a free port");
    CellNode { node: NodeId(node), az, s3: any, admin: running.address, peer: any }
}

pub(super) fn record(world: &World) -> Cell {
    read::cell(&world.api.directory.local_view(), &c2()).expect("readable").expect("stamped")
}

/// One pass of a control plane that was just started, and dies right after.
pub(super) async fn one_life(world: &World, local: &Local) {
    let api = &world.api;
    let keeper = CellKeeper::new(api.directory.clone(), api.cells.clone(), local.clone(), api.env.clone());
    keeper.pass().await.expect("readable");
}

pub(super) async fn stamp(world: &World, nodes: Vec<CellNode>) {
    let blueprint = Blueprint::parse(BLUEPRINT).expect("valid");
    let (hash, capacity) = (blueprint.hash(), blueprint.capacity.accounts);
    let command = Command::StampCell { cell: c2(), blueprint: "dev".into(), blueprint_hash: hash, capacity };
    world.propose(command).await;
    world.propose(Command::PlanCell { cell: c2(), nodes }).await;
}

pub(super) async fn end_all(processes: &Processes, world: &World) {
    for run in processes.list().expect("readable") {
        processes.end(&run.name, End::Kill, &world.api.env.clock).await.expect("killed");
    }
}

#[tokio::test]
async fn a_stamp_that_dies_after_every_step_comes_to_the_same_end_with_the_same_processes() {
    let (world, dir) = (World::start().await, tempfile::tempdir().expect("a temporary directory"));
    let local = local(dir.path(), &world);
    let formed = Arc::new(AtomicUsize::new(0));
    let mut nodes = Vec::new();
    for node in 1..=3 {
        nodes.push(pretended_node(&world, node, Arc::clone(&formed)).await);
    }
    stamp(&world, nodes).await;
    let mut states = Vec::new();
    one_life(&world, &local).await;
    let processes = Processes::new(dir.path().join("run"));
    let pids = || {
        processes.list().expect("readable").iter().map(|run| (run.name.clone(), run.instance.pid)).collect::<Vec<_>>()
    };
    let started = pids();
    for _ in 0..4 {
        states.push(record(&world).state);
        one_life(&world, &local).await;
    }
    assert_eq!(started.len(), 1 + 3, "the node of c1 and those of c2: {started:?}");
    assert_eq!(pids(), started, "a later life adopts what an earlier one started");
    assert_eq!(states, [CellState::Forming, CellState::Forming, CellState::Active, CellState::Active]);
    assert_eq!(formed.load(Ordering::SeqCst), 1);
    end_all(&processes, &world).await;
}
