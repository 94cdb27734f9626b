//! `racers`: many writers race for one key with a precondition that only one of them can meet.
//!
//! Exactly one is told that it won, the key holds what that one wrote, and all others are refused with 412 or 409. A racer
//! whose outcome is unknown may have written, which reading the key settles; but a round in which nobody was told that it
//! won has failed all the same. With `--kill-leader` the cell's leader is killed in the middle of every round.

use crate::{
    client::{Condition, Outcome, PayloadHash, Put, Session, Target},
    clock,
    faults::{Cluster, Victim},
    limits::RESTART_PATIENCE,
    settings::Service,
    workload::Content,
};
use anyhow::Context;
use bulkhead_model::CellId;
use clap::Args;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::Barrier, task::JoinSet};

const CONTENT_BYTES: u64 = 1024;
const RACER_TIMEOUT: Duration = Duration::from_secs(10);
const READ_PATIENCE: Duration = Duration::from_secs(20);
/// The round's leader is killed this long after the start.
const KILL_AFTER: Duration = Duration::from_millis(3);

#[derive(Debug, Args)]
pub struct Racers {
    #[command(flatten)]
    pub service: Service,
    /// Writers per round
    #[arg(long, default_value_t = 50)]
    pub racers: u64,
    /// Rounds of each precondition
    #[arg(long, default_value_t = 10)]
    pub rounds: u64,
    /// Kill the cell's leader in the middle of every round, and start it again after it
    #[arg(long)]
    pub kill_leader: bool,
}

/// How a round ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub won: u64,
    pub lost: u64,
    /// By reason.
    pub unknown: BTreeMap<String, u64>,
}

/// One racer's end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finish {
    Won,
    Lost,
    /// Why nothing is known.
    Unknown(String),
    /// An answer that no racer may get.
    Wrong(String),
}

/// Runs all rounds and prints a line for each.
///
/// # Errors
/// At the first round that does not have exactly one winner.
pub async fn run(racers: &Racers) -> anyhow::Result<()> {
    let site = racers.service.open().await?;
    let (target, cell) = if racers.kill_leader {
        let (target, cell) = site.new_account("racers").await?;
        (target, Some(cell))
    } else {
        (site.target.clone(), None)
    };
    let bucket = format!("racers-{}", clock::stamp());
    super::first_bucket(&target, &bucket).await?;
    let mut session = Session::new(target.clone(), PayloadHash::Signed);
    let field = Field { racers: racers.racers, target, bucket, kill: cell.map(|cell| (site.cluster.clone(), cell)) };
    for round in 1..=racers.rounds {
        let tally = field.race(&format!("absent/{round}"), Condition::Absent).await?;
        report("If-None-Match: *", round, &tally)?;
    }
    for round in 1..=racers.rounds {
        let key = format!("matches/{round}");
        let content = Content::of(&key, 0, CONTENT_BYTES);
        let put = Put { bucket: &field.bucket, key: &key, version: 0, content, condition: Condition::Always };
        let stored = session.put(&put).await.required("writing what the racers replace")?;
        let tally = field.race(&key, Condition::Matches(stored.etag)).await?;
        report("If-Match", round, &tally)?;
    }
    println!("{} rounds, exactly one was told that it won in each", racers.rounds * 2);
    Ok(())
}

fn report(what: &str, round: u64, tally: &Tally) -> anyhow::Result<()> {
    let unknown: u64 = tally.unknown.values().sum();
    let why: Vec<String> = tally.unknown.iter().map(|(why, count)| format!("{count} times {why}")).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
    println!("{what:<16} round {round}: {} won, {} refused, {unknown} unknown{why}", tally.won, tally.lost);
    anyhow::ensure!(tally.won == 1, "{what}, round {round}: nobody was told that it won");
    Ok(())
}

/// Where the races are run.
struct Field {
    racers: u64,
    target: Arc<Target>,
    bucket: String,
    /// Whose leader is killed in every race.
    kill: Option<(Cluster, CellId)>,
}

impl Field {
    async fn race(&self, key: &str, condition: Condition) -> anyhow::Result<Tally> {
        let start = Arc::new(Barrier::new(usize::try_from(self.racers)? + 1));
        let mut tasks = JoinSet::new();
        for racer in 1..=self.racers {
            let (target, start, condition) = (self.target.clone(), start.clone(), condition.clone());
            let (bucket, key) = (self.bucket.clone(), key.to_owned());
            tasks.spawn(async move {
                let mut session = Session::new(target, PayloadHash::Signed).with_timeout(RACER_TIMEOUT);
                let content = Content::of(&key, racer, CONTENT_BYTES);
                let put = Put { bucket: &bucket, key: &key, version: racer, content, condition };
                start.wait().await;
                (racer, finish(session.put(&put).await))
            });
        }
        let killed = self.start(&start).await?;
        let finishes = tasks.join_all().await;
        let holder = read_version(&self.target, &self.bucket, key).await?;
        if let Some((cluster, victim)) = killed {
            victim.gone(RESTART_PATIENCE).await?;
            cluster.start(&victim.name).await?;
            let missing = cluster.missing_after(RESTART_PATIENCE).await?;
            anyhow::ensure!(missing.is_empty(), "not ready again after the round: {}", missing.join(", "));
        }
        judge(&finishes, holder).with_context(|| format!("{key}: held by {holder}"))
    }

