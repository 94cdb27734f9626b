//! `slowclients`: thousands of connections whose heads or bodies trickle in, and hundreds of clients that ask for much and never
//! read. What well-behaved clients of another account in the same cell see, and how much memory router and nodes take, is printed.
//!
//! The slow ones come from addresses of their own (127.0.0.2 and up), as they would in the world: a router gives one source a share. What it
//! costs to be one of them is paid by a thread that gives way to all others on the machine.

use super::{peaks::Peaks, pulse::Pulse};
use crate::{
    apart::apart,
    client::{Call, Condition, PayloadHash, Put, Session, Target},
    clock,
    limits::{ACCOUNTS_TRIED, SLOW_RESIDENT_BYTES_MAX},
    machine,
    settings::{Service, Site},
    workload::Content,
};
use bulkhead_model::CellId;
use clap::Args;
use http::Method;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};

/// What a client that never reads asks for.
const LARGE: &str = "large";
const LARGE_BYTES: u64 = 32 << 20;
/// What a client announces and hardly sends.
const ANNOUNCED_BYTES: u64 = 1 << 20;
/// Between two bytes.
const TRICKLE: Duration = Duration::from_secs(2);
/// Before a client whose connection was closed comes again.
const AGAIN: Duration = Duration::from_millis(500);
/// From one source.
const PER_SOURCE: usize = 500;

#[derive(Debug, Args)]
pub struct SlowClients {
    #[command(flatten)]
    service: Service,
    /// Clients that behave, each with fifty requests a second
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Connections that trickle: four of five heads, the fifth bodies
    #[arg(long, default_value_t = 2000)]
    loris: usize,
    /// Clients that never read
    #[arg(long, default_value_t = 500)]
    deaf: usize,
    /// Seconds before
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Seconds in which the slow clients come
    #[arg(long, default_value_t = 5)]
    arrival_seconds: u64,
    /// Seconds with slow clients
    #[arg(long, default_value_t = 40)]
    slow_seconds: u64,
    /// How much p99 of the others may grow, in percent, and by more than 20 ms
    #[arg(long, default_value_t = 50)]
    tolerance_percent: u32,
}

/// How a client misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vice {
    SlowHead,
    SlowBody,
    NeverReads,
}

/// What slow clients met with.
#[derive(Debug, Default)]
struct Tally {
    open: AtomicUsize,
    most: AtomicUsize,
    closed: AtomicUsize,
    refused: AtomicUsize,
}

/// Serves slow clients beside others.
///
/// # Errors
/// When the others see errors or a higher p99, or a process takes more memory than it may.
pub async fn run(slow: &SlowClients) -> anyhow::Result<()> {
    machine::raise_open_files(slow.loris + slow.deaf + 256)?;
    let site = slow.service.open().await?;
    let (target, cell) = site.new_account("slowclients").await?;
    let bucket = format!("slowclients-{}", clock::stamp());
    super::first_bucket(&target, &bucket).await?;
    let mut session = Session::new(target.clone(), PayloadHash::Unsigned);
    let content = Content::of(LARGE, 1, LARGE_BYTES);
    let put = Put { bucket: &bucket, key: LARGE, version: 1, content, condition: Condition::Always };
    session.put(&put).await.required("writing the object that nobody reads")?;
    let peaks = Peaks::watch(&site.cluster).await?;
    let (quiet, its_bucket) = neighbour(&site, &cell).await?;
    let pulse = Pulse::start(&quiet, &its_bucket, slow.clients, Duration::from_millis(20));
    sleep(Duration::from_secs(2)).await;

    let begun = clock::now();
    sleep(Duration::from_secs(slow.seconds)).await;
    let before = pulse.between(begun, clock::now());
    println!("cell {cell}\n  before    {before}\n  memory    {}", peaks.text());

    let tally = Arc::<Tally>::default();
    let (end, ended) = oneshot::channel();
    let mut slow_ones = JoinSet::new();
    slow_ones.spawn({
        let (counts, arrival) = ((slow.loris, slow.deaf), Duration::from_secs(slow.arrival_seconds));
        let tally = tally.clone();
        apart("slow clients", move || crowd(counts, arrival, (target, bucket), tally, ended))
    });
    let (begun, span) = (clock::now(), Duration::from_secs(slow.slow_seconds));
    for fifth in 1..=5 {
        tokio::time::sleep_until((begun + span * fifth / 5).into()).await;
        let from = begun + span * (fifth - 1) / 5;
        println!(
            "  slow {fifth}/5  {}; {} slow connections",
            pulse.between(from, clock::now()),
            tally.open.load(Ordering::Relaxed)
        );
    }
    let during = pulse.between(begun, clock::now());
    let Tally { most, closed, refused, .. } = &*tally;
    let [most, closed, refused] = [most, closed, refused].map(|count| count.load(Ordering::Relaxed));
    println!("  with them {during}\n  memory    {}", peaks.text());
    println!("  slow connections: at most {most} at a time, {closed} cut off, {refused} not taken");
    drop(end);
    while let Some(slow_one) = slow_ones.join_next().await {
        slow_one??;
    }
    sleep(Duration::from_secs(2)).await;
    let begun = clock::now();
    sleep(Duration::from_secs(slow.seconds)).await;
    println!("  after     {}", pulse.between(begun, clock::now()));
    pulse.stop().await?;

    anyhow::ensure!(during.failed() == 0, "{} requests of well-behaved clients failed", during.failed());
    let factor = 1.0 + f64::from(slow.tolerance_percent) / 100.0;
    let allowed = before.p99.mul_f64(factor).max(before.p99 + Duration::from_millis(20));
    anyhow::ensure!(during.p99 <= allowed, "p99 grew from {:?} to {:?}", before.p99, during.p99);
    peaks.check(SLOW_RESIDENT_BYTES_MAX)?;
    println!("slowclients passed");
    Ok(())
}

