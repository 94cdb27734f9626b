//! `fill`: a cell is filled to its declared maxima, and its disks to their reserve. Refusals must be clear, reads and deletes
//! go on, and once there is room writes must go on by themselves, with everything acknowledged in its place.

mod disk;
mod maxima;

use super::{
    objects::{Objects, Place, put},
    stage::Stage,
};
use crate::{
    client::{Outcome, PayloadHash, Refusal, Session},
    clock,
    faults::{Ground, Maxima, disks_work_here},
    limits::{OBJECT_CLIENTS, OBJECT_PATIENCE, POLL, REFUSALS_IN_A_ROW},
    report::parse_size,
    settings::Service,
};
use clap::{Args, ValueEnum};
use futures::future::try_join_all;
use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

#[derive(Debug, Args)]
pub struct Fill {
    #[command(flatten)]
    service: Service,
    /// Only one of the two
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Objects that the cell declares to take at most
    #[arg(long, default_value_t = 300)]
    objects: u64,
    /// Bytes that the cell declares to take at most
    #[arg(long, value_parser = parse_size, default_value = "48MiB")]
    bytes: u64,
    /// Disk of each node; of it 1 GiB and an extent of 64 MiB are the reserve
    #[arg(long, value_parser = parse_size, default_value = "1792MiB")]
    disk: u64,
    /// Seed of lengths and of what is deleted
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the maxima, and small ones
    #[arg(long)]
    short: bool,
}

/// What is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The objects and bytes that the blueprint declares
    Maxima,
    /// The nodes' disks (needs root)
    Disk,
}

/// Refusals, by what they said.
#[derive(Debug, Default)]
pub struct Refusals(BTreeMap<String, u64>);

/// Fills both, each on a cluster of its own.
///
/// # Errors
/// When a refusal is not clear, a deletion is refused, writes do not go on, or anything acknowledged is not there.
pub async fn run(options: &Fill) -> anyhow::Result<()> {
    if options.only != Some(Part::Disk) {
        let max = if options.short {
            Maxima { bytes: 8 << 20, objects: 40 }
        } else {
            Maxima { bytes: options.bytes, objects: options.objects }
        };
        let ground = Ground { small: true, brisk: true, capacity: Some(max), ..Ground::default() };
        let room = max.bytes * 12;
        let mut stage = Stage::open(&options.service, ground, "fill", options.seed, room).await?;
        stage.play(async |stage| maxima::scene(stage, max).await).await?;
    }
    if options.only == Some(Part::Maxima) || options.short {
        return Ok(());
    }
    if let Err(error) = disks_work_here() {
        println!("SKIPPED: full disks: {error:#}");
        return Ok(());
    }
    let ground = Ground { small: true, brisk: true, disk_bytes: Some(options.disk), ..Ground::default() };
    let mut stage = Stage::open(&options.service, ground, "fill", options.seed, options.disk * 3).await?;
    stage.play(async |stage| disk::scene(stage).await).await
}

/// Whether a refusal says that this is full.
type SaysFull = fn(&Refusal) -> bool;

/// Writes objects from every client until each was told several times in a row that it is full. Answers what was acknowledged, and
/// what was refused. `next` gives the length of the object of this number.
///
/// # Errors
/// When anything is refused that says the client is wrong, or nothing is told clearly for [`OBJECT_PATIENCE`].
async fn until_full(
    place: Place<'_>,
    prefix: &str,
    next: impl Fn(u64) -> u64 + Copy,
    says_full: SaysFull,
) -> anyhow::Result<(Objects, Refusals)> {
    let numbers = AtomicU64::new(0);
    let clients = (0..OBJECT_CLIENTS).map(|_| async {
        let mut session = Session::new(place.target.clone(), PayloadHash::Unsigned);
        let (mut held, mut refusals, mut in_a_row) = (Objects::default(), Refusals::default(), 0);
        while in_a_row < REFUSALS_IN_A_ROW {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let (key, length) = (format!("{prefix}/{number:06}"), next(number));
            if one(&mut session, place.bucket, (&key, length), says_full, &mut refusals).await? {
                held.held.insert(key, length);
                in_a_row = 0;
            } else {
                in_a_row += 1;
            }
        }
        anyhow::Ok((held, refusals))
    });
    let (mut held, mut refusals) = (Objects::default(), Refusals::default());
    for (more, refused) in try_join_all(clients).await? {
        held.held.extend(more.held);
        refused.0.into_iter().for_each(|(what, count)| *refusals.0.entry(what).or_default() += count);
    }
    Ok((held, refusals))
}

/// Writes one object until it is acknowledged, or told to be full. Answers which.
async fn one(
    session: &mut Session,
    bucket: &str,
    (key, length): (&str, u64),
    says_full: SaysFull,
    refusals: &mut Refusals,
) -> anyhow::Result<bool> {
    let deadline = clock::now() + OBJECT_PATIENCE;
    loop {
        let why = match put(session, bucket, key, length).await {
            Outcome::Ok(()) => return Ok(true),
            Outcome::Refused(refusal) => {
                refusals.note(&refusal);
                if says_full(&refusal) {
                    return Ok(false);
                }
                anyhow::ensure!(!refusal.certain(), "{key}: refused with {refusal}");
                refusal.to_string()
            }
            Outcome::Unsent(why) => why,
            Outcome::Unknown(lost) => lost.to_string(),
        };
        anyhow::ensure!(
            clock::now() < deadline,
            "{key}: neither written nor told to be full in {OBJECT_PATIENCE:?}: {why}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Writes one object, once; it must be told that it is full.
async fn refused(place: Place<'_>, key: &str, length: u64, says_full: SaysFull) -> anyhow::Result<()> {
    let mut session = Session::new(place.target.clone(), PayloadHash::Unsigned);
    match put(&mut session, place.bucket, key, length).await {
        Outcome::Refused(refusal) if says_full(&refusal) => Ok(()),
        Outcome::Ok(()) => anyhow::bail!("{key}: {length} bytes were taken although it is full"),
        other => other.required(key),
    }
}

impl Refusals {
    fn note(&mut self, refusal: &Refusal) {
        *self.0.entry(refusal.to_string()).or_default() += 1;
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(what, count)| write!(f, "\n    {count} times \"{what}\""))
    }
}
