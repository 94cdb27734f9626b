//! What goes wrong, and when: drawn from the seed as the run goes on.

use crate::{host::Down, net::Moment};
use bulkhead_cell::chunks::disk;
use bulkhead_service::env::Rng;

/// One of the cell's three places, counted from 1. Who has it changes when a node is replaced.
pub type Slot = usize;
pub const SLOTS: usize = 3;
/// One of the routers, counted from 0.
pub type RouterAt = usize;
const ROUTERS: usize = 2;

/// What does not pass between a router and a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    Both,
    /// What the router sends.
    There,
    /// What it is answered.
    Back,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Crash(Slot, Down),
    /// All nodes at once.
    CrashAll(Down),
    /// The power fails at the very moment at which a node has given such an answer, after some that are let pass.
    CutAt(Moment, Whom, u64),
    /// The power of all fails in the middle of what their chunk stores' disks do, each after so many steps at most.
    CutInDisk(u64),
    /// Nothing goes to or comes from the other nodes.
    Isolate(Slot),
    /// Nor from the routers.
    CutOff(Slot),
    /// What the first sends does not reach the second.
    OneWay(Slot, Slot),
    /// What the first sends to the second takes up to so many milliseconds longer.
    SlowLink(Slot, Slot, u64),
    /// Of a thousand messages so many break their connection.
    Loss(u64),
    /// Each piece of work of the disk takes up to so many milliseconds.
    SlowDisk(Slot, u64),
    /// As above, on all nodes.
    SlowDisks(u64),
    /// The leader is isolated. The power of the node that then votes for another fails as it has voted, and it comes back to
    /// the old leader's side, cut off from the new one.
    Coup,
    /// The wall clock is off by so many milliseconds from now on, and those of the other places are right again: while two of three are
    /// off, a cell takes the wrong time for the right one.
    Clock(Slot, i64),
    /// The disk of the chunk store fails once. A read fails only where bits rot, as the copy elsewhere may be the last that is whole.
    Disk(Slot, disk::Fault),
    /// The next sync of the Raft log fails.
    LogSync(Slot),
    /// So many bits of the chunk store are flipped, on the disks of one place only: what rots in two is beyond what a cell stands.
    Rot(u64),
    /// A node's data are gone; another takes its place. Not in runs in which bits rot.
    Wipe(Slot),
    /// A node that is well is replaced.
    Replace(Slot),
    /// The leader hands over.
    HandOver(Slot),
    /// A router's process or machine ends.
    RouterDown(RouterAt, Down),
    /// Nothing passes between a router and a place.
    RouterCut(RouterAt, Slot, Gap),
    /// Nothing passes between a router and the clients.
    RouterAway(RouterAt, Gap),
    /// What passes between a router and a place takes up to so many milliseconds longer.
    RouterSlow(RouterAt, Slot, u64),
}

/// Who loses power when somebody gives an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Who gave it.
    Him,
    /// Who gave it, and who got it.
    Both,
    All,
}

impl Fault {
    pub fn is_of_network(self) -> bool {
        match self {
            Self::Isolate(_)
            | Self::CutOff(_)
            | Self::OneWay(..)
            | Self::SlowLink(..)
            | Self::Loss(_)
            | Self::Coup
            | Self::RouterCut(..)
            | Self::RouterAway(..)
            | Self::RouterSlow(..) => true,
            Self::Crash(..)
            | Self::CrashAll(_)
            | Self::CutAt(..)
            | Self::CutInDisk(_)
            | Self::SlowDisk(..)
            | Self::SlowDisks(_)
            | Self::Clock(..)
            | Self::Disk(..)
            | Self::LogSync(_)
            | Self::Rot(_)
            | Self::Wipe(_)
            | Self::Replace(_)
            | Self::HandOver(_)
            | Self::RouterDown(..) => false,
        }
    }
}

