//! Trees of files for the tools to carry, and whether two of them are equal.

use anyhow::Context;
use bulkhead_loadtest::workload::Content;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Writes a file of `length` bytes that no other file has.
pub fn write(path: &Path, length: u64) -> anyhow::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut bytes = vec![0; usize::try_from(length)?];
    Content::of(&path.to_string_lossy(), 1, length).fill(0, &mut bytes);
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// Writes `count` small files in nested directories, some with names that need care, one of them empty.
pub fn tree(root: &Path, count: u64) -> anyhow::Result<()> {
    const NAMES: [&str; 4] = ["plain", "with space", "grüße+&=%25", "semi;colon,comma"];
    for index in 0..count {
        let name = NAMES[usize::try_from(index)? % NAMES.len()];
        let path = root.join(format!("dir-{:02}/sub-{}/{name}-{index}", index % 20, index % 3));
        write(&path, index * 37 % 3000)?;
    }
    Ok(())
}

/// Two trees, or two files, hold the same.
pub fn assert_equal(left: &Path, right: &Path) -> anyhow::Result<()> {
    let (left_files, right_files) = (files(left)?, files(right)?);
    for (name, path) in &left_files {
        let other =
            right_files.get(name).with_context(|| format!("{} is missing in {}", name.display(), right.display()))?;
        anyhow::ensure!(fs::read(path)? == fs::read(other)?, "{} differs in {}", name.display(), right.display());
    }
    anyhow::ensure!(left_files.len() == right_files.len(), "{} holds more than {}", right.display(), left.display());
    Ok(())
}

/// All files below `root`, by their path from there.
fn files(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, PathBuf>> {
    if root.is_file() {
        return Ok(BTreeMap::from([(PathBuf::new(), root.to_owned())]));
    }
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.insert(path.strip_prefix(root)?.to_owned(), path);
            }
        }
    }
    Ok(found)
}
