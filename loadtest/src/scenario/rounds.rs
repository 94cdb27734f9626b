//! Rounds of faults under load: clients work, processes die and come back, every key is verified; again and again.
//!
//! A round takes seconds. What differs between the scenarios is only how processes die.

use super::traffic::{
    Sizes, Traffic,
    verify::{self, Verified},
};
use crate::{
    client::Target,
    clock,
    faults::{Cluster, Ground, ListedProcess, Role},
    limits::{DEAD_FOR_MAX, RESTART_PATIENCE, ROUNDS_PER_CLUSTER, STRIKE_WITHIN, VERIFY_PATIENCE},
    oracle::Summary,
    settings::{Service, Site},
};
use bulkhead_model::CellId;
use clap::Args;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    pub service: Service,
    /// Times that something dies
    #[arg(long, default_value_t = 20)]
    pub rounds: u32,
    /// Clients that write, read, delete and list
    #[arg(long, default_value_t = 4)]
    pub clients: u64,
    /// Seed of the clients' choices, and of who dies when
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Who dies together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    OneNode,
    TwoNodes,
    AllNodes,
    /// The nodes of all cells, the router and the control plane.
    Everything,
}

/// A cluster under load.
pub struct Arena {
    site: Site,
    pub cluster: Cluster,
    pub cell: CellId,
    pub traffic: Traffic,
    pub dice: StdRng,
    target: Arc<Target>,
    bucket: String,
    total: Verified,
}

/// What all clusters of a run saw.
#[derive(Debug, Default)]
pub struct Tally {
    seen: Summary,
    verified: Verified,
}

/// What a round found after everything was back.
#[derive(Debug, Clone, Copy)]
pub struct After {
    pub back: Duration,
    pub verified: Verified,
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verified { objects, bytes, absent } = self.verified;
        let (seconds, mib) = (self.back.as_secs_f64(), bytes >> 20);
        write!(f, "writes back after {seconds:.1} s; {objects} objects ({mib} MiB) equal, {absent} keys rightly absent")
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
        self.verified += other.verified;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { puts_acknowledged, deletes_acknowledged, writes_unknown, writes_refused, .. } = self.seen;
        let Summary { reads_checked, listings_checked, .. } = self.seen;
        let Verified { objects, bytes, absent } = self.verified;
        writeln!(
            f,
            "  acknowledged: {puts_acknowledged} puts, {deletes_acknowledged} deletes; unknown: {writes_unknown}; \
             refused or never sent: {writes_refused}"
        )?;
        writeln!(f, "  checked meanwhile: {reads_checked} reads, {listings_checked} listings; none stale, none lost")?;
        let mib = bytes >> 20;
        write!(f, "  verified at rest: {objects} objects ({mib} MiB) equal byte for byte, {absent} keys rightly absent")
    }
}

impl Options {
    /// The rounds of each cluster, and its seed. A cluster does not serve for ever: what it was at its beginning is tried again,
    /// and its garbage goes.
    pub fn clusters(&self) -> impl Iterator<Item = (RangeInclusive<u32>, u64)> + use<> {
        let (rounds, seed) = (self.rounds, self.seed);
        let firsts = (1..=rounds).step_by(ROUNDS_PER_CLUSTER);
        firsts.zip(seed..).map(move |(first, seed)| {
            let last = first.saturating_add(ROUNDS_PER_CLUSTER as u32 - 1).min(rounds);
            (first..=last, seed)
        })
    }
}

impl Who {
    /// One node most often: what it lost must then come from the others.
    pub fn draw(dice: &mut StdRng) -> Self {
        match dice.random_range(0..100) {
            0..35 => Self::OneNode,
            35..60 => Self::TwoNodes,
            60..85 => Self::AllNodes,
            _ => Self::Everything,
        }
    }
}