/// What a run goes through: some have but one kind of trouble, others have all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Calm,
    Crashes,
    Network,
    /// Disks that fail, are slow and rot.
    Disks,
    /// Power cuts at the worst moments, on disks that are slower than the network.
    Cuts,
    /// Leaders come and go, and who has voted loses power.
    Votes,
    /// Nodes are wiped and replaced, and the lead is handed over.
    Members,
    /// Routers end, and what passes between them, nodes and clients is lost, late or goes one way.
    Routers,
    All,
    /// As `All`, four times as long and with more writes: the log is purged, and who was away catches up by checkpoint.
    Long,
}

/// By seed, so that any few seeds in a row meet all of it.
const YEAR: [Weather; 16] = [
    Weather::All,
    Weather::Cuts,
    Weather::Members,
    Weather::Disks,
    Weather::Votes,
    Weather::Network,
    Weather::Long,
    Weather::Crashes,
    Weather::Routers,
    Weather::Cuts,
    Weather::Members,
    Weather::Disks,
    Weather::Votes,
    Weather::All,
    Weather::Cuts,
    Weather::Calm,
];

impl Weather {
    pub fn of(seed: u64) -> Self {
        YEAR[usize::try_from(seed % YEAR.len() as u64).expect("few")]
    }

    /// How long clients work, milliseconds.
    pub fn load_ms(self) -> u64 {
        if self == Self::Long { 80_000 } else { 20_000 }
    }

    /// The longest pause of a client between two operations, milliseconds.
    pub fn think_ms(self) -> u64 {
        match self {
            Self::Long | Self::Members => 120,
            Self::Cuts | Self::Votes => 80,
            Self::Calm | Self::Crashes | Self::Network | Self::Disks | Self::All => 250,
            Self::Routers => 120,
        }
    }

    /// Bytes of the log between two checkpoints.
    pub fn checkpoint_log_bytes(self) -> u64 {
        match self {
            Self::Long | Self::Members => 16 << 10,
            Self::Calm
            | Self::Crashes
            | Self::Network
            | Self::Disks
            | Self::Cuts
            | Self::Votes
            | Self::Routers
            | Self::All => 64 << 10,
        }
    }

    /// The next fault, how long until it comes and how long it lasts, milliseconds. `None` in calm weather.
    pub fn next(self, rng: &Rng) -> Option<(u64, u64, Fault)> {
        let any = |faults: &[fn(&Rng) -> Fault]| faults[at(rng, faults.len())](rng);
        let (fault, calm, lasts) = match self {
            Self::Calm => return None,
            Self::Crashes => (any(&[crash, crash, crash, router_down]), 3_000, 6_000),
            Self::Network => (any(&[network, network, router_link]), 3_000, 6_000),
            Self::Disks => (any(&[disks, disks, disks, rot, rot, crash, network]), 2_000, 5_000),
            Self::Cuts => (any(&[cut, cut, cut, slow, slow, crash, network]), 1_500, 4_000),
            Self::Votes => {
                (any(&[|_| Fault::Coup, |_| Fault::Coup, |_| Fault::Coup, vote_cut, slow, hand_over]), 1_500, 5_000)
            }
            Self::Routers => {
                (any(&[router_down, router_link, router_link, router_link, crash, network, hand_over]), 1_500, 5_000)
            }
            Self::Members => (any(&[member, member, crash, network, cut]), 3_000, 5_000),
            Self::All => (
                any(&[crash, crash, network, router_link, disks, cut, clock, rot, hand_over, slow, router]),
                3_000,
                6_000,
            ),
            Self::Long => (any(&[crash, crash, network, disks, cut, clock, rot, hand_over, router]), 4_000, 20_000),
        };
        Some((1 + rng.below(calm), 1 + rng.below(lasts), fault))
    }
}

fn at(rng: &Rng, of: usize) -> usize {
    usize::try_from(rng.below(of as u64)).expect("few")
}

fn slot(rng: &Rng) -> Slot {
    1 + at(rng, SLOTS)
}

