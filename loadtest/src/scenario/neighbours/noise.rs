//! The noisy account: what it does, what of it it may do, and its clients, who ask for ten times that.
//!
//! What it may do is all that the blueprint `dev` declares for a cell, of that kind of work: no tenant is given more.

use super::tenants::{QUIET_BYTES, Tenant, deleted};
use crate::{
    apart::apart,
    client::{ListQuery, Outcome, Session},
    clock,
    driver::{Done, Pace, Sample, Worker, closed_loop},
    limits::POLL,
};
use std::time::{Duration, Instant};

/// So many times its limit the noisy account asks for.
const OVER_THE_LIMIT: f64 = 10.0;
const LARGE_BYTES: u64 = 8 << 20;

/// What the noisy account does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// PUTs of 4 KiB.
    SmallPuts,
    /// PUTs of 8 MiB.
    LargePuts,
    /// Whole pages of a bucket.
    Listings,
    /// Deletes of single keys.
    Deletes,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::SmallPuts => "small PUTs",
            Self::LargePuts => "large PUTs",
            Self::Listings => "listings",
            Self::Deletes => "deletes",
        }
    }

    /// What holds it to its limit: the option of `bulkhead account limits`, and its value.
    pub fn limit(self) -> (&'static str, u64) {
        match self {
            Self::SmallPuts => ("--write-requests", 60),
            Self::LargePuts => ("--bytes-in", 4 << 20),
            Self::Listings => ("--list-requests", 5),
            Self::Deletes => ("--delete-requests", 60),
        }
    }

    /// What of it the noisy account may do in a second, in requests.
    pub fn allowed(self) -> f64 {
        match self {
            Self::LargePuts => self.limit().1 as f64 / LARGE_BYTES as f64,
            Self::SmallPuts | Self::Listings | Self::Deletes => self.limit().1 as f64,
        }
    }

    /// What of it the noisy account asks for in a second, in requests.
    pub fn offered(self) -> f64 {
        self.allowed() * OVER_THE_LIMIT
    }
}

/// How it asks.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub kind: Kind,
    /// At a time.
    pub clients: usize,
    /// Keys that each client may delete in each round, and which round it is.
    pub keys: u64,
    pub round: u64,
}

/// Asks for as long as `pace` says: from a thread of its own, which gives way to all others on the machine. The noisy neighbour's own
/// computer is not part of the service, and what it costs to ask must not be what the quiet ones notice.
///
/// # Errors
/// When there is no such thread.
pub async fn make(tenant: &Tenant, plan: Plan, pace: Pace) -> anyhow::Result<Sample> {
    let tenant = tenant.clone();
    apart("noise", move || async move { ask(&tenant, plan, pace).await }).await
}

async fn ask(tenant: &Tenant, plan: Plan, pace: Pace) -> Sample {
    // Spread over the first round.
    let now = clock::now();
    let Plan { kind, clients, keys, round } = plan;
    let begin = |client: usize| now + Duration::from_secs_f64(client as f64 / kind.offered());
    let every = Duration::from_secs_f64(clients as f64 / kind.offered());
    let client = |client| Noise {
        tenant: tenant.clone(),
        session: tenant.session(),
        kind,
        client,
        turn: 0,
        keys: (round + 1) * keys,
        gone: round * keys,
        due: begin(client),
        every,
    };
    closed_loop((0..clients).map(client).collect(), pace, || ()).await
}

/// A client of the noisy account.
struct Noise {
    tenant: Tenant,
    session: Session,
    kind: Kind,
    client: usize,
    turn: u64,
    /// Of its own, that it may delete, and how many of them are gone.
    keys: u64,
    gone: u64,
    /// When its next request is due, and how long after that the one behind it.
    due: Instant,
    every: Duration,
}

impl Worker for Noise {
    async fn step(&mut self) -> Done {
        self.turn += 1;
        tokio::time::sleep_until(self.due.into()).await;
        // What could not be sent in time is not sent later on top: that many clients are all it has.
        self.due = (self.due + self.every).max(clock::now());
        let (bucket, session) = (self.tenant.bucket.clone(), &mut self.session);
        let key = format!("noise/{}/{}", self.client, self.turn % 4);
        let outcome = match self.kind {
            Kind::SmallPuts => self.tenant.put(session, &key, QUIET_BYTES).await,
            Kind::LargePuts => self.tenant.put(session, &format!("noise/{}", self.client), LARGE_BYTES).await,
            Kind::Listings => {
                let query = ListQuery { bucket: &bucket, prefix: "listed/", ..ListQuery::default() };
                session.list_page(&query, None).await.map(drop)
            }
            Kind::Deletes if self.gone == self.keys => {
                tokio::time::sleep(POLL).await;
                return Done { bytes: 0, error: Some("no key is left to be deleted: give it more".to_owned()) };
            }
            Kind::Deletes => {
                let outcome = session.delete(&bucket, &deleted(self.client as u64, self.gone)).await;
                self.gone += u64::from(matches!(outcome, Outcome::Ok(())));
                outcome
            }
        };
        let error = match outcome {
            Outcome::Ok(()) => None,
            Outcome::Refused(refusal) => Some(format!("{} {}", refusal.status, refusal.code)),
            Outcome::Unsent(why) => Some(why),
            Outcome::Unknown(lost) => Some(lost.to_string()),
        };
        Done { bytes: 0, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Blueprint;

    #[test]
    fn the_noisy_account_may_do_what_is_declared_for_the_whole_cell() {
        let dev = Blueprint::parse(include_str!("../../../../blueprints/dev.toml")).expect("valid").capacity;
        let limits = [Kind::SmallPuts, Kind::LargePuts, Kind::Listings, Kind::Deletes].map(|kind| kind.limit().1);
        assert_eq!(limits, [dev.puts_per_second, dev.bytes_per_second, dev.lists_per_second, dev.puts_per_second]);
    }
}