impl Arena {
    /// Starts a private cluster on `ground` with an account and clients of its own.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn open(options: &Options, seed: u64, ground: Ground, name: &str) -> anyhow::Result<Self> {
        let site = options.service.open_on(ground).await?;
        let (target, cell) = site.new_account(name).await?;
        let bucket = format!("{name}-{}", clock::stamp());
        super::first_bucket(&target, &bucket).await?;
        println!("{name} in cell {cell}, bucket {bucket}, seed {seed}");
        let traffic = Traffic::start(&target, &bucket, options.clients, seed, Sizes::Small);
        let dice = StdRng::seed_from_u64(seed);
        let (cluster, total) = (site.cluster.clone(), Verified::default());
        Ok(Self { site, cluster, cell, traffic, dice, target, bucket, total })
    }

    /// The site below.
    pub fn site(&mut self) -> &mut Site {
        &mut self.site
    }

    /// Lets the clients work for a random while.
    ///
    /// # Errors
    /// When they cannot, or saw what no correct store answers.
    pub async fn work(&mut self) -> anyhow::Result<Duration> {
        self.traffic.expect_flow(VERIFY_PATIENCE).await?;
        let moment = self.dice.random_range(Duration::ZERO..STRIKE_WITHIN);
        tokio::time::sleep(moment).await;
        Ok(moment)
    }

    /// The names of those who are to die.
    ///
    /// # Errors
    /// When the processes cannot be listed.
    pub async fn choose(&mut self, who: Who) -> anyhow::Result<Vec<String>> {
        let mut rows = self.cluster.list().await?;
        let is_node = |row: &ListedProcess| row.role == Role::Cell && row.cell.as_ref() == Some(&self.cell);
        rows.retain(|row| who == Who::Everything || is_node(row));
        rows.shuffle(&mut self.dice);
        rows.truncate(match who {
            Who::OneNode => 1,
            Who::TwoNodes => 2,
            Who::AllNodes | Who::Everything => usize::MAX,
        });
        anyhow::ensure!(!rows.is_empty(), "cell {} has no nodes", self.cell);
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// Starts the dead after a random while, waits until writes are acknowledged, and verifies every key.
    ///
    /// # Errors
    /// When something does not come back, or anything acknowledged is not there.
    pub async fn recover(&mut self, dead: &[&str]) -> anyhow::Result<After> {
        tokio::time::sleep(self.dice.random_range(Duration::ZERO..DEAD_FOR_MAX)).await;
        let begun = clock::now();
        self.cluster.start_all(dead).await?;
        let missing = self.cluster.missing_after(RESTART_PATIENCE).await?;
        anyhow::ensure!(missing.is_empty(), "not ready {RESTART_PATIENCE:?} after the restart: {}", missing.join(", "));
        self.traffic.expect_flow(VERIFY_PATIENCE).await?;
        let back = clock::now() - begun;
        let verified = self.verify().await?;
        Ok(After { back, verified })
    }

    /// Verifies every key of every client.
    ///
    /// # Errors
    /// As [`verify::all`].
    pub async fn verify(&mut self) -> anyhow::Result<Verified> {
        let verified = verify::all(&self.traffic, &self.target, &self.bucket).await?;
        self.traffic.check()?;
        self.total += verified;
        Ok(verified)
    }

    /// Ends the clients and the cluster.
    ///
    /// # Errors
    /// As [`Traffic::stop`].
    pub async fn close(self) -> anyhow::Result<Tally> {
        Ok(Tally { seen: self.traffic.stop().await?, verified: self.total })
    }

    /// Shows and keeps what may explain a failure.
    pub fn explain(&mut self) {
        eprintln!("{}", self.site.logs());
        match self.site.private().map(|private| private.keep()) {
            Some(Ok(copy)) => eprintln!("all files are kept in {}", copy.display()),
            Some(Err(error)) => eprintln!("the files could not be kept: {error:#}"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn every_round_is_played_once_and_each_cluster_has_its_own_seed() {
        let program = Program::try_parse_from(["x", "--rounds", "95", "--seed", "7"]).expect("valid");
        let clusters: Vec<_> = program.options.clusters().collect();
        let rounds: Vec<u32> = clusters.iter().flat_map(|(rounds, _)| rounds.clone()).collect();
        assert_eq!(rounds, (1..=95).collect::<Vec<_>>());
        let seeds: Vec<u64> = clusters.iter().map(|(_, seed)| *seed).collect();
        assert_eq!(seeds, (7..7 + seeds.len() as u64).collect::<Vec<_>>());
    }
}
