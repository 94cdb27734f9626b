//! The simulation: accounts arrive day by day, are placed by [`bulkhead_control_plane::domain::placement`], and grow.
//!
//! An account of final size *s* holds *s*(1 − e^(−age/τ)). So what a whole cell has still to grow shrinks by the same share each day, and
//! a day costs one step for each cell, however many accounts there are. Placement knows what cells hold, never what accounts will be.

use bulkhead_control_plane::{
    domain::placement::{self, Load, Ring},
    limits::SOFT_LIMIT_PERCENT,
};
use bulkhead_model::{AccountId, CellId, blueprint::Capacity};
use bulkhead_service::{Env, env::Rng};
use std::{collections::HashMap, f64::consts::TAU, time::Duration};

/// Days of the year.
const DAYS: u64 = 365;
/// Headroom below which the next cell is stamped: hundredths of a cell's soft limit, over all that are open.
const FLOOR_PERCENT: u64 = 400;
/// Looks at the headroom in a day; a cell that is stamped is open at the next.
const LOOKS: u64 = 24;
/// Cells at the start: with fewer than candidates there would be nothing to choose.
const CELLS_FIRST: usize = 4;
/// One account may hold at most this share of a cell.
const ACCOUNT_SHARE_MAX: f64 = 0.1;

/// What is simulated.
pub struct Fleet {
    pub accounts: u64,
    pub mean_bytes: f64,
    pub sigma: f64,
    pub growth_days: f64,
    pub seed: u64,
    pub capacity: Capacity,
}

/// Some points of a distribution, as shares of a capacity.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spread {
    pub p5: f64,
    pub median: f64,
    pub p95: f64,
    pub max: f64,
}

/// How the fleet is at the end of a day.
pub struct Day {
    pub day: u64,
    pub cells: usize,
    pub closed: usize,
    /// Cells that would hold what is there, each filled exactly to its soft limit.
    pub ideal: u64,
    /// Of the scarcest dimension: of the cells that are closed, and of all.
    pub fill: Spread,
    pub all: Spread,
    /// Of the cells that are closed.
    pub bytes: Spread,
}

/// The whole year.
pub struct Year {
    pub days: Vec<Day>,
    pub placed: u64,
    pub refused: u64,
    pub decisions_per_second: f64,
    /// Bytes of closed cells once all accounts have their final size.
    pub grown: Spread,
    pub grown_sorted: Vec<f64>,
    pub bytes_sorted: Vec<f64>,
    pub overfull: usize,
    pub most_accounts: f64,
    pub most_bytes: f64,
    pub largest_account: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    accounts: u64,
    bytes: f64,
    /// What its accounts will still grow by.
    to_come: f64,
}

struct State<'a> {
    fleet: &'a Fleet,
    cells: Vec<Cell>,
    numbers: HashMap<CellId, usize>,
    /// Of the cells that are open. Made anew when one opens or closes.
    ring: Option<Ring>,
}

impl State<'_> {
    fn loads(&self, cell: &Cell) -> [Load; 2] {
        let capacity = &self.fleet.capacity;
        [
            Load { accounts: cell.accounts, capacity: capacity.accounts },
            Load { accounts: cell.bytes as u64, capacity: capacity.bytes },
        ]
    }

    /// The dimension of which the smallest share is left.
    fn scarcest(&self, cell: &Cell) -> Load {
        let [accounts, bytes] = self.loads(cell);
        if left(accounts) <= left(bytes) { accounts } else { bytes }
    }

    fn is_open(&self, cell: &Cell) -> bool {
        self.scarcest(cell).has_room()
    }

    fn stamp(&mut self) -> anyhow::Result<()> {
        let id: CellId = format!("c{}", self.cells.len() + 1).parse()?;
        self.numbers.insert(id, self.cells.len());
        self.cells.push(Cell::default());
        self.ring = None;
        Ok(())
    }

    /// Stamps what is missing to the floor, and forgets the ring when a cell has closed.
    fn look(&mut self) -> anyhow::Result<()> {
        let open =
            |state: &Self| state.cells.iter().map(|cell| (left(state.scarcest(cell)) * 100.0) as u64).sum::<u64>();
        while open(self) < FLOOR_PERCENT {
            self.stamp()?;
        }
        let mut eligible: Vec<_> =
            self.numbers.iter().filter(|(_, at)| self.is_open(&self.cells[**at])).map(|(id, _)| id.clone()).collect();
        eligible.sort();
        if !self.ring.as_ref().is_some_and(|ring| ring.is_of(&eligible)) {
            self.ring = Some(Ring::of(&eligible));
        }
        Ok(())
    }

    /// Where an account goes; `None` when none of its candidates has room.
    fn place(&self, account: AccountId) -> Option<usize> {
        let candidates = self.ring.as_ref()?.candidates(account);
        let numbers: Vec<usize> = candidates.iter().filter_map(|cell| self.numbers.get(cell).copied()).collect();
        let loads: Vec<Load> = numbers.iter().map(|&at| self.scarcest(&self.cells[at])).collect();
        placement::choose(&loads).map(|position| numbers[position])
    }

    fn ideal(&self) -> u64 {
        let capacity = &self.fleet.capacity;
        let soft = |capacity: u64| capacity as f64 * SOFT_LIMIT_PERCENT as f64 / 100.0;
        let bytes: f64 = self.cells.iter().map(|cell| cell.bytes).sum();
        let accounts: u64 = self.cells.iter().map(|cell| cell.accounts).sum();
        (bytes / soft(capacity.bytes)).max(accounts as f64 / soft(capacity.accounts)).ceil() as u64
    }

    fn used(&self, cell: &Cell) -> f64 {
        let load = self.scarcest(cell);
        load.accounts as f64 / load.capacity as f64
    }

    fn day(&self, day: u64) -> Day {
        let closed: Vec<&Cell> = self.cells.iter().filter(|cell| !self.is_open(cell)).collect();
        let bytes = self.fleet.capacity.bytes as f64;
        Day {
            day,
            cells: self.cells.len(),
            closed: closed.len(),
            ideal: self.ideal(),
            fill: spread(closed.iter().map(|cell| self.used(cell)).collect()),
            all: spread(self.cells.iter().map(|cell| self.used(cell)).collect()),
            bytes: spread(closed.iter().map(|cell| cell.bytes / bytes).collect()),
        }
    }
}

