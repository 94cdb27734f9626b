//! Generations, hardening and replacement, on a real RocksDB.

use super::*;
use crate::machine::Reader;
use openraft::impls::leader_id_adv::LeaderId;
use tempfile::TempDir;

const PLAIN: Family = Family { index: 0, name: "plain", large_values: false };
const LARGE: Family = Family { index: 1, name: "large", large_values: true };
static FAMILIES: [Family; 2] = [PLAIN, LARGE];

fn open(dir: &TempDir) -> Store {
    Store::open(dir.path().join("state"), &FAMILIES, 1 << 20, Medium::Files, Make::Absent).expect("a state")
}

fn id(index: u64) -> LogId {
    LogId::new(LeaderId { term: 1, node_id: 1 }, index)
}

/// Applies one entry that sets `k` in both families.
fn apply(store: &Store, index: u64, value: &[u8]) {
    let database = store.database();
    let mut batch = database.batch();
    for family in FAMILIES {
        database.put(&mut batch, family, b"k", value).expect("a family");
    }
    database.commit(batch, &id(index), None, None).expect("written");
    store.announce(&id(index));
}

fn value(reader: &dyn Reader, family: Family) -> Option<Vec<u8>> {
    reader.get(family, b"k").expect("readable").map(Vec::from)
}

fn checkpoint(store: &Store, dir: &TempDir) -> PathBuf {
    let path = dir.path().join("copy");
    store.database().checkpoint(&path).expect("a checkpoint");
    path
}

#[test]
fn what_was_applied_is_there_after_a_restart() {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    apply(&store, 7, &[1; 5000]);
    drop(store);
    let store = open(&dir);
    assert_eq!(value(&store.view(), LARGE), Some(vec![1; 5000]));
    assert_eq!(*store.watch_applied().borrow(), 8);
}

#[test]
fn a_view_does_not_move() {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    apply(&store, 0, b"old");
    let view = store.view();
    apply(&store, 1, b"new");
    assert_eq!(value(&view, PLAIN), Some(b"old".to_vec()));
    let mut cursor = view.cursor(PLAIN);
    cursor.seek(b"").expect("readable");
    assert_eq!(cursor.entry(), Some((&b"k"[..], &b"old"[..])));
    assert_eq!(value(&store.view(), PLAIN), Some(b"new".to_vec()));
}

#[test]
fn a_view_of_a_replaced_state_stays_readable_and_its_files_go_with_it() {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    apply(&store, 3, &[3; 5000]);
    let copy = checkpoint(&store, &dir);
    apply(&store, 4, b"later");
    let (old, view) = (dir.path().join("state/g-0000000001"), store.view());
    store.replace(&copy, Some(&id(3))).expect("replaced");
    assert_eq!(*store.watch_applied().borrow(), 4);
    assert_eq!(value(&store.view(), LARGE), Some(vec![3; 5000]));
    assert_eq!(value(&view, LARGE), Some(b"later".to_vec()));
    assert!(old.exists());
    drop(view);
    assert!(!old.exists());
    drop(store);
    assert_eq!(value(&open(&dir).view(), LARGE), Some(vec![3; 5000]));
}

#[test]
fn a_checkpoint_that_is_not_what_was_announced_changes_nothing() {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    apply(&store, 3, b"three");
    let copy = checkpoint(&store, &dir);
    apply(&store, 4, b"four");
    assert!(store.replace(&copy, Some(&id(9))).is_err());
    assert_eq!(value(&store.view(), PLAIN), Some(b"four".to_vec()));
    assert!(!dir.path().join("state/g-0000000002").exists());
    drop(store);
    assert_eq!(value(&open(&dir).view(), PLAIN), Some(b"four".to_vec()), "after a restart too");
}

#[test]
fn a_generation_that_was_never_pointed_at_is_deleted_at_start() {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    apply(&store, 3, b"three");
    let copy = checkpoint(&store, &dir);
    drop(store);
    // A crash between opening the installed checkpoint and switching to it.
    files::link(&copy, &dir.path().join("state/g-0000000002")).expect("linked");
    let store = open(&dir);
    assert!(!dir.path().join("state/g-0000000002").exists());
    assert_eq!(value(&store.view(), PLAIN), Some(b"three".to_vec()));
}

