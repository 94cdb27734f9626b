//! What goes wrong, and when: drawn from the seed as the run goes on.

use crate::host::Down;
use bulkhead_cell::chunks::disk;
use bulkhead_service::env::Rng;

/// The longest calm between two faults, milliseconds.
const CALM_MS: u64 = 3_000;
/// The longest a fault lasts, milliseconds.
const LASTS_MS: u64 = 6_000;

/// One thing that goes wrong. Nodes are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Crash(usize, Down),
    /// All nodes at once.
    CrashAll(Down),
    /// Nothing goes to or comes from the other nodes.
    Isolate(usize),
    /// Nor from the clients.
    CutOff(usize),
    /// What the first sends does not reach the second.
    OneWay(usize, usize),
    /// What the first sends to the second takes up to so many milliseconds longer.
    SlowLink(usize, usize, u64),
    /// Of a thousand messages so many break their connection.
    Loss(u64),
    /// Each piece of work of the disk takes up to so many milliseconds.
    SlowDisk(usize, u64),
    /// The wall clock jumps by so many milliseconds.
    Clock(usize, i64),
    /// The disk of the chunk store fails once.
    Disk(usize, disk::Fault),
}

impl Fault {
    pub fn is_of_network(self) -> bool {
        match self {
            Self::Isolate(_) | Self::CutOff(_) | Self::OneWay(..) | Self::SlowLink(..) | Self::Loss(_) => true,
            Self::Crash(..) | Self::CrashAll(_) | Self::SlowDisk(..) | Self::Clock(..) | Self::Disk(..) => false,
        }
    }
}

/// What a run goes through, by seed: some have but one kind of trouble, most have all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Calm,
    Crashes,
    Network,
    Disks,
    All,
}

impl Weather {
    pub fn of(rng: &Rng) -> Self {
        match rng.below(10) {
            0 => Self::Calm,
            1 | 2 => Self::Crashes,
            3 | 4 => Self::Network,
            5 => Self::Disks,
            _ => Self::All,
        }
    }

    /// The next fault, how long until it comes and how long it lasts. `None` in calm weather.
    pub fn next(self, rng: &Rng, nodes: usize) -> Option<(u64, u64, Fault)> {
        let fault = match self {
            Self::Calm => return None,
            Self::Crashes => crash(rng, nodes),
            Self::Network => network(rng, nodes),
            Self::Disks => disks(rng, nodes),
            Self::All => match rng.below(8) {
                0..3 => crash(rng, nodes),
                3..6 => network(rng, nodes),
                6 => disks(rng, nodes),
                _ => Fault::Clock(node(rng, nodes), clock(rng)),
            },
        };
        Some((1 + rng.below(CALM_MS), 1 + rng.below(LASTS_MS), fault))
    }
}

fn node(rng: &Rng, nodes: usize) -> usize {
    1 + usize::try_from(rng.below(nodes as u64)).expect("few nodes")
}

fn two(rng: &Rng, nodes: usize) -> (usize, usize) {
    let from = node(rng, nodes);
    let to = node(rng, nodes - 1);
    (from, if to >= from { to + 1 } else { to })
}

fn down(rng: &Rng) -> Down {
    if rng.below(3) == 0 { Down::Kill } else { Down::Power }
}

fn crash(rng: &Rng, nodes: usize) -> Fault {
    let how = down(rng);
    if rng.below(6) == 0 { Fault::CrashAll(how) } else { Fault::Crash(node(rng, nodes), how) }
}

fn network(rng: &Rng, nodes: usize) -> Fault {
    let (from, to) = two(rng, nodes);
    match rng.below(6) {
        0 => Fault::Isolate(from),
        1 => Fault::CutOff(from),
        2 | 3 => Fault::OneWay(from, to),
        4 => Fault::SlowLink(from, to, 20 + rng.below(800)),
        _ => Fault::Loss(10 + rng.below(200)),
    }
}

fn disks(rng: &Rng, nodes: usize) -> Fault {
    let node = node(rng, nodes);
    match rng.below(5) {
        0 => Fault::Disk(node, disk::Fault::Write(rng.below(8))),
        1 => Fault::Disk(node, disk::Fault::Sync(rng.below(8))),
        2 => Fault::Disk(node, disk::Fault::Directory(rng.below(3))),
        _ => Fault::SlowDisk(node, 10 + rng.below(900)),
    }
}

/// Up to an hour, either way.
fn clock(rng: &Rng) -> i64 {
    const HOUR_MS: i64 = 3_600_000;
    HOUR_MS - i64::try_from(rng.below(2 * 3_600_000)).expect("two hours")
}
