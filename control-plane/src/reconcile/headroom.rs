//! Headroom: what every cell uses is followed; a cell at a soft limit, or that nothing vouches for any more, is closed to new accounts;
//! and when the fleet has too little left, the next cell is stamped before anybody is refused.

use super::{Rhythm, watch::Watch};
use crate::{
    certification::Certifier,
    domain::{
        cell,
        headroom::{self, Need, Standing},
    },
    limits::USAGE_INTERVAL,
    provision::local::Local,
    store::{Directory, DirectoryError, command::Command, read, record::Cell},
};
use bulkhead_model::{
    CellId, Timestamp,
    api::control_plane::{CellState, ClosedBy, Figures},
    blueprint::Capacity,
};
use bulkhead_service::env::Clock;
use serde::Deserialize;

/// The `[headroom]` table of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadroomConfig {
    /// Below it the next cell is stamped, in hundredths of a cell; 0 stamps none.
    pub floor_percent: u64,
    /// Cells there may be, those that failed included.
    pub cells_max: u64,
    /// What the next cell is stamped from.
    pub blueprint: String,
}

impl Default for HeadroomConfig {
    fn default() -> Self {
        Self { floor_percent: 0, cells_max: 8, blueprint: "dev".into() }
    }
}

/// Follows all cells.
pub struct Headroom {
    pub directory: Directory,
    pub local: Local,
    pub certifier: Certifier,
    pub watch: Watch,
    pub config: HeadroomConfig,
    pub clock: Clock,
}

impl Headroom {
    /// Until the process stops.
    pub async fn run(self, mut rhythm: Rhythm) {
        let mut due = self.clock.now();
        while rhythm.next().await.is_some() {
            if self.clock.now() < due {
                continue;
            }
            due = self.clock.now() + USAGE_INTERVAL;
            if let Err(error) = self.pass().await {
                tracing::warn!(%error, "headroom could not be followed");
            }
        }
    }

    /// Looks at every cell once, and does what follows.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn pass(&self) -> Result<(), DirectoryError> {
        let cells = read::cells(&self.directory.view().await?)?;
        for (id, cell) in &cells {
            if let Some((to, note)) = self.follow(id, cell)? {
                tracing::warn!(cell = %id, ?to, note, "what a cell takes changes");
                let command = Command::AdvanceCell { cell: id.clone(), seen: cell.since, to, note };
                if let Err(error) = self.directory.propose(command).await {
                    tracing::warn!(cell = %id, %error, "that was not recorded");
                }
            }
        }
        self.stamp_next().await
    }

    /// What a cell becomes, if it does not stay what it is. A certificate comes before a limit.
    fn follow(&self, id: &CellId, cell: &Cell) -> Result<Option<(CellState, String)>, DirectoryError> {
        let view = self.directory.local_view();
        if !cell::is_routed(&cell.state) {
            return Ok(None);
        }
        let seen = self.watch.of(id);
        // What was looked at once only has no rates yet; and a cell of which nothing is known is not opened for that.
        let is_known = seen.as_ref().is_some_and(|seen| seen.again && matches!(seen.build, Some(Ok(_))));
        if matches!(cell.state, CellState::Closed { .. }) && !is_known {
            return Ok(None);
        }
        // While it is upgraded node by node it is not judged; what it is of afterwards is.
        let build = seen.and_then(|seen| seen.build).and_then(Result::ok);
        let unvouched = self.certifier.unvouched(&view, id, cell, build.as_deref())?;
        Ok(match (&cell.state, unvouched) {
            (CellState::Closed { by: ClosedBy::Operator | ClosedBy::Certificate { .. } }, Some(_)) => None,
            (_, Some(why)) => {
                Some((CellState::Closed { by: ClosedBy::Certificate { why: why.clone() } }, format!("closed: {why}")))
            }
            (CellState::Closed { by: ClosedBy::Certificate { .. } }, None) => {
                Some((CellState::Active, "open: its certificate holds".into()))
            }
            (state, None) => {
                let to = headroom::follow(state, &cell.load(self.watch.figures(id)));
                to.map(|to| {
                    let note = match &to {
                        CellState::Closed { by } => format!("closed: {by}"),
                        _ => "open: it is well below its limits again".into(),
                    };
                    (to, note)
                })
            }
        })
    }

    /// Stamps the next cell when the fleet is short.
    async fn stamp_next(&self) -> Result<(), DirectoryError> {
        if self.config.floor_percent == 0 {
            return Ok(());
        }
        let cells = read::cells(&self.directory.view().await?)?;
        let standings = standings(&cells, &self.watch, self.clock.wall());
        if headroom::need(&standings, self.config.floor_percent, self.config.cells_max) != Need::Stamp {
            return Ok(());
        }
        let name = next_name(&cells);
        let blueprint = match self.local.fresh_blueprint(&self.config.blueprint) {
            Ok(blueprint) => blueprint,
            Err(error) => {
                tracing::error!(%error, "the fleet is short, and the next cell cannot be stamped");
                return Ok(());
            }
        };
        let percent = headroom::percent(&standings);
        tracing::info!(cell = %name, percent, floor = self.config.floor_percent, "headroom is short: stamping the next cell");
        let command = Command::RequestCell {
            cell: name,
            blueprint_hash: blueprint.hash(),
            capacity: figures(&blueprint.capacity),
            blueprint: blueprint.name,
            region: self.local.region().to_owned(),
        };
        self.directory.propose(command).await.map(|_| ())
    }
}

/// What a blueprint declares.
pub fn figures(capacity: &Capacity) -> Figures {
    Figures {
        accounts: capacity.accounts,
        bytes: capacity.bytes,
        objects: capacity.objects,
        requests: capacity.requests_per_second(),
    }
}

/// How each cell stands.
pub fn standings(cells: &[(CellId, Cell)], watch: &Watch, now: Timestamp) -> Vec<Standing> {
    let is_there =
        |(_, cell): &&(CellId, Cell)| !matches!(cell.state, CellState::Dismantling { .. } | CellState::Retired);
    let one = |(id, cell): &(CellId, Cell)| match &cell.state {
        CellState::Failed { .. } => Standing::Failed,
        state if cell::is_being_stamped(state) => Standing::Coming,
        _ if cell.closed(now).is_some() => Standing::Closed,
        _ => Standing::Open { percent: cell.load(watch.figures(id)).scarcest().permille() / 10 },
    };
    cells.iter().filter(is_there).map(one).collect()
}

/// The name of the next cell: `c` and one more than the highest number there is.
pub fn next_name(cells: &[(CellId, Cell)]) -> CellId {
    let numbers = cells.iter().filter_map(|(id, _)| id.as_str().strip_prefix('c')?.parse::<u32>().ok());
    let next = numbers.max().unwrap_or(0).saturating_add(1);
    format!("c{next}").parse().expect("a letter and digits are a label")
}
