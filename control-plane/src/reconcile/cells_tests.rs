//! A cell is stamped by whoever leads, one step at a time: the process may die after any of them.

use super::cells::CellKeeper;
use crate::{
    provision::local::{
        Local, LocalConfig,
        files::Surroundings,
        process::{End, Processes},
    },
    store::{command::Command, read, record::Cell},
    testing::{BLUEPRINT, BUILD, World},
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
    time::Duration,
};

pub(super) fn c2() -> CellId {
    "c2".parse().expect("a label")
}

/// A provisioner whose cell binary only waits, and whose load test writes the certificate that is in `signed.json`, if there is one.
pub(super) fn local(dir: &Path, world: &World) -> Local {
    let program = |name: &str, script: String| {
        let file = dir.join(name);
        fs::write(&file, script).expect("writable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).expect("ours");
    };
    program("bulkhead-cell", "#!/bin/sh\nexec sleep 600\n".into());
    let signed = dir.join("signed.json");
    let find_out = "while [ $# -gt 0 ]; do case \"$1\" in --out) out=\"$2\";; esac; shift; done";
    let script = format!("#!/bin/sh\n{find_out}\necho trying\ncp {} \"$out/certificate.json\"\n", signed.display());
    program("bulkhead-loadtest", script);
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
    let machine_token_file = dir.join("machine.token");
    let surroundings = Surroundings { control_plane: Vec::new(), machine_token_file, tls: None, rng };
    Local::new(config, surroundings, dir.into(), dir.join("certification.key"))
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
            build: BUILD.into(),
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
    let (directory, cells) = (api.directory.clone(), api.cells.clone());
    let keeper = CellKeeper::new(directory, cells, local.clone(), api.certifier.clone(), api.env.clone());
    keeper.pass().await.expect("readable");
}

pub(super) async fn request(world: &World, nodes: Vec<CellNode>) {
    let blueprint = Blueprint::parse(BLUEPRINT).expect("valid");
    let capacity = super::headroom::figures(&blueprint.capacity);
    let (blueprint, blueprint_hash, region) = ("dev".into(), blueprint.hash(), "us-east-1".into());
    world.propose(Command::RequestCell { cell: c2(), blueprint, blueprint_hash, region, capacity }).await;
    world.propose(Command::PlanCell { cell: c2(), nodes }).await;
}

/// As [`request`], brought to where accounts are taken.
pub(super) async fn stamp(world: &World, nodes: Vec<CellNode>) {
    request(world, nodes).await;
    for to in [CellState::Provisioning, CellState::Forming, CellState::Certifying] {
        world.advance("c2", to).await;
    }
    world.certify("c2", &world.certificate("c2")).await;
}

pub(super) async fn end_all(processes: &Processes, world: &World) {
    for run in processes.list().expect("readable") {
        processes.end(&run.name, End::Kill, &world.api.env.clock).await.expect("killed");
    }
}

/// Three pretended nodes of `c2`, and how often a group was formed of them.
async fn three(world: &World) -> (Vec<CellNode>, Arc<AtomicUsize>) {
    let formed = Arc::new(AtomicUsize::new(0));
    let mut nodes = Vec::new();
    for node in 1..=3 {
        nodes.push(pretended_node(world, node, Arc::clone(&formed)).await);
    }
    (nodes, formed)
}

/// Lives of a control plane, one pass each, until the cell is something that is waited for.
async fn live_until(world: &World, local: &Local, is_there: impl Fn(&CellState) -> bool) -> Vec<CellState> {
    let mut states: Vec<CellState> = Vec::new();
    let deadline = world.api.env.clock.now() + Duration::from_secs(120);
    loop {
        let now = record(world).state;
        if states.last() != Some(&now) {
            states.push(now.clone());
        }
        if is_there(&now) {
            return states;
        }
        assert!(world.api.env.clock.now() < deadline, "{states:?}");
        one_life(world, local).await;
    }
}

fn steps(world: &World) -> Vec<String> {
    let operation = record(world).more.operation.expect("it is watched");
    let found = read::operation(&world.api.directory.local_view(), operation).expect("readable").expect("kept");
    found.steps.into_iter().map(|step| step.what).collect()
}

#[tokio::test]
async fn a_stamp_that_dies_after_every_step_comes_to_the_same_end_with_the_same_processes() {
    let (world, dir) = (World::start().await, tempfile::tempdir().expect("a temporary directory"));
    let local = local(dir.path(), &world);
    fs::write(dir.path().join("signed.json"), world.certificate("c2")).expect("writable");
    let (nodes, formed) = three(&world).await;
    request(&world, nodes).await;
    let states = live_until(&world, &local, |state| *state == CellState::Active).await;
    use CellState::{Active, Certifying, Forming, Provisioning, Requested};
    assert_eq!(states, [Requested, Provisioning, Forming, Certifying, Active]);
    let processes = Processes::new(dir.path().join("run"));
    let pids = || {
        processes.list().expect("readable").iter().map(|run| (run.name.clone(), run.instance.pid)).collect::<Vec<_>>()
    };
    let started = pids();
    one_life(&world, &local).await;
    assert_eq!(started.len(), 1 + 3, "the node of c1 and those of c2: {started:?}");
    assert_eq!(pids(), started, "a later life adopts what an earlier one started");
    assert_eq!(formed.load(Ordering::SeqCst), 1);
    let steps = steps(&world);
    for part in ["requested", "addresses planned", "starting", "forming", "certification began", "certified"] {
        assert!(steps.iter().any(|step| step.contains(part)), "{part} is not in {steps:?}");
    }
    assert_eq!(record(&world).unvouched(world.api.env.clock.wall()), None);
    end_all(&processes, &world).await;
}

#[tokio::test]
async fn a_cell_whose_certificate_does_not_hold_fails_with_the_reason_and_is_torn_down_or_resumed() {
    let (world, dir) = (World::start().await, tempfile::tempdir().expect("a temporary directory"));
    let local = local(dir.path(), &world);
    let other = world.certificate("c2").replace(BUILD, "0.0.9");
    fs::write(dir.path().join("signed.json"), other).expect("writable");
    let (nodes, _) = three(&world).await;
    request(&world, nodes).await;
    let failed = |state: &CellState| matches!(state, CellState::Failed { .. });
    live_until(&world, &local, failed).await;
    assert!(matches!(record(&world).state, CellState::Failed { why } if why.contains("tampered with")));
    assert_eq!(world.api.directory.local_cell(&c2()).expect("readable").map(|cell| cell.nodes.len()), Some(3));

    fs::write(dir.path().join("signed.json"), world.certificate("c2")).expect("writable");
    world.pass(Duration::from_secs(1));
    world.propose(Command::ResumeCell { cell: c2() }).await;
    live_until(&world, &local, |state| *state == CellState::Active).await;
    end_all(&Processes::new(dir.path().join("run")), &world).await;
}

#[tokio::test]
async fn a_cell_that_failed_is_torn_down_and_leaves_nothing_behind() {
    let (world, dir) = (World::start().await, tempfile::tempdir().expect("a temporary directory"));
    let local = local(dir.path(), &world);
    let (nodes, _) = three(&world).await;
    request(&world, nodes).await;
    live_until(&world, &local, |state| matches!(state, CellState::Failed { .. })).await;
    let why = match record(&world).state {
        CellState::Failed { why } => why,
        other => panic!("{other:?}"),
    };
    assert!(
        why.contains("certification failed") && why.contains("signed.json"),
        "it says what the load test said: {why}"
    );
    world.propose(Command::DismantleCell { cell: c2(), forget: true }).await;
    one_life(&world, &local).await;
    assert_eq!(world.api.directory.local_cell(&c2()).expect("readable"), None);
    let processes = Processes::new(dir.path().join("run"));
    let left: Vec<_> = processes.list().expect("readable").into_iter().filter(|run| run.cell == Some(c2())).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!world.cells_dir().join("c2").exists());
    end_all(&processes, &world).await;
}
