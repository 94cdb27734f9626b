//! A private cluster on which one scenario plays: an account, a bucket, and patience until the cell is whole.

use super::objects::Place;
use crate::{
    client::Target,
    clock,
    faults::{Cluster, Ground, ListedProcess, Role},
    limits::{LOOK, MACHINE_FREE_BYTES_MIN, WHOLE_PATIENCE},
    machine,
    settings::{Service, Site},
};
use anyhow::Context;
use bulkhead_model::{
    CellId, Timestamp,
    api::{cell::NodeStorage, control_plane::CellStorage},
};
use rand::{SeedableRng as _, rngs::StdRng};
use std::{sync::Arc, time::Duration};

/// The cluster, and who plays on it.
pub struct Stage {
    site: Site,
    pub cluster: Cluster,
    pub cell: CellId,
    pub target: Arc<Target>,
    pub bucket: String,
    pub dice: StdRng,
}

/// From when on a cell must have looked at itself.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    /// When what it must know of happened.
    pub at: Timestamp,
    /// Everything was compared with the index since.
    pub compared: bool,
    /// Every byte was read since.
    pub scrubbed: bool,
}

impl Since {
    /// Compared and read since now.
    pub fn now() -> Self {
        Self { at: Timestamp(clock::stamp()), compared: true, scrubbed: true }
    }
}

impl Stage {
    /// Starts the cluster.
    ///
    /// # Errors
    /// When it does not come up, or the machine has not `bytes` of disk to spare.
    pub async fn open(service: &Service, ground: Ground, name: &str, seed: u64, bytes: u64) -> anyhow::Result<Self> {
        let site = service.open_on(ground).await?;
        let free = machine::free_bytes(site.cluster.data()).context("the disk does not say what is free")?;
        let needed = bytes.saturating_add(MACHINE_FREE_BYTES_MIN);
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        anyhow::ensure!(free >= needed, "{:.1} GiB are free, {:.1} GiB are needed", gib(free), gib(needed));
        let (target, cell) = site.new_account(name).await?;
        let bucket = format!("{name}-{}", clock::stamp());
        super::first_bucket(&target, &bucket).await?;
        println!("{name} in cell {cell}, bucket {bucket}, seed {seed}");
        let cluster = site.cluster.clone();
        Ok(Self { site, cluster, cell, target, bucket, dice: StdRng::seed_from_u64(seed) })
    }

    /// Plays `scene`; shows and keeps what may explain its failure.
    ///
    /// # Errors
    /// Those of the scene.
    pub async fn play<T>(&mut self, scene: impl AsyncFnOnce(&mut Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let played = scene(self).await;
        if played.is_err() {
            match self.cluster.show(&self.cell).await {
                Ok(shown) => eprintln!("{:#?}", shown.storage),
                Err(error) => eprintln!("the cell cannot be shown: {error:#}"),
            }
            eprintln!("{}", self.site.logs());
        }
        played
    }

    /// Its bucket, through the router.
    pub fn place(&self) -> Place<'_> {
        Place { target: &self.target, bucket: &self.bucket }
    }

