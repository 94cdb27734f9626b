//! A replacement is carried on by whoever leads, one step at a time: the process may die after any of them.

use super::cells_tests::{c2, end_all, local, one_life, record, stamp};
use crate::{provision::local::process::Processes, store::command::Command, testing::World};
use axum::{
    Json, Router,
    extract::State,
    routing::{get, post, put},
};
use bulkhead_model::{
    NodeId,
    api::{
        cell::{CellUsage, Member, NodeStatus, Voters},
        control_plane::CellNode,
    },
};
use bulkhead_service::http::{self as server, Options};
use http::StatusCode;
use parking_lot::Mutex;
use std::{net::SocketAddr, sync::Arc};

/// The group all pretended nodes belong to.
struct Group {
    leader: u64,
    term: u64,
    voters: Vec<u64>,
    learners: Vec<u64>,
    missing: u64,
}

type Shared = Arc<Mutex<Group>>;

fn member(node: u64) -> Member {
    let az = "az-a".parse().expect("a label");
    Member { node: NodeId(node), az, peer: ([127, 0, 0, 1], 1).into() }
}

fn status(node: u64, group: &Group) -> NodeStatus {
    NodeStatus {
        cell: c2(),
        node: NodeId(node),
        az: "az-a".parse().expect("a label"),
        blueprint_hash: String::new(),
        build: String::new(),
        ready: true,
        waits_for: Vec::new(),
        leader: Some(NodeId(group.leader)),
        term: group.term,
        applied: 10,
        members: group.voters.iter().copied().map(member).collect(),
        learners: group.learners.iter().copied().map(member).collect(),
        wiped: false,
        missing_copies: Some(group.missing),
        usage: CellUsage::default(),
    }
}

async fn add(State((node, group)): State<(u64, Shared)>, Json(member): Json<Member>) -> StatusCode {
    let mut group = group.lock();
    if group.leader != node {
        return StatusCode::CONFLICT;
    }
    group.learners.push(member.node.0);
    StatusCode::NO_CONTENT
}

async fn set_voters(State((node, group)): State<(u64, Shared)>, Json(body): Json<Voters>) -> StatusCode {
    let mut group = group.lock();
    let voters: Vec<u64> = body.voters.iter().map(|node| node.0).collect();
    if group.leader != node {
        return StatusCode::CONFLICT;
    }
    if !voters.contains(&node) {
        (group.leader, group.term) = (voters[0], group.term + 1);
        return StatusCode::CONFLICT;
    }
    group.learners.retain(|learner| !voters.contains(learner));
    group.voters = voters;
    group.missing = 1;
    StatusCode::NO_CONTENT
}

/// Answers as a node of the group, at `at`.
async fn pretend(world: &World, node: u64, group: &Shared, at: SocketAddr) -> CellNode {
    let seen = Arc::clone(group);
    let says = move || std::future::ready(Json(status(node, &seen.lock())));
    let routes = Router::new()
        .route("/admin/v1/status", get(says))
        .route("/admin/v1/members", post(add))
        .route("/admin/v1/voters", put(set_voters))
        .with_state((node, Arc::clone(group)));
    let running = server::serve(&world.api.env, at, Options::new("node"), routes).await.expect("a free port");
    let az = format!("az-{node}").parse().expect("a label");
    CellNode { node: NodeId(node), az, s3: at, admin: running.address, peer: at }
}

#[tokio::test]
async fn a_replacement_that_dies_after_every_step_comes_to_its_end() {
    let (world, dir) = (World::start().await, tempfile::tempdir().expect("a temporary directory"));
    let (local, any) = (local(dir.path(), &world), ([127, 0, 0, 1], 0).into());
    let group = Group { leader: 1, term: 1, voters: vec![1, 2, 3], learners: Vec::new(), missing: 0 };
    let group = Arc::new(Mutex::new(group));
    let mut nodes = Vec::new();
    for node in 1..=3 {
        nodes.push(pretend(&world, node, &group, any).await);
    }
    stamp(&world, nodes).await;
    while record(&world).state != bulkhead_model::api::control_plane::CellState::Active {
        one_life(&world, &local).await;
    }
    one_life(&world, &local).await;
    let processes = Processes::new(dir.path().join("run"));
    let alive = |name: &str| processes.find(name).expect("readable").is_some_and(|run| run.is_alive());
    assert!(alive("c2-1") && alive("c2-3"));

    world.propose(Command::ReplaceNode { cell: c2(), node: NodeId(1) }).await;
    one_life(&world, &local).await;
    let planned = record(&world).replacement.and_then(|replacement| replacement.planned).expect("planned first");
    assert_eq!((planned.node, planned.az.as_str()), (NodeId(4), "az-1"));
    pretend(&world, 4, &group, planned.admin).await;

    let mut lives = 0;
    while record(&world).nodes.iter().all(|node| node.node != NodeId(4)) {
        one_life(&world, &local).await;
        lives += 1;
        assert!(lives < 20, "{:?}", record(&world).replacement);
        // The old one goes only after it has handed over the lead.
        assert!(alive("c2-1") || group.lock().leader != 1);
    }
    assert_eq!(group.lock().voters, [2, 3, 4]);
    assert!(!alive("c2-1") && alive("c2-4"));
    for _ in 0..3 {
        one_life(&world, &local).await;
        assert!(record(&world).replacement.is_some(), "a copy is missing");
    }
    group.lock().missing = 0;
    one_life(&world, &local).await;
    assert_eq!(record(&world).replacement, None);
    assert!(processes.find("c2-1").expect("readable").is_none(), "its process is forgotten");
    one_life(&world, &local).await;
    assert!(!alive("c2-1") && alive("c2-4"));
    assert!(world.cells_dir().join("c2/1").exists(), "its directory is an operator's to delete");
    end_all(&processes, &world).await;
}
