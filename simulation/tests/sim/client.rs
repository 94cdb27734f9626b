//! Clients: S3 requests, signed, over connections to one of the routers. What an answer means for what was asked is decided here.

use crate::{
    book::{Book, KEYS},
    host::REGION,
    line::Exchange,
    net::{CLIENTS, HostId, S3_PORT, Wires, address},
};
use bulkhead_loadtest::client::{Answer, Call, Credentials, Outcome, PayloadHash, Refusal, Session, Target};
use bulkhead_model::{AccessKeyId, AccountId};
use bulkhead_service::Env;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

pub const BUCKET: &str = "bucket";
pub const SECRET: &str = "a-secret-that-only-the-simulation-knows";
/// The largest answer that a client reads: more than the largest object.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Longer than a router tries.
const PATIENCE: Duration = Duration::from_secs(40);
/// Of so many requests of a client that is hasty now and then, one is. More outcomes that nobody knows are more than the check of a history
/// can try in all orders.
const HASTY_ONE_IN: u64 = 6;
/// The longest pause before a patient client asks once more.
const PAUSE: Duration = Duration::from_millis(400);
/// How often it does.
const TRIES: usize = 40;

/// How an operation ended.
#[derive(Debug)]
pub enum Ended<T> {
    Done(T),
    /// Refused for what it asks. Nothing was done.
    Refused(Refusal),
    /// Certainly not executed: so the router says, or no connection could be made.
    Not,
    /// Nobody knows.
    Unknown,
}

/// One client.
pub struct Client {
    pub id: usize,
    pub env: Env,
    pub wires: Wires,
    pub book: Arc<Book>,
    /// The longest pause between two operations.
    pub think: Duration,
    /// One to each router, and once more without patience.
    sessions: [Vec<Session>; 2],
    /// The router that it asks, most of the time.
    home: usize,
}

impl Client {
    /// A client of these routers. Some have no patience now and then, and some do not hash what they send.
    pub fn new(id: usize, env: Env, wires: Wires, book: Arc<Book>, think: Duration, routers: &[HostId]) -> Self {
        let hash = if id.is_multiple_of(2) { PayloadHash::Unsigned } else { PayloadHash::Signed };
        let hasty = match id {
            4 => Duration::from_millis(2_500),
            5 => Duration::from_millis(700),
            _ => PATIENCE,
        };
        let session = |router: &HostId, patience| {
            let exchange = Exchange { host: CLIENTS, wires: wires.clone(), clock: env.clock.clone() };
            Session::new(target(*router), hash).over(Arc::new(exchange)).with_timeout(patience)
        };
        let sessions =
            [PATIENCE, hasty].map(|patience| routers.iter().map(|router| session(router, patience)).collect());
        let home = id % routers.len();
        Self { id, env, wires, book, think, sessions, home }
    }

    /// A session to one of the routers, up or down.
    pub fn session(&mut self) -> &mut Session {
        let rng = &self.env.rng;
        let sessions = &mut self.sessions[usize::from(rng.below(HASTY_ONE_IN) == 0)];
        let strays = rng.below(8) == 0;
        let router = if strays { rng.below(sessions.len() as u64) } else { self.home as u64 };
        &mut sessions[usize::try_from(router).expect("few routers")]
    }

    /// One of the keys.
    pub fn key(&self) -> &'static str {
        KEYS[usize::try_from(self.env.rng.below(KEYS.len() as u64)).expect("few keys")]
    }

    /// Asks once, and reads the whole answer.
    pub async fn ask(&mut self, what: &str, call: Call<'_>) -> Ended<Reply> {
        let answer = self.session().call(call).await;
        let reply = match answer {
            Outcome::Ok(answer) => whole(answer).await,
            Outcome::Refused(refusal) => Outcome::Refused(refusal),
            Outcome::Unsent(why) => Outcome::Unsent(why),
            Outcome::Unknown(lost) => Outcome::Unknown(lost),
        };
        self.ended(what, reply)
    }

    /// What is known of a request that ended so.
    pub fn ended<T>(&self, what: &str, outcome: Outcome<T>) -> Ended<T> {
        let refusal = match outcome {
            Outcome::Ok(value) => return Ended::Done(value),
            Outcome::Unsent(_) => return Ended::Not,
            Outcome::Unknown(_) => return Ended::Unknown,
            Outcome::Refused(refusal) => refusal,
        };
        self.wires.note(format_args!("client {} {what}: {refusal}", self.id));
        match (refusal.status, refusal.code.as_str()) {
            (404 | 412, _) => Ended::Refused(refusal),
            // The router found no node, or all said that they did not execute it; or it was broken before it was whole.
            (503, _) | (400, "RequestTimeout" | "IncompleteBody") => Ended::Not,
            (500 | 502, _) => Ended::Unknown,
            _ => {
                self.book.violation(format!("client {} {what}: answered with {refusal}", self.id));
                Ended::Unknown
            }
        }
    }

    /// The client of the last reader: asks once more, and again.
    pub fn is_patient(&self) -> bool {
        self.id == 0
    }

    /// How often it asks for what it did not get.
    pub fn tries(&self) -> usize {
        if self.is_patient() { TRIES } else { 1 }
    }

    /// A pause before it does.
    pub async fn pause(&self) {
        if self.is_patient() {
            tokio::time::sleep(self.env.rng.jitter(PAUSE)).await;
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    pub body: Bytes,
    /// When what was read was written, seconds since 1970.
    pub modified: Option<i64>,
}

async fn whole(answer: Answer) -> Outcome<Reply> {
    let modified = answer.header("last-modified").and_then(seconds);
    answer.read(ANSWER_BYTES_MAX).await.map(|body| Reply { body, modified })
}

/// `Tue, 15 Nov 1994 08:12:31 GMT` in seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    Some(time::PrimitiveDateTime::parse(text, format).ok()?.assume_utc().unix_timestamp())
}

fn target(router: HostId) -> Arc<Target> {
    let credentials = Credentials {
        access_key_id: access_key().to_string(),
        secret_access_key: SECRET.to_owned(),
        region: REGION.to_owned(),
    };
    let endpoint = format!("http://{}", address(S3_PORT, router));
    Arc::new(Target::new(&endpoint, credentials).expect("an address needs no resolving"))
}

/// The account of all clients.
pub fn account() -> AccountId {
    AccountId::new(AccountId::FIRST).expect("in range")
}

/// Its access key.
pub fn access_key() -> AccessKeyId {
    "A".repeat(20).parse().expect("twenty characters")
}
