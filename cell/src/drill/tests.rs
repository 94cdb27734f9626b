//! The guard: nothing is broken without a mark, and nothing is marked where it must not be.

use super::*;
use tempfile::TempDir;

struct World {
    dir: TempDir,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("a directory"), clock: Clock::manual(Timestamp(1_000_000)) }
    }

    fn drill(&self, allowed: bool) -> Drill {
        Drill::open(self.dir.path(), allowed, self.clock.clone())
    }
}

fn mark(purpose: Purpose, seconds: u64) -> Mark {
    Mark { purpose, seconds }
}

fn harmless() -> Fault {
    Fault::FillDisk { leave_bytes: u64::MAX }
}

#[test]
fn nothing_is_broken_on_a_node_that_is_not_marked() {
    let drill = World::new().drill(true);
    for fault in [
        Fault::Kill,
        Fault::Pause { ms: 1 },
        Fault::SlowDisk { ms: 1 },
        Fault::Partition { from: Vec::new() },
        Fault::Corrupt { bits: 1, seed: 1 },
        harmless(),
        Fault::ClockJump { ms: 1 },
        Fault::DropChunks { drop: true },
        Fault::Mend,
    ] {
        assert!(matches!(drill.execute(&fault, &[]), Err(DrillError::NotMarked)), "{fault:?}");
    }
}

#[test]
fn a_cell_with_a_bucket_is_not_certified_and_one_that_is_certified_may_get_its_own() {
    let world = World::new();
    let drill = world.drill(false);
    assert!(matches!(drill.mark(mark(Purpose::Certify, 60), 1), Err(DrillError::HasBuckets { buckets: 1 })));
    assert!(matches!(drill.mark(mark(Purpose::Drill, 60), 0), Err(DrillError::NoDrillsHere)));
    drill.mark(mark(Purpose::Certify, 60), 0).expect("empty");
    assert!(drill.is_certifying());
    drill.mark(mark(Purpose::Certify, 90), 3).expect("its own");
    drill.execute(&harmless(), &[]).expect("marked");
}

#[test]
fn drills_are_only_where_they_are_allowed_and_a_mark_survives_the_process_and_not_its_time() {
    let world = World::new();
    let drill = world.drill(true);
    drill.mark(mark(Purpose::Drill, 60), 7).expect("allowed");
    assert!(!drill.is_certifying());
    let reopened = world.drill(true);
    assert_eq!(reopened.purpose(), Some(Purpose::Drill));
    world.clock.set_wall(Timestamp(1_000_000 + 60_000));
    assert_eq!(reopened.purpose(), None);
    assert!(matches!(reopened.execute(&harmless(), &[]), Err(DrillError::NotMarked)));
    assert_eq!(world.drill(true).purpose(), None);
    for seconds in [0, MARK_SECONDS_MAX + 1] {
        assert!(matches!(drill.mark(mark(Purpose::Drill, seconds), 0), Err(DrillError::Seconds(_))));
    }
}

#[test]
fn the_end_of_a_mark_ends_what_fills_the_disk() {
    let world = World::new();
    let drill = world.drill(true);
    drill.mark(mark(Purpose::Drill, 60), 0).expect("allowed");
    std::fs::write(filler(world.dir.path()), b"ballast").expect("written");
    assert_eq!(drill.status().filled_bytes, 7);
    drill.end();
    assert_eq!((drill.status().filled_bytes, drill.status().purpose), (0, None));
}

#[test]
fn bits_turn_over_where_the_seed_says_and_nowhere_else() {
    let world = World::new();
    let chunks = world.dir.path().join("chunks");
    std::fs::create_dir(&chunks).expect("made");
    std::fs::write(chunks.join("a"), [0; 4096]).expect("written");
    break_it::corrupt(&chunks, 8, 3).expect("there is something to damage");
    let after = std::fs::read(chunks.join("a")).expect("there");
    let turned: u32 = after.iter().map(|byte| byte.count_ones()).sum();
    assert!((1..=8).contains(&turned), "{turned}");
}
