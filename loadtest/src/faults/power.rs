//! Power: every process of a private cluster keeps its data on a volume of its own, whose power can be cut.

use crate::powercut::{Losses, Mount, Volume};
use anyhow::Context;
use std::{collections::BTreeMap, fs, path::Path};

/// The volumes, by process.
#[derive(Debug)]
pub struct Power {
    mounts: BTreeMap<String, Mount>,
}

/// Each process of a fleet on one machine, and where below its directory it keeps its data.
fn places() -> impl Iterator<Item = (String, String)> {
    let nodes = ["c1", "c2"].into_iter().flat_map(|cell| (1..=3).map(move |node| (cell, node)));
    let cells = nodes.map(|(cell, node)| (format!("{cell}-{node}"), format!("cells/{cell}/{node}/data")));
    let others = [("control-plane-1", "control-plane"), ("router-1", "router-1")];
    cells.chain(others.map(|(name, place)| (name.to_owned(), place.to_owned())))
}

impl Power {
    /// Mounts an empty volume wherever a process below `data` will keep its files. `seed` decides what cuts leave.
    ///
    /// # Errors
    /// When one cannot be mounted.
    pub fn install(data: &Path, seed: u64) -> anyhow::Result<Self> {
        let mut mounts = BTreeMap::new();
        for ((name, place), number) in places().zip(0_u64..) {
            let (store, point) = (data.join("volumes").join(&name), data.join(&place));
            for directory in [&store, &point] {
                fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
            }
            let volume = Volume::new(&store, seed.wrapping_mul(31).wrapping_add(number));
            let mount = Mount::new(volume, &point).with_context(|| format!("mounting {}", point.display()))?;
            mounts.insert(name, mount);
        }
        Ok(Self { mounts })
    }

    /// Cuts the power of processes that were killed, and restores it.
    ///
    /// # Errors
    /// When one still runs, has no volume, or its volume cannot be mounted again.
    pub async fn cut(&mut self, names: &[&str]) -> anyhow::Result<Losses> {
        let mut losses = Losses::default();
        for name in names {
            let mount = self.mounts.get_mut(*name).with_context(|| format!("{name} has no volume"))?;
            losses += mount.power_cut().await.with_context(|| format!("cutting the power of {name}"))?;
        }
        Ok(losses)
    }

    /// Checks that `data` of a process is on its volume.
    ///
    /// # Errors
    /// When it is elsewhere: cutting its power would lose nothing.
    pub fn covers(&self, name: &str, data: &Path) -> anyhow::Result<()> {
        let point = self.mounts.get(name).map(Mount::point);
        anyhow::ensure!(
            point == Some(data),
            "{name} keeps its data in {}, not on its volume {point:?}",
            data.display()
        );
        Ok(())
    }
}
