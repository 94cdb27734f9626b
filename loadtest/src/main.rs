//! The `bulkhead-loadtest` program: arguments, runtime, and which scenario to run.

use bulkhead_loadtest::{
    certify, compare,
    scenario::{
        bench, bigobject, certificates, corrupt, crash, drill, fill, graynode, listing, load, neighbours, null,
        overload, partition, powercut, racers, reclaim, refusal, rounds, sickcell, slowclients, warp, wipe,
    },
};
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load, fault drills and benchmarks against a Bulkhead, through its public interfaces only.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// PUT and GET per second and their latency, through the router and straight to a node
    Bench(bench::Bench),
    /// Kill nodes, router and control plane under load, and check every acknowledged byte
    Drill(drill::Drill),
    /// Kill nodes again and again, at random moments and at named points of their code, and check every acknowledged byte
    Crash(rounds::Options),
    /// Cut links between nodes, also in one direction, and check every acknowledged byte (needs root)
    Partition(rounds::Options),
    /// Cut the power of nodes, so that all they had not synced is lost or torn, and check every acknowledged byte
    Powercut(rounds::Options),
    /// Turn bits of a node's files over while another is away; every object must read back whole, and the damage be mended
    Corrupt(corrupt::Corrupt),
    /// Remove a node's data under load, replace it by one command, and see what clients notice
    Wipe(wipe::Wipe),
    /// Fill a cell to its maxima, and its disks to their reserve; refusals must be clear and the cell recover by itself
    Fill(fill::Fill),
    /// Delete most of what was written, and see the space come back and the rest stay
    Reclaim(reclaim::Reclaim),
    /// Many writers race for one key; exactly one may win
    Racers(racers::Racers),
    /// A workload in an open loop: throughput, and latency from when each request was due
    Load(load::Load),
    /// A server that does nothing but answer, to find the load test's own ceiling
    Null(null::Null),
    /// Upload and download one large object, and watch the servers' memory
    Bigobject(bigobject::BigObject),
    /// One account does ten times its fair share; what do its quiet neighbours notice?
    Neighbours(neighbours::Neighbours),
    /// More is offered than can be done, by all accounts alike; what of it is done, and how soon is all well again?
    Overload(overload::Overload),
    /// CPU time to refuse a request, and to serve it
    Refusal(refusal::Refusal),
    /// Stop, hang and garble one cell, and watch what the tenants of another see
    Sickcell(sickcell::SickCell),
    /// Pause one node, then slow it down, and watch what its clients see
    Graynode(graynode::GrayNode),
    /// Thousands of clients that send and read too slowly, and what the others see
    Slowclients(slowclients::SlowClients),
    /// The same work on two S3 services by turns (A B B A): ratios with their intervals, latency, CPU, flushes
    Compare(Box<compare::Compare>),
    /// The closed loop of `warp mixed`, with its mix and window, and its columns
    Warp(warp::Warp),
    /// Try whether a cell does what its blueprint declares; writes a signed certificate and a report
    Certify(Box<certify::Certify>),
    /// Say whether a certificate is good, and why it is not
    Verify(certificates::Verify),
    /// Compare two certificates, and say which figures left the band
    Diff(certificates::Diff),
    /// Make an HTML report out of results
    Report(certificates::MakeReport),
    /// List many keys, plain and by delimiter, and count what the cell touched
    Listing(listing::Listing),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // It leaves a cell as it was also when it is interrupted, which takes a moment.
    if let Command::Certify(certify) = &arguments.command {
        return certify::run(certify).await;
    }
    // An interrupted run still stops what it started: the scenario is dropped, not killed.
    tokio::select! {
        ended = run(arguments.command) => ended,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Bench(bench) => bench::run(&bench).await,
        Command::Drill(drill) => drill::run(&drill).await,
        Command::Crash(options) => crash::run(&options).await,
        Command::Partition(options) => partition::run(&options).await,
        Command::Powercut(options) => powercut::run(&options).await,
        Command::Corrupt(options) => corrupt::run(&options).await,
        Command::Wipe(options) => wipe::run(&options).await,
        Command::Fill(options) => fill::run(&options).await,
        Command::Reclaim(options) => reclaim::run(&options).await,
        Command::Racers(racers) => racers::run(&racers).await,
        Command::Bigobject(big) => bigobject::run(&big).await,
        Command::Load(load) => load::run(&load).await,
        Command::Null(null) => null::run(&null).await,
        Command::Neighbours(neighbours) => neighbours::run(&neighbours).await,
        Command::Overload(overload) => overload::run(&overload).await,
        Command::Refusal(refusal) => refusal::run(&refusal).await,
        Command::Sickcell(sick) => sickcell::run(&sick).await,
        Command::Graynode(gray) => graynode::run(&gray).await,
        Command::Slowclients(slow) => slowclients::run(&slow).await,
        Command::Compare(compare) => compare::run(&compare).await,
        Command::Warp(warp) => warp::run(&warp).await,
        Command::Certify(certify) => certify::run(&certify).await,
        Command::Verify(verify) => certificates::verify(&verify),
        Command::Diff(diff) => certificates::diff(&diff),
        Command::Report(make) => certificates::report(&make),
        Command::Listing(listing) => listing::run(&listing).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn no_command_has_two_arguments_of_one_name() {
        Arguments::command().debug_assert();
    }
}
