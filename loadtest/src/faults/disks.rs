//! Small disks: every node of a private cluster keeps its data on a file system of its own, in a file, mounted by root.

use anyhow::Context;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The mounted disks. Dropping them unmounts them.
#[derive(Debug)]
pub struct Disks {
    points: Vec<PathBuf>,
}

impl Disks {
    /// Mounts an empty disk of `bytes` wherever a node below `data` will keep its files.
    ///
    /// # Errors
    /// When one cannot be made or mounted: that needs root, `mkfs.ext4` and loop devices.
    pub fn install(data: &Path, bytes: u64) -> anyhow::Result<Self> {
        let mut disks = Self { points: Vec::new() };
        for (cell, node) in ["c1", "c2"].into_iter().flat_map(|cell| (1..=3).map(move |node| (cell, node))) {
            let image = data.join("disks").join(format!("{cell}-{node}"));
            disks.mount(&image, &data.join(format!("cells/{cell}/{node}/data")), bytes)?;
        }
        Ok(disks)
    }

    fn mount(&mut self, image: &Path, point: &Path, bytes: u64) -> anyhow::Result<()> {
        for directory in [image.parent().unwrap_or(image), point] {
            fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        }
        // Sparse: it takes no more of the machine's disk than was written to it.
        File::create(image).and_then(|file| file.set_len(bytes)).context("making a disk's file")?;
        // No share for root alone: what is said to be free is free.
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), "-m".as_ref(), "0".as_ref(), image])?;
        run("mount", &["-o".as_ref(), "loop,discard".as_ref(), image, point])?;
        self.points.push(point.to_owned());
        fs::remove_dir(point.join("lost+found")).context("emptying a new disk")
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for point in &self.points {
            if let Err(error) = run("umount", &[point]) {
                eprintln!("{error:#}");
            }
        }
    }
}

/// Whether a disk can be mounted here.
///
/// # Errors
/// Why not.
pub fn works_here() -> anyhow::Result<()> {
    const BYTES: u64 = 16 << 20;
    let directory = tempfile::tempdir()?;
    let mut disks = Disks { points: Vec::new() };
    disks.mount(&directory.path().join("image"), &directory.path().join("point"), BYTES)
}

fn run(program: &str, arguments: &[&Path]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("there is no `{program}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "`{program}` failed: {}", said.trim());
    Ok(())
}
