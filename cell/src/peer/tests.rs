//! Chunks over real sockets.

use super::{PeerClient, routes, wire};
use crate::chunks::{
    ChunkId, ChunkStore, CopyError, LocalConfig, ReadError, Topology,
    disk::FaultyDisk,
    payload::{BLOCK_BYTES, Chunk, Payload},
    remote::Remote as _,
};
use axum::Router;
use bulkhead_model::{AccountId, NodeId, api::cell::Member, headers};
use bulkhead_service::{
    Env,
    auth::Token,
    client::{Client, full},
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};

const LEN: u32 = 300_000;
const ID: ChunkId = ChunkId { blob: (9 << 64) | 0xfeed, index: 3 };

fn token(letter: &str) -> Token {
    Token::new(&letter.repeat(32)).expect("long enough")
}

fn client(letter: &str) -> Client {
    Client::new(Some(&token(letter)), None)
}

fn peers(letter: &str) -> PeerClient {
    PeerClient::new(client(letter), Env::system().clock)
}

fn deadline() -> Instant {
    Env::system().clock.now() + Duration::from_secs(30)
}

fn data() -> Bytes {
    (0..LEN).map(|at| u8::try_from(at % 251).expect("below 251")).collect::<Vec<_>>().into()
}

fn account() -> AccountId {
    AccountId::new(123_456_789_012).expect("12 digits")
}

fn chunk() -> Chunk {
    Chunk { id: ID, account: account(), payload: Payload::seal(data()) }
}

fn member(node: u64, peer: SocketAddr) -> Member {
    let az = ["az-a", "az-b", "az-c"][node as usize % 3].parse().expect("a label");
    Member { node: NodeId(node), az, peer }
}

async fn store(node: u64) -> ChunkStore {
    let config = LocalConfig { node: NodeId(node), extent_bytes: 2 << 20, chunk_bytes: LEN };
    let disk = Arc::new(FaultyDisk::new(node, 1 << 40));
    ChunkStore::open(config, disk, Arc::new(peers("p")), Env::system()).await.expect("opens")
}

async fn listen(env: &Env, router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    env.tasks.spawn("peer", async move { axum::serve(listener, router).await.expect("serves") });
    address
}

async fn serve(env: &Env, store: ChunkStore) -> SocketAddr {
    listen(env, routes(store, env.clock.clone(), Arc::new([token("p")]))).await
}

#[tokio::test]
async fn a_cell_of_three_stores_and_serves_over_sockets() {
    let env = Env::system();
    let mut stores = Vec::new();
    let mut members = Vec::new();
    for node in 1..=3 {
        stores.push(store(node).await);
        members.push(member(node, serve(&env, stores[stores.len() - 1].clone()).await));
    }
    for store in &stores {
        store.set_topology(Topology::new(members.clone()));
    }
    stores[0].put(ID, account(), data(), deadline()).await.expect("stored");
    assert!(stores.iter().filter(|store| store.local().has(ID)).count() >= 2);

    let stranger = store(1).await;
    stranger.set_topology(Topology::new(members));
    for range in [0..LEN, 1..2, 65_535..65_537, LEN - 1..LEN] {
        let expected = data().slice(range.start as usize..range.end as usize);
        assert_eq!(stranger.get(ID, range, deadline()).await, Ok(expected));
    }
}

#[tokio::test]
async fn a_stranger_without_the_token_is_refused() {
    let (env, store) = (Env::system(), store(1).await);
    let peer = member(1, serve(&env, store.clone()).await);
    let put = peers("x").put(&peer, &chunk(), deadline()).await;
    assert!(matches!(&put, Err(CopyError::Protocol(why)) if why.starts_with("401")), "{put:?}");
    let get = peers("x").get(&peer, ID, 0..1, deadline()).await;
    assert!(matches!(&get, Err(ReadError::Protocol(why)) if why.starts_with("401")), "{get:?}");
    assert!(!store.local().has(ID));
}