    /// Releases the racers, and kills the leader among them.
    async fn start(&self, start: &Barrier) -> anyhow::Result<Option<(&Cluster, Victim)>> {
        let Some((cluster, cell)) = &self.kill else {
            start.wait().await;
            return Ok(None);
        };
        let leader = cluster.leader(cell).await?.with_context(|| format!("cell {cell} has no leader"))?;
        let victim = Victim::identify(&leader)?;
        start.wait().await;
        tokio::time::sleep(KILL_AFTER).await;
        victim.kill()?;
        Ok(Some((cluster, victim)))
    }
}

fn finish(outcome: Outcome<crate::client::Stored>) -> Finish {
    match outcome {
        Outcome::Ok(_) => Finish::Won,
        Outcome::Refused(refusal) if matches!(refusal.status, 409 | 412) => Finish::Lost,
        Outcome::Refused(refusal) if refusal.certain() => Finish::Wrong(refusal.to_string()),
        Outcome::Refused(refusal) => Finish::Unknown(format!("{} {}", refusal.status, refusal.code)),
        Outcome::Unknown(lost) => Finish::Unknown(lost.to_string()),
        Outcome::Unsent(why) => Finish::Unknown(why),
    }
}

/// Who wrote what the key holds now. 0 when that is what it held before the race, or nothing.
async fn read_version(target: &Arc<Target>, bucket: &str, key: &str) -> anyhow::Result<u64> {
    let mut session = Session::new(target.clone(), PayloadHash::Signed).with_timeout(RACER_TIMEOUT);
    let deadline = clock::now() + READ_PATIENCE;
    loop {
        let read = session.get(bucket, key).await;
        let seen = read
            .and_then(async |download| {
                let version = download.version.unwrap_or(0);
                let expected = Content::of(key, version, CONTENT_BYTES);
                download.verify(expected, 0).await.map(|checked| checked.map(|_| version))
            })
            .await;
        match seen {
            Outcome::Ok(checked) => return Ok(checked?),
            Outcome::Refused(refusal) if refusal.code == "NoSuchKey" => return Ok(0),
            Outcome::Refused(refusal) if refusal.certain() => anyhow::bail!("reading {key} after the race: {refusal}"),
            other if clock::now() > deadline => {
                other.required("reading the key after the race")??;
            }
            Outcome::Refused(_) | Outcome::Unsent(_) | Outcome::Unknown(_) => {
                tokio::time::sleep(crate::limits::POLL).await
            }
        }
    }
}

fn judge(finishes: &[(u64, Finish)], holder: u64) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for (racer, finish) in finishes {
        match finish {
            Finish::Won => {
                tally.won += 1;
                anyhow::ensure!(tally.won == 1, "two racers won");
                anyhow::ensure!(*racer == holder, "racer {racer} was told that it won");
            }
            Finish::Lost => {
                tally.lost += 1;
                anyhow::ensure!(*racer != holder, "racer {racer} was refused, and wrote all the same");
            }
            Finish::Unknown(why) => *tally.unknown.entry(why.clone()).or_default() += 1,
            Finish::Wrong(answer) => anyhow::bail!("racer {racer} was answered {answer}"),
        }
    }
    let wrote_unknown = |(racer, finish): &(u64, Finish)| *racer == holder && matches!(finish, Finish::Unknown(_));
    let settled = tally.won == 1 || finishes.iter().any(wrote_unknown);
    anyhow::ensure!(settled || tally.lost == 0, "nobody won, yet racers were refused");
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, Sin};

    #[tokio::test]
    async fn a_store_without_preconditions_has_too_many_winners() {
        for (sin, right) in [(Sin::None, true), (Sin::NoPreconditions, false)] {
            let fake = Fake::start(sin).await;
            let field = Field { racers: 20, target: fake.target.clone(), bucket: "b".into(), kill: None };
            let tally = field.race("key", Condition::Absent).await;
            assert_eq!(tally.is_ok(), right, "{sin:?}: {tally:?}");
        }
    }

    #[test]
    fn one_winner_that_holds_the_key_is_right_and_everything_else_is_wrong() {
        use Finish::{Lost, Won};
        let unknown = || Finish::Unknown("timed out".to_owned());
        let cases: [(&[Finish], u64, bool); 8] = [
            (&[Won, Lost, Lost], 1, true),
            (&[Lost, unknown(), Lost], 2, true),
            (&[Won, unknown(), Lost], 1, true),
            (&[unknown(), unknown(), unknown()], 0, true),
            (&[Won, Won, Lost], 1, false),
            (&[Won, Lost, Lost], 2, false),
            (&[Lost, Lost, Lost], 0, false),
            (&[Lost, unknown(), Lost], 1, false),
        ];
        for (finishes, holder, right) in cases {
            let numbered: Vec<(u64, Finish)> = (1..).zip(finishes.iter().cloned()).collect();
            assert_eq!(judge(&numbered, holder).is_ok(), right, "{finishes:?}, held by {holder}");
        }
    }
}
