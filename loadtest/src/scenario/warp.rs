//! `warp`: the closed loop of MinIO's `warp mixed`, with its mix, its defaults and its window, and its layout of results.
//!
//! For comparison with figures that others have published. As there, a service that stands still is asked for nothing meanwhile, and latency is
//! that of a client's request: `load` says what users would wait. What `warp` does not do is done here: every byte read is compared.

use crate::{
    client::{Condition, Outcome, PayloadHash, Put, Session, Target},
    clock,
    limits::{COMPARE_FILLERS, FILL_TRIES, POLL},
    report::parse_size,
    settings::Service,
    workload::Content,
};
use anyhow::Context as _;
use clap::Args;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

#[derive(Debug, Args)]
pub struct Warp {
    #[command(flatten)]
    service: Service,
    /// Clients
    #[arg(long, default_value_t = 20)]
    concurrent: usize,
    /// Size of objects
    #[arg(long, value_parser = parse_size, default_value = "10MiB")]
    obj_size: u64,
    /// Objects that are there before the run
    #[arg(long, default_value_t = 2_500)]
    objects: u64,
    /// Seconds
    #[arg(long, default_value_t = 300)]
    duration: u64,
    #[arg(long, default_value_t = 45)]
    get_distrib: u32,
    #[arg(long, default_value_t = 30)]
    stat_distrib: u32,
    #[arg(long, default_value_t = 15)]
    put_distrib: u32,
    #[arg(long, default_value_t = 10)]
    delete_distrib: u32,
    /// Chooses what is asked for
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write every request here, in the columns of warp's own data (uncompressed)
    #[arg(long)]
    benchdata: Option<PathBuf>,
}

/// What a request asks for, as warp calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Op {
    Get,
    Stat,
    Put,
    Delete,
}