fn two(rng: &Rng) -> (Slot, Slot) {
    let (from, to) = (slot(rng), 1 + at(rng, SLOTS - 1));
    (from, if to >= from { to + 1 } else { to })
}

fn down(rng: &Rng) -> Down {
    if rng.below(3) == 0 { Down::Kill } else { Down::Power }
}

fn crash(rng: &Rng) -> Fault {
    let how = down(rng);
    if rng.below(6) == 0 { Fault::CrashAll(how) } else { Fault::Crash(slot(rng), how) }
}

fn router(rng: &Rng) -> Fault {
    if rng.below(3) == 0 { router_down(rng) } else { router_link(rng) }
}

fn router_down(rng: &Rng) -> Fault {
    Fault::RouterDown(at(rng, ROUTERS), down(rng))
}

fn router_link(rng: &Rng) -> Fault {
    let (router, slot) = (at(rng, ROUTERS), slot(rng));
    let gap = [Gap::Both, Gap::There, Gap::Back, Gap::Back][at(rng, 4)];
    match rng.below(6) {
        0 => Fault::RouterAway(router, gap),
        1 => Fault::RouterSlow(router, slot, 20 + rng.below(2_000)),
        2 => Fault::Loss(10 + rng.below(200)),
        _ => Fault::RouterCut(router, slot, gap),
    }
}

fn network(rng: &Rng) -> Fault {
    let (from, to) = two(rng);
    match rng.below(6) {
        0 => Fault::Isolate(from),
        1 => Fault::CutOff(from),
        2 | 3 => Fault::OneWay(from, to),
        4 => Fault::SlowLink(from, to, 20 + rng.below(800)),
        _ => Fault::Loss(10 + rng.below(200)),
    }
}

fn disks(rng: &Rng) -> Fault {
    let slot = slot(rng);
    match rng.below(8) {
        0 => Fault::Disk(slot, disk::Fault::Write(rng.below(8))),
        1 => Fault::Disk(slot, disk::Fault::Sync(rng.below(8))),
        2 => Fault::Disk(slot, disk::Fault::Directory(rng.below(3))),
        3 => Fault::Disk(slot, disk::Fault::Read(rng.below(8))),
        4 => Fault::Disk(slot, disk::Fault::WriteNoSpace(rng.below(8))),
        5 => Fault::LogSync(slot),
        _ => Fault::SlowDisk(slot, 10 + rng.below(900)),
    }
}

fn rot(rng: &Rng) -> Fault {
    Fault::Rot(1 + rng.below(200))
}

/// From a little slower than the network to much slower.
fn slow(rng: &Rng) -> Fault {
    Fault::SlowDisks(10 + rng.below(10 + rng.below(400)))
}

fn cut(rng: &Rng) -> Fault {
    let moment = match rng.below(6) {
        0 => return Fault::CutInDisk(1 + rng.below(8)),
        1 => Moment::Append,
        2 | 3 => Moment::Chunk,
        _ => Moment::Outcome,
    };
    let whom = match rng.below(4) {
        0 => Whom::Him,
        1 => Whom::Both,
        _ => Whom::All,
    };
    Fault::CutAt(moment, whom, rng.below(6))
}

fn vote_cut(rng: &Rng) -> Fault {
    Fault::CutAt(Moment::Vote, Whom::Him, rng.below(2))
}

fn hand_over(rng: &Rng) -> Fault {
    Fault::HandOver(slot(rng))
}

fn member(rng: &Rng) -> Fault {
    match rng.below(4) {
        0 => Fault::HandOver(slot(rng)),
        1 => Fault::Wipe(slot(rng)),
        _ => Fault::Replace(slot(rng)),
    }
}

/// Up to an hour, either way.
fn clock(rng: &Rng) -> Fault {
    const HOUR_MS: i64 = 3_600_000;
    Fault::Clock(slot(rng), HOUR_MS - i64::try_from(rng.below(2 * 3_600_000)).expect("two hours"))
}
