//! How the nodes of a cell tell each other of deaths: `POST /poison/deaths`, everything known one way and the other.
//!
//! Everything is small, and merging it twice changes nothing. A node asks the others before it serves tenants again.

use super::{Poison, judge::Known};
use crate::limits::{DEATHS_BYTES_MAX, DEATHS_PATIENCE, DEATHS_ROUND, DEATHS_ROUND_QUIET, DEATHS_YOUNG};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::post,
};
use bulkhead_model::api::cell::Member;
use bulkhead_replica::Replica;
use bulkhead_service::{
    Env,
    auth::{self, Token},
    client::{Client, ClientError, full},
};
use http::{Method, StatusCode};
use std::sync::Arc;

const PATH: &str = "/poison/deaths";

/// The route, for those who present one of `tokens`.
pub fn routes(poison: Poison, tokens: Arc<[Token]>) -> Router {
    Router::new()
        .route(PATH, post(answer))
        .route_layer(from_fn_with_state(tokens, auth::require))
        .layer(DefaultBodyLimit::max(DEATHS_BYTES_MAX))
        .with_state(poison)
}

async fn answer(State(poison): State<Poison>, body: Bytes) -> Response {
    let Some(known) = decode(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    poison.merge(known);
    encode(&poison.known()).into_response()
}

fn encode(known: &Known) -> Vec<u8> {
    postcard::to_stdvec(known).expect("plain data, which postcard always encodes")
}

fn decode(bytes: &[u8]) -> Option<Known> {
    let (known, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(known)
}

/// Asks all other nodes once, those that answer in time.
pub async fn round(poison: &Poison, replica: &Replica, client: &Client) {
    let status = replica.status();
    let all = status.members.into_iter().chain(status.learners);
    let peers: Vec<Member> = all.filter(|member| member.node != poison.0.node).collect();
    let asked = peers.iter().map(|peer| async move {
        match ask(poison, client, peer).await {
            Ok(known) => poison.merge(known),
            Err(error) => tracing::debug!(peer = %peer.node, %error, "a peer tells of no deaths"),
        }
    });
    futures::future::join_all(asked).await;
}

async fn ask(poison: &Poison, client: &Client, peer: &Member) -> Result<Known, ClientError> {
    let request = client.request(Method::POST, peer.peer, PATH, full(encode(&poison.known())))?;
    let answer = client.call(request, DEATHS_PATIENCE, DEATHS_BYTES_MAX).await?;
    let known = (answer.status() == StatusCode::OK).then(|| decode(answer.body())).flatten();
    known.ok_or_else(|| ClientError::Malformed(format!("{}: not a list of deaths", answer.status())))
}

/// Tells and asks, until the node stops.
pub async fn run(poison: Poison, replica: Replica, client: Client, env: Env) {
    let stopping = env.tasks.stopping();
    let begun = env.clock.now();
    loop {
        round(&poison, &replica, &client).await;
        poison.pass_time(env.clock.wall());
        poison.remember_kills();
        let quiet = poison.known() == Known::default() && env.clock.now() > begun + DEATHS_YOUNG;
        let pause = if quiet { DEATHS_ROUND_QUIET } else { DEATHS_ROUND };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        limits::{DEATHS_KEPT_MAX, LIFTED_MAX, SHAPES_PER_DEATH_MAX},
        poison::{Shape, judge::Death},
    };
    use bulkhead_model::{AccountId, NodeId, Timestamp};

    #[test]
    fn all_that_is_ever_known_fits_a_message_and_what_is_none_is_refused() {
        let account = AccountId::new(AccountId::END - 1).expect("in range");
        let operation = "GetBucketLifecycleConfiguration".to_owned();
        let shape = Shape { account, operation, exact: u64::MAX, kind: u64::MAX };
        let death =
            Death { node: NodeId(u64::MAX), at: Timestamp(u64::MAX), shapes: vec![shape; SHAPES_PER_DEATH_MAX] };
        let lifted = vec![(u64::MAX, Timestamp(u64::MAX)); LIFTED_MAX];
        let known = Known { deaths: vec![death; DEATHS_KEPT_MAX], lifted };
        let bytes = encode(&known);
        assert!(bytes.len() <= DEATHS_BYTES_MAX, "{} bytes", bytes.len());
        assert_eq!(decode(&bytes), Some(known));
        assert_eq!((decode(&bytes[..bytes.len() - 1]), decode(&[&bytes[..], &[0]].concat())), (None, None));
    }
}
