//! Clients behind a router: each operation is tried on one node after the other under one request id, as the router does it,
//! until its outcome is known or it is given up.

use crate::{
    book::{Book, KEYS},
    host::{Parts, Up},
    net::{Act, HostId, Message, Moment, Wires},
};
use bulkhead_cell::{
    meta::command::Refusal,
    ops::{Caller, Cell, OpError},
};
use bulkhead_model::{AccountId, RequestId};
use bulkhead_service::Env;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};

pub const BUCKET: &str = "bucket";
/// How long a node has for one try.
const TRY: Duration = Duration::from_secs(4);
/// Longer than a node takes to give up by itself.
const ANSWER: Duration = Duration::from_secs(15);
/// The longest pause between two tries.
const PAUSE: Duration = Duration::from_millis(400);
const TRIES: usize = 12;

/// How an operation ended.
#[derive(Debug)]
pub enum Ended<T> {
    Done(T),
    /// Refused, and why. Nothing was done.
    Refused(Refusal),
    /// Certainly not executed.
    Not,
    /// Nobody knows.
    Unknown,
}

/// Why a try has no answer.
#[derive(Debug)]
enum NoAnswer {
    NotSent,
    Lost,
}

/// One client.
#[derive(Clone)]
pub struct Client {
    pub id: usize,
    pub env: Env,
    pub wires: Wires,
    pub book: Arc<Book>,
    /// Never gives up early.
    pub patient: bool,
    /// The longest pause between two operations.
    pub think: Duration,
}

impl Client {
    pub fn new(id: usize, env: Env, wires: Wires, book: Arc<Book>, think: Duration) -> Self {
        Self { id, env, wires, book, patient: id == 0, think }
    }

    /// One of the nodes, up or down.
    fn node(&self) -> HostId {
        let nodes = self.wires.0.lock().nodes.clone();
        nodes[usize::try_from(self.env.rng.below(nodes.len() as u64)).expect("few nodes")]
    }

    /// One of the keys.
    pub fn key(&self) -> &'static str {
        KEYS[usize::try_from(self.env.rng.below(KEYS.len() as u64)).expect("few keys")]
    }

    /// Tries `work` on nodes until there is an outcome.
    pub async fn persist<T, W>(&self, what: &str, work: W) -> Ended<T>
    where
        T: Send + 'static,
        W: Fn(Cell, Caller) -> BoxFuture<'static, Result<T, OpError>> + Clone + Send + 'static,
    {
        let request = RequestId(self.env.rng.u128());
        let tries = if !self.patient && self.env.rng.below(6) == 0 { 1 } else { TRIES };
        let mut open = false;
        for _ in 0..tries {
            let node = self.node();
            match self.attempt(node, request, what, work.clone()).await {
                Ok(Ok(done)) => return Ended::Done(done),
                Ok(Err(OpError::Refused(refusal))) => return Ended::Refused(refusal),
                Ok(Err(
                    OpError::NotExecuted(_) | OpError::SlowDown(_) | OpError::Overloaded(_) | OpError::DiskFull,
                ))
                | Err(NoAnswer::NotSent) => {}
                Ok(Err(OpError::Unknown(_))) | Err(NoAnswer::Lost) => open = true,
                Ok(Err(other)) => {
                    self.book.violation(format!("client {} {what}: node {node} says: {other}", self.id));
                    return Ended::Unknown;
                }
            }
            tokio::time::sleep(self.env.rng.jitter(PAUSE)).await;
        }
        if open { Ended::Unknown } else { Ended::Not }
    }

    async fn attempt<T, W>(
        &self,
        node: HostId,
        request: RequestId,
        what: &str,
        work: W,
    ) -> Result<Result<T, OpError>, NoAnswer>
    where
        T: Send + 'static,
        W: Fn(Cell, Caller) -> BoxFuture<'static, Result<T, OpError>> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        let slot = Arc::new(Mutex::new(Some(answer)));
        let label = format!("client {} {what} {:08x}", self.id, request.0 >> 96);
        let (of, wires, back) = (Arc::clone(&slot), self.wires.clone(), label.clone());
        let start = Box::new(move |up: &Up| {
            let Some(answer) = of.lock().take() else { return };
            let Some(Parts { cell, .. }) = up.parts.get().cloned() else {
                let end = Box::new(move || drop(answer.send(Err(NoAnswer::NotSent))));
                return wires.send(Message { from: node, to: 0, label: back, act: Act::End(end) });
            };
            up.runtime.spawn(async move {
                let deadline = cell.env.clock.now() + TRY;
                let caller = Caller { account: account(), request, routed: None, deadline, pass: None };
                let outcome = work(cell, caller).await;
                let ended = match &outcome {
                    Ok(_) => {
                        wires.moment(Moment::Outcome, node, 0);
                        "done".to_owned()
                    }
                    Err(error) => error.to_string(),
                };
                let end = Box::new(move || drop(answer.send(Ok(outcome))));
                wires.send(Message { from: node, to: 0, label: format!("{back}: {ended}"), act: Act::End(end) });
            });
        });
        let refused = Box::new(move || {
            if let Some(answer) = slot.lock().take() {
                drop(answer.send(Err(NoAnswer::NotSent)));
            }
        });
        self.wires.send(Message { from: 0, to: node, label, act: Act::Begin { start, refused } });
        match timeout(ANSWER, wait).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Lost),
        }
    }
}

/// The account of all clients.
pub fn account() -> AccountId {
    AccountId::new(AccountId::FIRST).expect("in range")
}