impl Op {
    const ALL: [Self; 4] = [Self::Get, Self::Stat, Self::Put, Self::Delete];

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Stat => "STAT",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// One request that has ended.
#[derive(Debug, Clone)]
struct Line {
    thread: usize,
    op: Op,
    bytes: u64,
    key: String,
    error: String,
    begun: Instant,
    /// Of a body that was read.
    first_byte: Option<Instant>,
    ended: Instant,
}

/// Runs it.
///
/// # Errors
/// When the service cannot be reached, or a read returned wrong bytes.
pub async fn run(warp: &Warp) -> anyhow::Result<()> {
    anyhow::ensure!(
        warp.concurrent > 0 && warp.objects > warp.concurrent as u64,
        "there are more objects than clients"
    );
    let site = warp.service.open().await?;
    let bucket = format!("warp-{}", clock::stamp());
    super::first_bucket(&site.target, &bucket).await?;
    fill(&site.target, &bucket, warp).await?;
    let (began, wall) = (clock::now(), clock::wall());
    let end = began + Duration::from_secs(warp.duration);
    let fresh = Arc::new(AtomicU64::new(warp.objects));
    let mut clients = JoinSet::new();
    for thread in 0..warp.concurrent {
        clients.spawn(Client::new(warp, &site.target, &bucket, thread, fresh.clone()).run(end));
    }
    let mut lines = Vec::new();
    while let Some(ended) = clients.join_next().await {
        lines.extend(ended?);
    }
    lines.sort_by_key(|line| line.begun);
    println!("{}", summary(&lines));
    if let Some(file) = &warp.benchdata {
        let text = csv(&lines, &site.target.endpoint(), began, wall);
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    let wrong = lines.iter().filter(|line| line.error.starts_with("wrong bytes")).count();
    anyhow::ensure!(wrong == 0, "{wrong} reads returned wrong bytes");
    Ok(())
}

fn key(number: u64) -> String {
    format!("{:02}/{number:08}.rnd", number % 100)
}

async fn fill(target: &Arc<Target>, bucket: &str, warp: &Warp) -> anyhow::Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..COMPARE_FILLERS.min(warp.concurrent as u64) {
        let (next, bucket, objects, bytes) = (next.clone(), bucket.to_owned(), warp.objects, warp.obj_size);
        let mut session = Session::new(target.clone(), PayloadHash::Unsigned);
        writers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= objects {
                    return anyhow::Ok(());
                }
                let mut last = Ok(());
                for _ in 0..FILL_TRIES {
                    last = put(&mut session, &bucket, &key(number), bytes).await.required("filling");
                    if last.is_ok() {
                        break;
                    }
                    tokio::time::sleep(POLL).await;
                }
                last?;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn put(session: &mut Session, bucket: &str, key: &str, bytes: u64) -> Outcome<()> {
    let content = Content::of(key, 1, bytes);
    session.put(&Put { bucket, key, version: 1, content, condition: Condition::Always }).await.map(drop)
}

/// One client, with its share of the objects: it deletes and reads only these, so that nobody reads what another deletes.
struct Client {
    session: Session,
    bucket: String,
    thread: usize,
    bytes: u64,
    shares: [u32; 4],
    keys: Vec<String>,
    fresh: Arc<AtomicU64>,
    dice: StdRng,
}

impl Client {
    fn new(warp: &Warp, target: &Arc<Target>, bucket: &str, thread: usize, fresh: Arc<AtomicU64>) -> Self {
        let own = (0..warp.objects).filter(|number| *number as usize % warp.concurrent == thread);
        Self {
            session: Session::new(target.clone(), PayloadHash::Unsigned),
            bucket: bucket.to_owned(),
            thread,
            bytes: warp.obj_size,
            shares: [warp.get_distrib, warp.stat_distrib, warp.put_distrib, warp.delete_distrib],
            keys: own.map(key).collect(),
            fresh,
            dice: StdRng::seed_from_u64(warp.seed ^ (thread as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        }
    }

    async fn run(mut self, end: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        while clock::now() < end {
            lines.push(self.step().await);
        }
        lines
    }

    fn draw(&mut self) -> Op {
        let mut left = self.dice.random_range(0..self.shares.iter().sum::<u32>().max(1));
        let drawn = Op::ALL.into_iter().zip(self.shares).find(|(_, share)| {
            let found = left < *share;
            left = left.saturating_sub(*share);
            found
        });
        let op = drawn.map_or(Op::Get, |(op, _)| op);
        // The last object of a client is kept: there is always something to read.
        if op == Op::Delete && self.keys.len() < 2 { Op::Put } else { op }
    }

    async fn step(&mut self) -> Line {
        let op = self.draw();
        let place = self.dice.random_range(0..self.keys.len().max(1));
        let key = match op {
            Op::Put => key(self.fresh.fetch_add(1, Ordering::Relaxed)),
            Op::Delete => self.keys.swap_remove(place),
            Op::Get | Op::Stat => self.keys.get(place).cloned().unwrap_or_default(),
        };
        let begun = clock::now();
        let mut first_byte = None;
        let outcome = match op {
            Op::Put => put(&mut self.session, &self.bucket, &key, self.bytes).await.map(|()| self.bytes),
            Op::Delete => self.session.delete(&self.bucket, &key).await.map(|()| 0),
            Op::Stat => self.session.head(&self.bucket, &key).await.map(|_| 0),
            Op::Get => {
                let expected = Content::of(&key, 1, self.bytes);
                let read = self.session.get(&self.bucket, &key).await;
                first_byte = Some(clock::now());
                match read.and_then(async |download| download.verify(expected, 0).await).await {
                    Outcome::Ok(Err(mismatch)) => {
                        let error = format!("wrong bytes: {mismatch}");
                        let (thread, ended) = (self.thread, clock::now());
                        return Line { thread, op, bytes: 0, key, error, begun, first_byte, ended };
                    }
                    other => other.map(|checked| checked.unwrap_or(0)),
                }
            }
        };
        let ended = clock::now();
        let (bytes, error) = match outcome {
            Outcome::Ok(bytes) => (bytes, String::new()),
            Outcome::Refused(refusal) => (0, format!("{} {}", refusal.status, refusal.code)),
            Outcome::Unsent(why) => (0, why),
            Outcome::Unknown(lost) => (0, lost.to_string()),
        };
        if op == Op::Put && error.is_empty() {
            self.keys.push(key.clone());
        }
        Line { thread: self.thread, op, bytes, key, error, begun, first_byte, ended }
    }
}

/// From when every client has ended its first request to when the first client has begun its last: all are at work.
fn window(lines: &[Line]) -> Option<(Instant, Instant)> {
    let threads = lines.iter().map(|line| line.thread).max()? + 1;
    let of = |thread: usize| lines.iter().filter(move |line| line.thread == thread);
    let from = (0..threads).filter_map(|thread| of(thread).map(|line| line.ended).min()).max()?;
    let to = (0..threads).filter_map(|thread| of(thread).map(|line| line.begun).max()).min()?;
    (to > from).then_some((from, to))
}

fn summary(lines: &[Line]) -> String {
    let Some((from, to)) = window(lines) else { return "no window: a client has not ended a second request".into() };
    let seconds = (to - from).as_secs_f64();
    let mut text = format!(
        "{:<7} {:>9} {:>10} {:>10} {:>9} {:>9} {:>9} {:>7}\n",
        "op", "requests", "obj/s", "MiB/s", "avg ms", "p50 ms", "p99 ms", "errors"
    );
    for op in Op::ALL {
        let inside: Vec<&Line> =
            lines.iter().filter(|line| line.op == op && line.begun >= from && line.ended <= to).collect();
        let good: Vec<&&Line> = inside.iter().filter(|line| line.error.is_empty()).collect();
        let mut took: Vec<f64> = good.iter().map(|line| (line.ended - line.begun).as_secs_f64() * 1_000.0).collect();
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took.get(((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1)));
        let bytes: u64 = good.iter().map(|line| line.bytes).sum();
        writeln!(
            text,
            "{:<7} {:>9} {:>10.2} {:>10.2} {:>9.2} {:>9.2} {:>9.2} {:>7}",
            op.name(),
            good.len(),
            good.len() as f64 / seconds,
            bytes as f64 / f64::from(1 << 20) / seconds,
            took.iter().sum::<f64>() / took.len().max(1) as f64,
            at(0.5).copied().unwrap_or(0.0),
            at(0.99).copied().unwrap_or(0.0),
            inside.len() - good.len()
        )
        .expect("writing to a String cannot fail");
    }
    text.push_str(&format!("window of {seconds:.1} s, in which all clients were at work"));
    text
}

/// The columns of warp's data.
fn csv(lines: &[Line], endpoint: &str, began: Instant, wall: time::OffsetDateTime) -> String {
    let mut text =
        "idx\tthread\top\tclient_id\tn_objects\tbytes\tendpoint\tfile\terror\tstart\tfirst_byte\tend\tduration_ns\n"
            .to_owned();
    let format = time::format_description::well_known::Rfc3339;
    let at = |moment: Instant| {
        let moment = wall + (moment.saturating_duration_since(began));
        moment.format(&format).unwrap_or_default()
    };
    for (number, line) in lines.iter().enumerate() {
        let first = line.first_byte.map(at).unwrap_or_default();
        writeln!(
            text,
            "{number}\t{}\t{}\t\t1\t{}\t{endpoint}\t{}\t{}\t{}\t{first}\t{}\t{}",
            line.thread,
            line.op.name(),
            line.bytes,
            line.key,
            line.error.replace(['\t', '\n'], " "),
            at(line.begun),
            at(line.ended),
            (line.ended - line.begun).as_nanos()
        )
        .expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(thread: usize, began: Instant, from_ms: u64, to_ms: u64) -> Line {
        Line {
            thread,
            op: Op::Put,
            bytes: 10,
            key: "00/00000001.rnd".into(),
            error: String::new(),
            begun: began + Duration::from_millis(from_ms),
            first_byte: None,
            ended: began + Duration::from_millis(to_ms),
        }
    }

    #[test]
    fn the_window_is_that_in_which_all_clients_are_at_work() {
        let began = clock::now();
        let lines = [
            line(0, began, 0, 10),
            line(0, began, 10, 90),
            line(0, began, 90, 99),
            line(1, began, 5, 30),
            line(1, began, 70, 95),
        ];
        let (from, to) = window(&lines).expect("two clients");
        assert_eq!((from - began, to - began), (Duration::from_millis(30), Duration::from_millis(70)));
        assert!(window(&lines[..1]).is_none());
    }

    #[test]
    fn every_request_is_a_row_of_thirteen_columns() {
        let began = clock::now();
        let wall = time::macros::datetime!(2026-01-02 03:04:05 UTC);
        let text = csv(&[line(3, began, 0, 1_500)], "http://x:1", began, wall);
        let rows: Vec<Vec<&str>> = text.lines().map(|row| row.split('\t').collect()).collect();
        assert_eq!((rows[0].len(), rows[1].len()), (13, 13));
        assert_eq!(rows[1][1..3], ["3", "PUT"]);
        assert_eq!(rows[1][9..], ["2026-01-02T03:04:05Z", "", "2026-01-02T03:04:06.5Z", "1500000000"]);
    }
}
