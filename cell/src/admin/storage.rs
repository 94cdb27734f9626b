//! `GET /admin/v1/storage`: how this node's chunks are, as the node knows by itself.

use super::Admin;
use crate::{
    chunks::{DiskFigures, ExtentFigures, health::DiskState, latency::Latency},
    jobs::figures::{Census, Removed, Scrub, Snapshot},
};
use axum::{Json, extract::State};
use bulkhead_model::api::cell::{
    CensusStorage, DiskCondition, DiskLatency, DiskStorage, ExtentStorage, NodeStorage, ScrubStorage, TrashStorage,
};

pub(super) async fn show(State(admin): State<Admin>) -> Json<NodeStorage> {
    let disk = admin.chunks.local().figures();
    let Snapshot { census, scrub, repair, freed, removed } = admin.figures.snapshot();
    let repairs = admin.chunks.repairs();
    Json(NodeStorage {
        node: admin.identity.node,
        az: admin.identity.az.clone(),
        now: admin.env.clock.wall(),
        chunks: disk.chunks as u64,
        extents: disk.extents.iter().map(extent).collect(),
        trash: trash_of(&disk, &removed),
        missing: repairs.here() as u64,
        corrupt: disk.corrupt as u64,
        repair_backlog: repairs.len() as u64,
        without_source: repair.without_source,
        repaired_copies: repair.copies,
        repaired_bytes: repair.bytes,
        freed_chunks: freed.chunks,
        freed_bytes: freed.bytes,
        open_epochs: admin.index.open_epochs() as u64,
        census: census_of(&census),
        scrub: scrub_of(&scrub),
        disk: disk_of(disk),
    })
}

fn trash_of(disk: &DiskFigures, removed: &Removed) -> TrashStorage {
    let Removed { extents, bytes, dead, dead_bytes, moved, rescued } = *removed;
    TrashStorage {
        extents: disk.trash_extents as u64,
        bytes: disk.trash_bytes,
        removed_extents: extents,
        removed_bytes: bytes,
        dead,
        dead_bytes,
        moved,
        rescued,
    }
}

fn disk_of(disk: DiskFigures) -> DiskStorage {
    let condition = match disk.state {
        DiskState::Healthy => DiskCondition::Healthy,
        DiskState::Suspect { last, .. } => DiskCondition::Suspect { why: last },
        DiskState::Failed { last } => DiskCondition::Failed { why: last },
    };
    DiskStorage {
        condition,
        full: disk.full,
        free_bytes: disk.free_bytes,
        reserve_bytes: disk.reserve_bytes,
        sync: latency(disk.sync),
        read: latency(disk.read),
    }
}

fn latency(seen: Latency) -> DiskLatency {
    let p99_microseconds = u64::try_from(seen.p99.as_micros()).unwrap_or(u64::MAX);
    DiskLatency { samples: seen.samples, p99_microseconds }
}

fn extent(figures: &ExtentFigures) -> ExtentStorage {
    ExtentStorage {
        extent: figures.id.to_string(),
        state: format!("{:?}", figures.state).to_lowercase(),
        live: figures.live,
        dead: figures.dead,
        corrupt: figures.corrupt.into(),
    }
}

fn census_of(census: &Census) -> CensusStorage {
    let Census { began, ended, chunks, freed, missing } = *census;
    CensusStorage { began, ended, chunks, freed, missing }
}

fn scrub_of(scrub: &Scrub) -> ScrubStorage {
    let Scrub { whole_since, began, read, of, damaged } = *scrub;
    ScrubStorage { whole_since, began, read, of, damaged }
}