#[test]
fn a_state_without_its_pointer_is_damage_and_not_a_beginning() {
    let dir = TempDir::new().expect("a directory");
    drop(open(&dir));
    std::fs::remove_file(dir.path().join("state/CURRENT")).expect("removed");
    let reopened = Store::open(dir.path().join("state"), &FAMILIES, 1 << 20, Medium::Files, Make::Absent);
    assert!(matches!(reopened.map(drop), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_generation_that_is_gone_is_damage_to_a_node_that_has_lived() {
    let dir = TempDir::new().expect("a directory");
    drop(open(&dir));
    fs::remove_dir_all(dir.path().join("state/g-0000000001")).expect("removed");
    let reopened = Store::open(dir.path().join("state"), &FAMILIES, 1 << 20, Medium::Files, Make::Nothing);
    assert!(
        matches!(reopened.map(drop), Err(StoreError::Store(_))),
        "not an empty state under a log that may be purged"
    );
}

#[test]
fn only_what_is_applied_can_be_hardened() {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    apply(&store, 3, b"three");
    store.harden(&id(3)).expect("applied");
    assert!(store.harden(&id(4)).is_err());
}

/// A step of installing a checkpoint: its name, whether the state is the new one after it, and what it leaves on disk, given
/// the checkpoint and the directory of the state.
type Step = (&'static str, bool, fn(&Path, &Path));

#[test]
fn a_crash_at_any_step_of_an_installation_leaves_the_old_state_or_the_new_one_whole() {
    let steps: [Step; 7] = [
        ("nothing yet", false, |_, _| {}),
        ("an empty generation", false, |_, state| fs::create_dir(state.join("g-0000000002")).expect("made")),
        ("half of the files", false, |copy, state| {
            files::link(copy, &state.join("g-0000000002")).expect("linked");
            for file in files::children(&state.join("g-0000000002")).expect("listable").iter().step_by(2) {
                fs::remove_file(file).expect("there");
            }
        }),
        ("all files", false, |copy, state| files::link(copy, &state.join("g-0000000002")).expect("linked")),
        ("opened", false, |copy, state| {
            files::link(copy, &state.join("g-0000000002")).expect("linked");
            drop(
                Database::open(state.join("g-0000000002"), &FAMILIES, 1 << 20, &Medium::Files, Make::Nothing)
                    .expect("whole"),
            );
        }),
        ("a pointer that is not in place", false, |copy, state| {
            files::link(copy, &state.join("g-0000000002")).expect("linked");
            fs::write(state.join("CURRENT.tmp"), "g-0000000002").expect("written");
        }),
        ("the pointer, and the old generation still there", true, |copy, state| {
            files::link(copy, &state.join("g-0000000002")).expect("linked");
            files::replace(&state.join("CURRENT"), b"g-0000000002").expect("pointed");
        }),
    ];
    for (step, is_new, leave) in steps {
        let dir = TempDir::new().expect("a directory");
        let store = open(&dir);
        apply(&store, 3, b"three");
        let copy = checkpoint(&store, &dir);
        apply(&store, 4, b"four");
        drop(store);
        leave(&copy, &dir.path().join("state"));
        let store = open(&dir);
        let expected = if is_new { (b"three".to_vec(), 4) } else { (b"four".to_vec(), 5) };
        let at = *store.watch_applied().borrow();
        assert_eq!((value(&store.view(), PLAIN), at), (Some(expected.0), expected.1), "{step}");
        let generations = files::children(&dir.path().join("state")).expect("listable");
        assert_eq!(generations.iter().filter(|path| path.is_dir()).count(), 1, "{step}");
        // And it can be installed again.
        store.replace(&copy, Some(&id(3))).expect("installed");
        assert_eq!(value(&store.view(), LARGE), Some(b"three".to_vec()), "{step}");
    }
}