/// The share of a soft limit that is left.
fn left(load: Load) -> f64 {
    load.soft_limit().saturating_sub(load.accounts) as f64 / load.soft_limit().max(1) as f64
}

fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let position = (values.len().saturating_sub(1) as f64 * part).round() as usize;
        values.get(position).copied().unwrap_or_default()
    };
    Spread { p5: at(0.05), median: at(0.5), p95: at(0.95), max: at(1.0) }
}

/// Runs the year.
///
/// # Errors
/// When a name or an id is none, which would be a mistake here.
pub fn run(fleet: &Fleet, env: &Env) -> anyhow::Result<Year> {
    let mut state = State { fleet, cells: Vec::new(), numbers: HashMap::new(), ring: None };
    for _ in 0..CELLS_FIRST {
        state.stamp()?;
    }
    let chance = Chance(Rng::from_seed(fleet.seed));
    let grows = 1.0 - (-1.0 / fleet.growth_days).exp();
    let (mut days, mut placed, mut refused, mut deciding, mut largest) = (Vec::new(), 0, 0, Duration::ZERO, 0.0_f64);
    for day in 0..DAYS {
        for look in 0..LOOKS {
            let slot = day * LOOKS + look;
            let arriving = fleet.accounts * (slot + 1) / (DAYS * LOOKS) - fleet.accounts * slot / (DAYS * LOOKS);
            let wanted: Vec<(AccountId, f64)> = (0..arriving)
                .map(|_| anyhow::Ok((chance.account()?, chance.size(fleet))))
                .collect::<anyhow::Result<_>>()?;
            let began = env.clock.now();
            state.look()?;
            for (account, size) in wanted {
                let Some(at) = state.place(account) else {
                    refused += 1;
                    continue;
                };
                let size = size.min(ACCOUNT_SHARE_MAX * fleet.capacity.bytes as f64);
                largest = largest.max(size);
                let cell = &mut state.cells[at];
                cell.accounts += 1;
                cell.to_come += size;
                placed += 1;
            }
            deciding += env.clock.now().saturating_duration_since(began);
        }
        for cell in &mut state.cells {
            let more = cell.to_come * grows;
            (cell.bytes, cell.to_come) = (cell.bytes + more, cell.to_come - more);
        }
        days.push(state.day(day + 1));
    }
    Ok(end(&state, days, (placed, refused, deciding), largest))
}

fn end(state: &State<'_>, days: Vec<Day>, (placed, refused, deciding): (u64, u64, Duration), largest: f64) -> Year {
    let capacity = state.fleet.capacity.bytes as f64;
    let sorted = |value: &dyn Fn(&Cell) -> f64| {
        let mut values: Vec<f64> = state.cells.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let grown = |cell: &Cell| (cell.bytes + cell.to_come) / capacity;
    let closed = state.cells.iter().filter(|cell| !state.is_open(cell));
    let bytes: f64 = state.cells.iter().map(|cell| cell.bytes).sum();
    let most = |value: &dyn Fn(&Cell) -> f64| state.cells.iter().map(value).fold(0.0, f64::max);
    Year {
        days,
        placed,
        refused,
        decisions_per_second: (placed + refused) as f64 / deciding.as_secs_f64(),
        grown: spread(closed.map(grown).collect()),
        overfull: state.cells.iter().filter(|cell| grown(cell) > 1.0).count(),
        grown_sorted: sorted(&grown),
        bytes_sorted: sorted(&|cell| cell.bytes / capacity),
        most_accounts: most(&|cell| cell.accounts as f64) / placed.max(1) as f64,
        most_bytes: most(&|cell| cell.bytes) / bytes.max(1.0),
        largest_account: largest / capacity,
    }
}

/// The environment's randomness for distributions.
struct Chance(Rng);

impl Chance {
    /// Log-normal: the mean of that distribution is e^(µ + σ²/2).
    fn size(&self, fleet: &Fleet) -> f64 {
        let mu = fleet.mean_bytes.ln() - fleet.sigma * fleet.sigma / 2.0;
        let even = || (self.0.u64() >> 11) as f64 / (1_u64 << 53) as f64;
        // Box and Muller's way from two even numbers to a normal one; 1 - x is never 0.
        let normal = (-2.0 * (1.0 - even()).ln()).sqrt() * (TAU * even()).cos();
        (mu + fleet.sigma * normal).exp()
    }

    fn account(&self) -> anyhow::Result<AccountId> {
        Ok(AccountId::new(AccountId::FIRST + self.0.below(AccountId::END - AccountId::FIRST))?)
    }
}