/// A PUT as [`PeerClient`] sends it, but with these headers and this body.
async fn raw_put(peer: SocketAddr, headers: HeaderMap, body: Bytes) -> StatusCode {
    let client = client("p");
    let mut request = client.request(Method::PUT, peer, &wire::path(ID), full(body)).expect("a request");
    request.headers_mut().extend(headers);
    client.call(request, Duration::from_secs(30), 1 << 20).await.expect("an answer").status()
}

#[tokio::test]
async fn bytes_that_changed_on_the_way_are_refused_and_not_stored() {
    let (env, store) = (Env::system(), store(1).await);
    let peer = serve(&env, store.clone()).await;
    let mut headers = HeaderMap::new();
    headers.insert(headers::ACCOUNT, account().to_string().parse().expect("digits"));
    headers.insert(wire::CRCS, wire::crcs_header(chunk().payload.crcs()));
    let mut changed = data().to_vec();
    changed[BLOCK_BYTES + 1] ^= 1;
    assert_eq!(raw_put(peer, headers.clone(), changed.into()).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(raw_put(peer, headers.clone(), data().slice(1..)).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!store.local().has(ID));
    assert_eq!(raw_put(peer, headers, data()).await, StatusCode::NO_CONTENT);
    assert!(store.local().has(ID));
}

#[tokio::test]
async fn a_put_that_says_too_little_or_sends_too_much_is_refused() {
    let (env, store) = (Env::system(), store(1).await);
    let peer = serve(&env, store.clone()).await;
    assert_eq!(raw_put(peer, HeaderMap::new(), data()).await, StatusCode::BAD_REQUEST);
    let large = Payload::seal(vec![0; LEN as usize + 1].into());
    let mut headers = HeaderMap::new();
    headers.insert(headers::ACCOUNT, account().to_string().parse().expect("digits"));
    headers.insert(wire::CRCS, wire::crcs_header(large.crcs()));
    assert_eq!(raw_put(peer, headers, large.data().clone()).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!store.local().has(ID));
}

#[tokio::test]
async fn errors_keep_their_meaning_over_the_wire() {
    let (env, store) = (Env::system(), store(1).await);
    let peer = member(1, serve(&env, store.clone()).await);
    assert_eq!(peers("p").get(&peer, ID, 0..1, deadline()).await, Err(ReadError::Missing));
    peers("p").put(&peer, &chunk(), deadline()).await.expect("stored");
    let range = 0..LEN + 1;
    let behind = peers("p").get(&peer, ID, range.clone(), deadline()).await;
    assert_eq!(behind, Err(ReadError::Range { range, len: LEN }));
    let other = Chunk { payload: Payload::seal(data().slice(1..)), ..chunk() };
    assert_eq!(peers("p").put(&peer, &other, deadline()).await, Err(CopyError::Conflict));
}

#[tokio::test]
async fn blocks_that_do_not_match_their_crcs_are_not_handed_out() {
    let answer = || async {
        let mut headers = HeaderMap::new();
        headers.insert(wire::START, 0.into());
        headers.insert(wire::CRCS, wire::crcs_header(&[12_345]));
        (headers, "not what the CRC was computed from")
    };
    let env = Env::system();
    let peer = member(1, listen(&env, Router::new().route(&wire::path(ID), axum::routing::get(answer))).await);
    let read = peers("p").get(&peer, ID, 0..5, deadline()).await;
    assert!(matches!(read, Err(ReadError::Protocol(_))), "{read:?}");
}

#[tokio::test]
async fn a_dead_peer_is_unreachable_and_a_silent_one_costs_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let peer = member(1, silent.local_addr().expect("bound"));
    let soon = Env::system().clock.now() + Duration::from_millis(50);
    assert_eq!(peers("p").put(&peer, &chunk(), soon).await, Err(CopyError::Deadline));
    drop(silent);
    let put = peers("p").put(&peer, &chunk(), deadline()).await;
    assert!(matches!(put, Err(CopyError::Unreachable(_))), "{put:?}");
}
