//! A whole cell simulated from one seed: the same seed gives the same run, to the last message.
//!
//! ```text
//!  sim                                  the fixed seeds, as CI runs them
//!  sim seeds --first 1 --count 100      as many as wanted; stops at the first that fails
//!  sim run --seed 7 [--show]            one, in this process
//! ```
//! Real: consensus, the index's `apply`, ops, chunk store and its replication, and the wire between nodes. Simulated:
//! network, disks, clocks, crashes. Each seed runs in a process of its own, since some of what is random is counted
//! per process.

mod book;
mod client;
mod entropy;
mod faults;
mod host;
mod net;
mod recount;
mod replace;
mod settle;
mod trace;
mod trouble;
mod workload;
mod world;

use std::process::{Command, ExitCode};

/// Seeds of the test: these many from 1 on.
const FIXED: u64 = 24;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["run", rest @ ..] => run(number(rest, "--seed", 1), rest.contains(&"--show")),
        ["seeds", rest @ ..] => seeds(number(rest, "--first", 1), number(rest, "--count", 100)),
        filters => cases(filters),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn number(words: &[&str], name: &str, otherwise: u64) -> u64 {
    let at = words.iter().position(|word| *word == name);
    at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(otherwise)
}

/// One seed, here.
fn run(seed: u64, shown: bool) -> Result<(), String> {
    entropy::seed(seed);
    let report = world::run(seed, shown);
    let (tally, weather, happened) = (report.tally, report.weather, report.events_of);
    println!(
        "seed {seed} {weather:?}: trace {:016x} of {} events in {} simulated ms; {tally:?}; {happened:?}",
        report.hash, report.events, report.simulated_ms
    );
    if report.wrong.is_empty() {
        return Ok(());
    }
    Err(report.wrong.iter().map(|what| format!("seed {}: WRONG: {what}", report.seed)).collect::<Vec<_>>().join("\n"))
}

/// One seed in a process of its own: what it printed.
fn apart(seed: u64) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let ran = Command::new(program).args(["run", "--seed", &seed.to_string()]).output();
    let ran = ran.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    if ran.status.success() {
        return Ok(said);
    }
    Err(format!(
        "{said}{}seed {seed} failed; `make sim SEEDS=1 FIRST={seed}` repeats it",
        String::from_utf8_lossy(&ran.stderr)
    ))
}

fn seeds(first: u64, count: u64) -> Result<(), String> {
    for seed in first..first + count {
        print!("{}", apart(seed)?);
    }
    println!("{count} seeds from {first} on: nothing wrong");
    Ok(())
}

/// What the test asserts.
type Case = fn() -> Result<(), String>;

/// Runs the cases, or those that a filter names.
fn cases(filters: &[&str]) -> Result<(), String> {
    let cases: [(&str, Case); 2] = [
        ("the_same_seed_gives_the_same_run", the_same_seed_gives_the_same_run),
        ("no_answer_is_lost_stale_or_corrupt_whatever_fails", no_answer_is_lost_stale_or_corrupt_whatever_fails),
    ];
    let wanted = |name: &str| filters.iter().all(|filter| filter.starts_with('-') || name.contains(filter));
    for (name, case) in cases.into_iter().filter(|(name, _)| wanted(name)) {
        case().map_err(|what| format!("{name}: FAILED\n{what}"))?;
        println!("test {name} ... ok");
    }
    Ok(())
}

fn the_same_seed_gives_the_same_run() -> Result<(), String> {
    for seed in [3, 8] {
        let (first, second) = (apart(seed)?, apart(seed)?);
        if first != second {
            return Err(format!("seed {seed} ran twice and differs:\n{first}{second}"));
        }
    }
    Ok(())
}

fn no_answer_is_lost_stale_or_corrupt_whatever_fails() -> Result<(), String> {
    seeds(1, FIXED)
}
