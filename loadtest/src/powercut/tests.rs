//! A mounted volume, through the kernel. Skipped, with a word about it, where nothing can be mounted.

use super::{Mount, Volume, works_here};
use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    path::PathBuf,
};

/// Unmounted before its directory goes.
struct Rig {
    mount: Mount,
    _directory: tempfile::TempDir,
}

impl Rig {
    /// `None`, with a word about it, where nothing can be mounted.
    fn new(seed: u64) -> Option<Self> {
        if let Err(error) = works_here() {
            eprintln!("skipped: no file system can be mounted here: {error}");
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (store, point) = (directory.path().join("store"), directory.path().join("point"));
        fs::create_dir(&store).expect("writable");
        fs::create_dir(&point).expect("writable");
        let mount = Mount::new(Volume::new(&store, seed), &point).expect("mountable, as was just seen");
        Some(Self { mount, _directory: directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.mount.point().join(name)
    }

    fn sync(&self, name: &str) {
        File::open(self.path(name)).and_then(|file| file.sync_all()).expect("can be synced");
    }
}

#[tokio::test]
async fn what_was_synced_survives_a_cut_and_the_rest_may_not() {
    let mut lost = (false, false);
    for seed in 0..12 {
        let Some(mut rig) = Rig::new(seed) else { return };
        fs::write(rig.path("kept"), vec![7; 100_000]).expect("writable");
        rig.sync("kept");
        rig.sync(".");
        fs::write(rig.path("kept"), vec![8; 100_000]).expect("writable");
        rig.sync("kept");
        fs::write(rig.path("unnamed"), b"synced, but not its name").expect("writable");
        rig.sync("unnamed");
        let mut grown = fs::OpenOptions::new().append(true).open(rig.path("kept")).expect("writable");
        grown.write_all(&[9; 5000]).expect("writable");
        drop(grown);
        let losses = rig.mount.power_cut().await.expect("nobody uses it");
        assert_eq!((losses.unsynced_bytes, losses.unsynced_names), (5000, 1));
        let kept = fs::read(rig.path("kept")).expect("it was synced");
        assert!(kept[..100_000] == [8; 100_000]);
        assert!(kept[100_000..].iter().all(|byte| [0, 9].contains(byte)));
        lost.0 |= kept.len() < 105_000;
        lost.1 |= !rig.path("unnamed").exists();
    }
    assert_eq!(lost, (true, true));
}

#[test]
fn files_behave_as_on_any_file_system() {
    let Some(rig) = Rig::new(1) else { return };
    fs::create_dir_all(rig.path("a/b")).expect("writable");
    fs::write(rig.path("a/b/one"), b"one").expect("writable");
    fs::hard_link(rig.path("a/b/one"), rig.path("two")).expect("linkable");
    fs::rename(rig.path("a/b/one"), rig.path("a/three")).expect("renamable");
    assert_eq!(fs::read(rig.path("two")).expect("readable"), b"one");
    fs::copy(rig.path("two"), rig.path("four")).expect("copyable");
    fs::rename(rig.path("four"), rig.path("a/three")).expect("replaceable");
    assert_eq!(fs::metadata(rig.path("two")).map(|data| data.len()).expect("there"), 3);
    for number in 0..500 {
        fs::write(rig.path(&format!("a/b/{number}")), b"x").expect("writable");
    }
    assert_eq!(fs::read_dir(rig.path("a/b")).expect("a directory").count(), 500);
    assert!(fs::remove_dir(rig.path("a")).is_err());
    fs::remove_dir_all(rig.path("a")).expect("removable, whatever it holds");
    let left: Vec<_> = fs::read_dir(rig.mount.point()).expect("a directory").flatten().collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn files_are_preallocated_cut_locked_and_read_while_open_and_gone() {
    let Some(rig) = Rig::new(1) else { return };
    let path = rig.path("file");
    let mut file = fs::OpenOptions::new().create_new(true).read(true).write(true).open(&path).expect("creatable");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 1 << 30).expect("supported");
    assert_eq!(file.metadata().map(|data| data.len()).expect("there"), 1 << 30);
    file.seek(SeekFrom::Start(1 << 20)).and_then(|_| file.write_all(b"here")).expect("writable");
    file.set_len((1 << 20) + 4).expect("can be cut");
    file.try_lock().expect("nobody holds it");
    let other = File::open(&path).expect("there");
    assert!(other.try_lock().is_err(), "a lock holds against others");
    fs::remove_file(&path).expect("removable");
    rig.sync(".");
    let mut bytes = [0; 4];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 1 << 20).expect("an open file stays");
    assert_eq!(&bytes, b"here");
}
