//! After the trouble: every copy that should be there is there, whole, and all nodes hold the same index.

use crate::{
    faults::{SLOTS, Weather},
    host::{GRACE, Parts},
    net::HostId,
    recount,
    world::World,
};
use bulkhead_cell::{
    chunks::{ChunkId, Health},
    meta::{
        bookkeeping::BlobState,
        bytes::{Bytes, chunk_count},
    },
};
use bulkhead_model::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// More than a run makes of anything.
const MANY: usize = 1_000_000;
/// For the reading of one chunk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whole censuses that a node has ended since it is looked at.
#[derive(Default)]
struct Seen {
    last: Option<Timestamp>,
    censuses: u32,
}

impl World {
    /// Waits until the jobs have found and mended everything, and then looks at every copy.
    pub fn settle(&mut self) -> Result<(), String> {
        let mut seen: BTreeMap<HostId, Seen> = BTreeMap::new();
        self.until("repair does not come to an end", |world| {
            let ids = world.ids();
            ids.len() == SLOTS && ids.into_iter().filter(|id| world.is_settled(*id, &mut seen)).count() == SLOTS
        })?;
        for id in self.ids() {
            let host = &self.hosts[id - 1];
            let (Some(up), Some(parts)) = (&host.up, host.parts()) else { return Err(format!("node {id} is down")) };
            let looked = up.runtime.spawn(missing(parts.clone()));
            for what in self.wait(looked, "the look at every copy")? {
                self.book.violation(format!("node {id}: {what}"));
            }
        }
        Ok(())
    }

    /// Whether a node has compared everything it holds with the index, has read it all where bits rot, and lacks nothing it
    /// knows of. Of two censuses the second began after this was first asked.
    fn is_settled(&self, id: HostId, seen: &mut BTreeMap<HostId, Seen>) -> bool {
        let Some(parts) = self.hosts[id - 1].parts() else { return false };
        let (figures, seen) = (parts.figures.snapshot(), seen.entry(id).or_default());
        if figures.census.ended != seen.last {
            seen.last = figures.census.ended;
            seen.censuses += 1;
        }
        let rots = matches!(self.weather, Weather::Disks | Weather::All | Weather::Long);
        let is_read = !rots || figures.scrub.whole_since.is_some();
        seen.censuses >= 2 && is_read && parts.missing_copies() == Some(0)
    }

    /// Once all have applied everything, all hold the same.
    pub fn same_everywhere(&mut self) -> Result<(), String> {
        self.until("the nodes' indexes differ", |world| {
            let parts: Vec<_> = world.ids().into_iter().filter_map(|id| world.hosts[id - 1].parts()).collect();
            let states: Vec<_> = parts.iter().map(|parts| recount::rows(&parts.replica)).collect();
            states.len() == SLOTS && states.iter().all(|state| *state == states[0])
        })
    }
}

/// Of the chunks that the index names and places here, those that are not here whole.
async fn missing(parts: Parts) -> Vec<String> {
    let chunks = match named(&parts) {
        Ok(chunks) => chunks,
        Err(error) => return vec![format!("the index cannot be read: {error}")],
    };
    let mut wrong = Vec::new();
    for chunk in chunks.into_iter().filter(|chunk| parts.cell.chunks.is_placed_here(*chunk)) {
        let deadline = parts.cell.env.clock.now() + PATIENCE;
        match parts.cell.chunks.local().verify(chunk, deadline).await {
            Ok(Health::Whole { .. }) => {}
            Ok(Health::Missing) => wrong.push(format!("a copy of {chunk} is missing after repair")),
            Ok(Health::Damaged { why }) => wrong.push(format!("a copy of {chunk} is damaged after repair: {why}")),
            Err(error) => wrong.push(format!("a copy of {chunk} cannot be read after repair: {error}")),
        }
    }
    wrong
}

/// Every chunk that is named.
fn named(parts: &Parts) -> Result<Vec<ChunkId>, bulkhead_replica::StoreError> {
    let (rows, _) = Bytes::new(parts.cell.index.local(), GRACE)?.blobs(0.into(), MANY, MANY as u64)?;
    let chunks = |(blob, state): &(_, BlobState)| {
        let count = match state {
            BlobState::Named { len, chunk_bytes, .. } => chunk_count(*len, *chunk_bytes),
            BlobState::Released { .. } => 0,
        };
        let blob = u128::from(*blob);
        (0..u32::try_from(count).unwrap_or(u32::MAX)).map(move |index| ChunkId { blob, index })
    };
    Ok(rows.iter().flat_map(chunks).collect())
}