/// Another account in a cell, and a bucket of it.
async fn neighbour(site: &Site, cell: &CellId) -> anyhow::Result<(Arc<Target>, String)> {
    for number in 0..ACCOUNTS_TRIED {
        let (target, found) = site.new_account(&format!("quiet-{number}")).await?;
        if found == *cell {
            let bucket = format!("quiet-{}", clock::stamp());
            super::first_bucket(&target, &bucket).await?;
            return Ok((target, bucket));
        }
    }
    anyhow::bail!("none of {ACCOUNTS_TRIED} accounts was placed in cell {cell}")
}

/// Slow clients, who come one after the other, until `end`.
async fn crowd(
    (loris, deaf): (usize, usize),
    arrival: Duration,
    (target, bucket): (Arc<Target>, String),
    tally: Arc<Tally>,
    ended: oneshot::Receiver<()>,
) {
    let (begun, count) = (clock::now(), loris + deaf);
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let vice = match number {
            // One of them among so many that trickle.
            number if number * deaf / count != (number + 1) * deaf / count => Vice::NeverReads,
            number if !number.is_multiple_of(5) => Vice::SlowHead,
            _ => Vice::SlowBody,
        };
        let source = Ipv4Addr::new(127, 0, 0, u8::try_from(2 + number / PER_SOURCE).unwrap_or(255));
        let (target, bucket, tally) = (target.clone(), bucket.clone(), tally.clone());
        let comes = begun + arrival.mul_f64(number as f64 / count as f64);
        tasks.spawn(async move {
            tokio::time::sleep_until(comes.into()).await;
            misbehave(vice, source.into(), target, bucket, tally).await;
        });
    }
    // Told by that nobody will tell it any more.
    let _ = ended.await;
}

async fn misbehave(vice: Vice, source: IpAddr, target: Arc<Target>, bucket: String, tally: Arc<Tally>) {
    let mut session = Session::new(target.clone(), PayloadHash::Unsigned);
    loop {
        let head = match vice {
            Vice::SlowHead | Vice::NeverReads => session.head_text(Call::new(Method::GET, &bucket, LARGE), None),
            Vice::SlowBody => session.head_text(Call::new(Method::PUT, &bucket, "never"), Some(ANNOUNCED_BYTES)),
        };
        match connect(source, target.address()).await {
            Ok(stream) => {
                let open = tally.open.fetch_add(1, Ordering::Relaxed) + 1;
                tally.most.fetch_max(open, Ordering::Relaxed);
                // It ends when the server has had enough.
                let _ = linger(stream, vice, &head).await;
                tally.open.fetch_sub(1, Ordering::Relaxed);
                tally.closed.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => drop(tally.refused.fetch_add(1, Ordering::Relaxed)),
        }
        sleep(AGAIN).await;
    }
}

async fn connect(source: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Little room for what is not read.
    socket.set_recv_buffer_size(4096)?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(to).await
}

async fn linger(mut stream: TcpStream, vice: Vice, head: &str) -> std::io::Result<()> {
    let trickle: Box<dyn Iterator<Item = u8> + Send> = match vice {
        Vice::SlowHead => Box::new(head.bytes()),
        Vice::SlowBody => {
            stream.write_all(head.as_bytes()).await?;
            Box::new(std::iter::repeat_n(b'x', ANNOUNCED_BYTES as usize))
        }
        Vice::NeverReads => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                sleep(TRICKLE).await;
                // A connection that was cut off is found out without reading a byte of the answer.
                if stream.take_error()?.is_some()
                    || stream.ready(tokio::io::Interest::WRITABLE).await?.is_write_closed()
                {
                    return Ok(());
                }
            }
        }
    };
    for byte in trickle {
        stream.write_all(&[byte]).await?;
        let mut answer = [0; 1024];
        if let Ok(Ok(0) | Err(_)) = timeout(TRICKLE, stream.read(&mut answer)).await {
            return Ok(());
        }
    }
    Ok(())
}
