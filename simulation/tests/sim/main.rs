//! A whole cell with its routers and clients, simulated from one seed: the same seed gives the same run, to the last message.
//!
//! ```text
//!  sim                                  the fixed seeds, as CI runs them
//!  sim seeds --first 1 --count 100      as many as wanted; stops at the first that fails
//!  sim run --seed 7 [--show]            one, in this process
//! ```
//! Real: the routers, HTTP, the S3 front of the nodes with its signatures, consensus, the index's `apply`, ops, chunk store and its
//! replication, and the wire between nodes. Simulated: network, disks, clocks, crashes. Each seed runs in a process of its own, since some of what is random is counted
//! per process.

mod book;
mod client;
mod entropy;
mod faults;
mod furnish;
mod host;
mod line;
mod net;
mod recount;
mod replace;
mod router;
mod settle;
mod trace;
mod trouble;
mod workload;
mod world;

use std::{
    collections::BTreeMap,
    process::{Child, Command, ExitCode, Stdio},
};

/// Seeds of the test: these many from 1 on, six of each day of the year.
const FIXED: u64 = 96;
/// Seeds that run at a time.
const AT_ONCE: u64 = 2;

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

/// One seed in a process of its own.
fn apart(seed: u64) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["run", "--seed", &seed.to_string()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| error.to_string())
}

/// What it printed.
fn said(seed: u64, running: Child) -> Result<String, String> {
    let ran = running.wait_with_output().map_err(|error| error.to_string())?;
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
    let (mut sums, last) = (BTreeMap::new(), first + count);
    for some in (first..last).step_by(usize::try_from(AT_ONCE).expect("few")) {
        let running = (some..last.min(some + AT_ONCE))
            .map(|seed| Ok((seed, apart(seed)?)))
            .collect::<Result<Vec<_>, String>>()?;
        for (seed, running) in running {
            let said = said(seed, running)?;
            print!("{said}");
            add(&said, &mut sums);
        }
    }
    println!("{count} seeds from {first} on: nothing wrong; {sums:?}");
    Ok(())
}

/// Adds up the figures that a seed printed, each as `name: figure`.
fn add(said: &str, sums: &mut BTreeMap<String, u64>) {
    let words: Vec<&str> = said.split_whitespace().collect();
    for pair in words.windows(2) {
        if let (Some(name), Ok(figure)) = (pair[0].strip_suffix(':'), pair[1].trim_end_matches(',').parse::<u64>()) {
            *sums.entry(name.to_owned()).or_default() += figure;
        }
    }
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
    let mut passed = 0;
    for (name, case) in cases.into_iter().filter(|(name, _)| wanted(name)) {
        case().map_err(|what| format!("{name}: FAILED\n{what}"))?;
        println!("test {name} ... ok");
        passed += 1;
    }
    println!("test result: ok. {passed} passed");
    Ok(())
}

fn the_same_seed_gives_the_same_run() -> Result<(), String> {
    for seed in [2, 3, 4, 6, 8, 9] {
        let (first, second) = (apart(seed)?, apart(seed)?);
        let (first, second) = (said(seed, first)?, said(seed, second)?);
        if first != second {
            return Err(format!("seed {seed} ran twice and differs:\n{first}{second}"));
        }
    }
    Ok(())
}

fn no_answer_is_lost_stale_or_corrupt_whatever_fails() -> Result<(), String> {
    seeds(1, FIXED)
}
