//! Bits that turn over: in files that nobody writes at the moment, or that somebody has open.

use anyhow::Context;
use rand::{RngExt as _, rngs::StdRng};
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Flipped {
    pub bits: u64,
    /// Files hit.
    pub files: usize,
    /// Bytes of all files that could be hit.
    pub of_bytes: u64,
}

/// Flips `bits` bits at random places of the files below `directory` whose paths `wanted` takes. No bit is flipped twice.
///
/// # Errors
/// When there is nothing to flip, or a file cannot be changed.
pub fn flip(directory: &Path, wanted: impl Fn(&Path) -> bool, bits: u64, dice: &mut StdRng) -> anyhow::Result<Flipped> {
    let mut files = Vec::new();
    collect(directory, &mut files)?;
    files.retain(|(path, length)| *length > 0 && wanted(path));
    files.sort();
    let of_bytes: u64 = files.iter().map(|(_, length)| length).sum();
    anyhow::ensure!(of_bytes * 8 >= bits, "there are only {of_bytes} bytes below {}", directory.display());
    let mut places = BTreeSet::new();
    while (places.len() as u64) < bits {
        places.insert(dice.random_range(0..of_bytes * 8));
    }
    let mut hit = BTreeSet::new();
    for place in places {
        let (mut at, mut index) = (place / 8, 0);
        while at >= files[index].1 {
            at -= files[index].1;
            index += 1;
        }
        let path = &files[index].0;
        flip_one(path, at, 1 << (place % 8)).with_context(|| format!("flipping a bit of {}", path.display()))?;
        hit.insert(index);
    }
    Ok(Flipped { bits, files: hit.len(), of_bytes })
}

fn flip_one(path: &Path, at: u64, mask: u8) -> std::io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ mask], at)
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, u64)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_dir() {
            collect(&entry.path(), files)?;
        } else if found.is_file() {
            files.push((entry.path(), found.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn so_many_bits_differ_afterwards_and_only_in_the_files_wanted() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("below")).expect("made");
        for name in ["a", "below/b", "other"] {
            fs::write(path(name), [0; 500]).expect("written");
        }
        let wanted = |path: &Path| !path.ends_with("other");
        let flipped = flip(directory.path(), wanted, 1_000, &mut StdRng::seed_from_u64(1)).expect("flipped");
        assert_eq!(flipped, Flipped { bits: 1_000, files: 2, of_bytes: 1_000 });
        let ones = |name: &str| fs::read(path(name)).expect("there").iter().map(|byte| byte.count_ones()).sum::<u32>();
        assert_eq!(ones("a") + ones("below/b"), 1_000);
        assert_eq!(ones("other"), 0);
        assert!(flip(directory.path(), |_| false, 1, &mut StdRng::seed_from_u64(1)).is_err());
    }
}
