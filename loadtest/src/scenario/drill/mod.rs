//! `drill`: processes are killed and stopped while clients write, read and list through the router; afterwards every
//! acknowledged object is read back and compared byte for byte.
//!
//! The drill has an account of its own, and kills only processes that `bulkhead node list` names. It fails at the first
//! answer that no correct store gives, and when writes do not go on within 3 s of the death of one node.

mod blow;

use super::traffic::{Sizes, Traffic, verify};
use crate::{
    clock,
    limits::{VERIFY_PATIENCE, WRITE_GAP_MAX},
    oracle::Summary,
    settings::Service,
};
use anyhow::Context;
use blow::Blow;
use clap::Args;
use std::{fmt::Write as _, time::Duration};

#[derive(Debug, Args)]
pub struct Drill {
    #[command(flatten)]
    pub service: Service,
    /// Times that every fault is dealt once
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// One round, with short pauses
    #[arg(long)]
    pub short: bool,
    /// Clients that write, read, delete and list
    #[arg(long, default_value_t = 6)]
    pub clients: u64,
    /// Seed of the clients' choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What a drill has done and seen.
#[derive(Debug, Default)]
struct Tale {
    rounds: u32,
    blows: Vec<(Blow, Duration)>,
    objects_verified: u64,
    bytes_verified: u64,
    keys_without_object: u64,
}

/// Runs the drill and prints what it verified.
///
/// # Errors
/// When the store answered what no correct store answers, lost something, or was silent for too long.
pub async fn run(drill: &Drill) -> anyhow::Result<()> {
    let site = drill.service.open().await?;
    let cluster = site.cluster.clone();
    let (target, cell) = site.new_account("drill").await?;
    let bucket = format!("drill-{}", clock::stamp());
    super::first_bucket(&target, &bucket).await?;
    println!("drill in cell {cell}, bucket {bucket}, seed {}", drill.seed);
    let (rounds, hold) = if drill.short { (1, Duration::from_secs(2)) } else { (drill.rounds, Duration::from_secs(5)) };
    let field = blow::Field { cluster, cell, hold };
    let traffic = Traffic::start(&target, &bucket, drill.clients, drill.seed, Sizes::Wide);
    let mut tale = Tale::default();
    for round in 1..=rounds {
        for blow in Blow::ROUND {
            traffic.expect_flow(VERIFY_PATIENCE).await.with_context(|| format!("before {blow}"))?;
            let silence = field.deal(blow, &traffic).await.with_context(|| format!("round {round}, {blow}"))?;
            println!("round {round}: {blow}: longest pause between acknowledged writes {:.2} s", silence.as_secs_f64());
            tale.blows.push((blow, silence));
            anyhow::ensure!(!blow.bounds_silence() || silence <= WRITE_GAP_MAX, "writes paused for {silence:?}");
            traffic.check()?;
        }
        let verified = verify::all(&traffic, &target, &bucket).await.with_context(|| format!("round {round}"))?;
        println!("round {round}: {} objects, {} bytes equal", verified.objects, verified.bytes);
        tale.objects_verified += verified.objects;
        tale.bytes_verified += verified.bytes;
        tale.keys_without_object += verified.absent;
        tale.rounds = round;
    }
    let summary = traffic.stop().await?;
    println!("{}", tale.tell(&summary));
    Ok(())
}

impl Tale {
    fn tell(&self, summary: &Summary) -> String {
        let mut text = String::new();
        let longest = |kind: fn(&Blow) -> bool| {
            self.blows.iter().filter(|(blow, _)| kind(blow)).map(|(_, silence)| *silence).max().unwrap_or_default()
        };
        let mut line = |args: std::fmt::Arguments<'_>| {
            text.write_fmt(args).expect("writing to a String cannot fail");
            text.push('\n');
        };
        line(format_args!("drill passed: {} rounds, {} faults", self.rounds, self.blows.len()));
        line(format_args!(
            "  acknowledged: {} puts, {} deletes; unknown: {}; refused or never sent: {}",
            summary.puts_acknowledged, summary.deletes_acknowledged, summary.writes_unknown, summary.writes_refused
        ));
        line(format_args!(
            "  checked meanwhile: {} reads, {} listings; none stale, none lost",
            summary.reads_checked, summary.listings_checked
        ));
        line(format_args!(
            "  verified at rest: {} objects ({} bytes) equal byte for byte, {} keys rightly absent",
            self.objects_verified, self.bytes_verified, self.keys_without_object
        ));
        line(format_args!(
            "  longest pause of writes after a leader's death {:.2} s, after any one node's {:.2} s",
            longest(Blow::hits_leader).as_secs_f64(),
            longest(Blow::bounds_silence).as_secs_f64()
        ));
        text
    }
}