    /// The processes of the cell.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn nodes(&self) -> anyhow::Result<Vec<ListedProcess>> {
        self.cluster.of(Role::Cell, Some(&self.cell)).await
    }

    /// Waits until no copy is missing or damaged as far as every node knows, which has looked since. `look` sees how it gets on.
    /// Answers how it is then, and how long that took.
    ///
    /// # Errors
    /// Says what is not whole when patience ends.
    pub async fn until_whole(
        &self,
        since: Since,
        mut look: impl FnMut(&CellStorage),
    ) -> anyhow::Result<(CellStorage, Duration)> {
        let begun = clock::now();
        loop {
            let not_yet = match self.cluster.show(&self.cell).await {
                Ok(shown) => {
                    look(&shown.storage);
                    match lacks(&shown.storage, since) {
                        None => return Ok((shown.storage, clock::now() - begun)),
                        Some(lacks) => lacks,
                    }
                }
                Err(error) => format!("{error:#}"),
            };
            let waited = clock::now() - begun;
            anyhow::ensure!(waited < WHOLE_PATIENCE, "the cell is not whole after {waited:?}: {not_yet}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What each node says of itself; nothing of one that is silent.
pub fn said(storage: &CellStorage) -> impl Iterator<Item = &NodeStorage> {
    storage.nodes.iter().filter_map(|node| node.storage.as_ref())
}

/// What keeps a cell from being whole, if anything does.
fn lacks(storage: &CellStorage, since: Since) -> Option<String> {
    storage.nodes.iter().find_map(|node| match &node.storage {
        None => Some(format!("node {} does not answer", node.node)),
        Some(says) => lacks_of(says, since).map(|what| format!("node {}: {what}", node.node)),
    })
}

fn lacks_of(node: &NodeStorage, since: Since) -> Option<String> {
    let counts = [
        (node.missing, "copies are missing"),
        (node.corrupt, "copies are damaged"),
        (node.repair_backlog, "copies are to be made"),
        (node.without_source, "chunks are on no node"),
    ];
    if let Some((count, what)) = counts.into_iter().find(|(count, _)| *count > 0) {
        return Some(format!("{count} {what}"));
    }
    let census = &node.census;
    let compared = census.began.is_some_and(|began| began >= since.at) && census.ended > census.began;
    if since.compared && !compared {
        return Some("it has not compared its chunks with the index since".into());
    }
    let scrubbed = node.scrub.whole_since.is_some_and(|read| read >= since.at);
    (since.scrubbed && !scrubbed).then(|| "it has not read its chunks since".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{
        NodeId,
        api::cell::{CensusStorage, DiskCondition, DiskLatency, DiskStorage, ScrubStorage, TrashStorage},
    };

    /// A node with everything compared and read at these moments.
    fn node(missing: u64, corrupt: u64, moments: [u64; 3]) -> NodeStorage {
        let [began, ended, read] = moments.map(|moment| Some(Timestamp(moment)));
        let disk = DiskStorage {
            condition: DiskCondition::Healthy,
            full: false,
            free_bytes: None,
            reserve_bytes: 0,
            sync: DiskLatency::default(),
            read: DiskLatency::default(),
        };
        NodeStorage {
            node: NodeId(1),
            az: "az-a".parse().expect("a label"),
            now: Timestamp(9),
            disk,
            chunks: 1,
            extents: Vec::new(),
            trash: TrashStorage::default(),
            missing,
            corrupt,
            repair_backlog: 0,
            without_source: 0,
            repaired_copies: 0,
            repaired_bytes: 0,
            freed_chunks: 0,
            freed_bytes: 0,
            open_epochs: 1,
            census: CensusStorage { began, ended, ..CensusStorage::default() },
            scrub: ScrubStorage { whole_since: read, ..ScrubStorage::default() },
        }
    }

    fn cell(storage: Option<NodeStorage>) -> CellStorage {
        use bulkhead_model::api::control_plane::CellNodeStorage;
        CellStorage { nodes: vec![CellNodeStorage { node: NodeId(1), storage, unreachable: None, slow: Vec::new() }] }
    }

    #[test]
    fn a_cell_is_whole_only_when_every_node_has_looked_since_and_lacks_nothing() {
        let since = Since { at: Timestamp(5), compared: true, scrubbed: true };
        let lacks = |storage| lacks(&cell(storage), since);
        assert_eq!(lacks(Some(node(0, 0, [5, 6, 5]))), None);
        for (case, storage) in [
            ("silent", None),
            ("missing", Some(node(1, 0, [5, 6, 5]))),
            ("corrupt", Some(node(0, 1, [5, 6, 5]))),
            ("compared before", Some(node(0, 0, [4, 6, 5]))),
            ("compared in part", Some(node(0, 0, [7, 6, 5]))),
            ("read before", Some(node(0, 0, [5, 6, 4]))),
        ] {
            assert!(lacks(storage).is_some(), "{case}");
        }
    }
}
