//! How the nodes of a cell tell each other what they are asked for, and lend each other their shares: `POST /limits/demand`.
//!
//! The question is a bounded list of accounts with their recent demand, the answer what the asker may use of the answerer's share
//! for a while. Nothing is retried: the next round asks anew, and who is not answered uses what is its own.

use super::{Limiter, share::PerDimension};
use crate::limits::{DEMANDS_PER_REPORT, LIMIT_ROUND, LIMIT_ROUND_PATIENCE, REPORT_BYTES_MAX};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::post,
};
use bulkhead_model::{AccountId, NodeId, api::cell::Member};
use bulkhead_replica::Replica;
use bulkhead_service::{
    Env,
    auth::{self, Token},
    client::{Client, ClientError, full},
};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, atomic::Ordering};

const PATH: &str = "/limits/demand";

/// Accounts with a figure for each dimension. Of a question: demand per second; of an answer: millionths of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Message {
    node: NodeId,
    accounts: Vec<(AccountId, PerDimension)>,
}

impl Message {
    fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("numbers, which postcard always encodes")
    }

    /// What a peer sent, if it is whole and within its bound.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (message, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && message.accounts.len() <= DEMANDS_PER_REPORT).then_some(message)
    }
}

/// The route, for those who present one of `tokens`.
pub fn routes(limiter: Limiter, node: NodeId, tokens: Arc<[Token]>) -> Router {
    Router::new()
        .route(PATH, post(answer))
        .route_layer(from_fn_with_state(tokens, auth::require))
        .layer(DefaultBodyLimit::max(REPORT_BYTES_MAX))
        .with_state((limiter, node))
}

async fn answer(State((limiter, node)): State<(Limiter, NodeId)>, body: Bytes) -> Response {
    let Some(Message { node: peer, accounts }) = Message::decode(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    Message { node, accounts: limiter.lend(peer, accounts) }.encode().into_response()
}

/// Asks all peers once a round, until the node stops.
pub async fn run(limiter: Limiter, replica: Replica, node: NodeId, client: Client, env: Env) {
    let stopping = env.tasks.stopping();
    loop {
        let begun = env.clock.now();
        let status = replica.status();
        let peers: Vec<Member> =
            status.members.into_iter().chain(status.learners).filter(|member| member.node != node).collect();
        limiter.0.nodes.store(u32::try_from(peers.len() + 1).unwrap_or(u32::MAX), Ordering::Relaxed);
        let accounts = limiter.close_round();
        metrics::gauge!("account_limits_active").set(u32::try_from(limiter.active()).unwrap_or(u32::MAX));
        if !accounts.is_empty() {
            let question = Message { node, accounts }.encode();
            futures::future::join_all(peers.iter().map(|peer| ask(&limiter, &client, &env, peer, &question))).await;
        }
        let rest = LIMIT_ROUND.saturating_sub(env.clock.now().saturating_duration_since(begun));
        if stopping.run_until_cancelled(tokio::time::sleep(rest)).await.is_none() {
            return;
        }
    }
}

async fn ask(limiter: &Limiter, client: &Client, env: &Env, peer: &Member, question: &[u8]) {
    let asked = env.clock.now();
    match call(client, peer, question).await {
        Ok(Message { accounts, .. }) => limiter.borrow(peer.node, accounts, asked),
        Err(error) => tracing::debug!(peer = %peer.node, %error, "a peer lends nothing this time"),
    }
}

async fn call(client: &Client, peer: &Member, question: &[u8]) -> Result<Message, ClientError> {
    let request = client.request(Method::POST, peer.peer, PATH, full(question.to_vec()))?;
    let answer = client.call(request, LIMIT_ROUND_PATIENCE, REPORT_BYTES_MAX).await?;
    let message = (answer.status() == StatusCode::OK).then(|| Message::decode(answer.body())).flatten();
    message.ok_or_else(|| ClientError::Malformed(format!("{}: not a list of loans", answer.status())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::share::DIMENSIONS;

    fn message(accounts: usize) -> Message {
        let account = |n: usize| AccountId::new(AccountId::FIRST + n as u64).expect("in range");
        let accounts = (0..accounts).map(|n| (account(n), [u32::MAX; DIMENSIONS])).collect();
        Message { node: NodeId(3), accounts }
    }

    #[test]
    fn the_largest_message_fits_and_a_larger_one_is_refused() {
        let largest = message(DEMANDS_PER_REPORT);
        assert!(largest.encode().len() <= REPORT_BYTES_MAX, "{} bytes", largest.encode().len());
        assert_eq!(Message::decode(&largest.encode()), Some(largest));
        assert_eq!(Message::decode(&message(DEMANDS_PER_REPORT + 1).encode()), None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let bytes = message(1).encode();
        let longer = [&bytes[..], &[0]].concat();
        // A count of 2⁶³ accounts, and nothing of them.
        let boastful = [3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        for bad in [&[][..], &bytes[..bytes.len() - 1], &longer, &boastful] {
            assert_eq!(Message::decode(bad), None);
        }
    }
}
