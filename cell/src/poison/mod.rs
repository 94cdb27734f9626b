//! Requests that end the process which executes them (an abort, no memory, an overflown stack): recognised by what was in flight,
//! and refused for their account, instead of ending node after node.
//!
//! What is in flight is noted in [`slots`]; after a death that was the process's own doing ([`cause`]) it is told to the other
//! nodes ([`exchange`]), and each concludes by itself what it refuses ([`judge`]). A panic is none of this: it ends its
//! request. Must not know HTTP's answers, nor any store.

mod cause;
pub mod exchange;
mod judge;
mod shape;
mod slots;

pub use judge::{Refused, Scope};
pub use shape::Shape;

use crate::limits::SHAPES_PER_DEATH_MAX;
use arc_swap::ArcSwap;
use bulkhead_model::{NodeId, Timestamp};
use bulkhead_service::env::Clock;
use judge::{Death, Known};
use parking_lot::Mutex;
use slots::{Noted, Slots};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a node knows of poison. Cheap to clone.
#[derive(Clone)]
pub struct Poison(Arc<Shared>);

struct Shared {
    node: NodeId,
    clock: Clock,
    /// What outlives the process; `None` when it cannot be had.
    memory: Option<Memory>,
    known: Mutex<Known>,
    /// For whom is executed alone.
    alone: Arc<Semaphore>,
    /// By hash. Read for each request, and hardly ever changed.
    refused: ArcSwap<HashMap<u64, Refused>>,
    /// What some death speaks against: to be cleared of it by being executed.
    suspects: ArcSwap<BTreeSet<u64>>,
}

/// The files of a node.
struct Memory {
    dir: PathBuf,
    slots: Arc<Slots>,
    /// Held while what is known is written: of two that do so, the later one has the later state.
    saving: Mutex<()>,
}

/// A request that is being executed, as long as this is here.
pub struct Ticket {
    poison: Poison,
    hashes: [u64; 2],
    /// It was executed, and the process lives.
    harmless: AtomicBool,
    _noted: Option<Noted>,
    _alone: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    /// Its answer went out whole. Without this the request may have been refused or given up before anything was executed, and stays
    /// suspected of what it was suspected of.
    pub fn executed(&self) {
        self.harmless.store(true, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !*self.harmless.get_mut() {
            return;
        }
        let suspects = self.poison.0.suspects.load();
        if !suspects.is_empty() {
            self.poison.clear(self.hashes.into_iter().filter(|hash| suspects.contains(hash)).collect());
        }
    }
}

impl Poison {
    /// Finds out how the last process on `dir` ended, and begins to note what is in flight.
    ///
    /// # Errors
    /// When the files in `dir` cannot be read or written.
    pub fn open(dir: &Path, node: NodeId, clock: Clock) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (slots, left) = Slots::open(&dir.join("in-flight"))?;
        let ended_itself = cause::arm(dir)?;
        let poison = Self::remembering(slots, dir, node, clock);
        if ended_itself && !left.is_empty() {
            poison.died(left);
        }
        Ok(poison)
    }

    /// One that notes nothing and keeps nothing over a restart: what other nodes tell it holds here too.
    pub fn forgetful(node: NodeId, clock: Clock) -> Self {
        Self::new(None, Known::default(), node, clock)
    }

    fn remembering(slots: Slots, dir: &Path, node: NodeId, clock: Clock) -> Self {
        let memory = Memory { dir: dir.to_owned(), slots: Arc::new(slots), saving: Mutex::new(()) };
        let text = std::fs::read_to_string(memory.file()).unwrap_or_default();
        // A hint: without it a poison request may end this node once more.
        Self::new(Some(memory), serde_json::from_str(&text).unwrap_or_default(), node, clock)
    }

    fn new(memory: Option<Memory>, known: Known, node: NodeId, clock: Clock) -> Self {
        let shared = Shared {
            node,
            clock,
            memory,
            known: Mutex::new(known),
            alone: Arc::new(Semaphore::new(1)),
            refused: ArcSwap::default(),
            suspects: ArcSwap::default(),
        };
        let poison = Self(Arc::new(shared));
        poison.conclude();
        poison
    }

    fn died(&self, mut shapes: Vec<Shape>) {
        for shape in &shapes {
            tracing::warn!(
                account = %shape.account, operation = shape.operation, shape = format_args!("{:016x}", shape.exact),
                "in flight when the last process ended itself"
            );
        }
        shapes.truncate(SHAPES_PER_DEATH_MAX);
        let death = Death { node: self.0.node, at: self.0.clock.wall(), shapes };
        self.merge(Known { deaths: vec![death], lifted: Vec::new() });
    }

    /// Notes that a request is about to be executed. One that is to be executed alone is so as long as its ticket is there.
    ///
    /// # Errors
    /// When it is refused, or is to be executed alone and another is.
    pub fn enter(&self, shape: &Shape) -> Result<Ticket, Refused> {
        let now = self.0.clock.wall();
        let refused = self.0.refused.load();
        let found = || refused.get(&shape.exact).or_else(|| refused.get(&shape.kind));
        let mut alone = None;
        if let Some(refused) = (!refused.is_empty()).then(found).flatten()
            && now < refused.until
        {
            alone = match refused.scope {
                Scope::Here | Scope::Cell => None,
                Scope::Alone => Arc::clone(&self.0.alone).try_acquire_owned().ok(),
            };
            if alone.is_none() {
                return Err(refused.clone());
            }
        }
        let noted = self.0.memory.as_ref().and_then(|memory| memory.slots.note(shape));
        let hashes = [shape.exact, shape.kind];
        Ok(Ticket { poison: self.clone(), hashes, harmless: AtomicBool::new(false), _noted: noted, _alone: alone })
    }

    /// What this node refuses now.
    pub fn refused(&self) -> Vec<Refused> {
        self.0.known.lock().judge(self.0.node, self.0.clock.wall())
    }

    /// Lets go of a shape, here at once and on the other nodes with the next round. Says whether it was refused.
    pub fn lift(&self, hash: u64) -> bool {
        let was_refused = self.refused().iter().any(|refused| refused.hash == hash);
        if was_refused {
            let at = self.0.clock.wall();
            self.0.known.lock().lift(hash, at);
            self.conclude();
            self.save();
        }
        was_refused
    }

    /// A suspect was executed, and the process lives.
    fn clear(&self, hashes: Vec<u64>) {
        if hashes.is_empty() {
            return;
        }
        let at = self.0.clock.wall();
        {
            let mut known = self.0.known.lock();
            hashes.into_iter().for_each(|hash| known.lift(hash, at));
            known.forget(at);
        }
        self.conclude();
        self.save();
    }

    fn known(&self) -> Known {
        self.0.known.lock().clone()
    }

    fn merge(&self, other: Known) {
        if self.0.known.lock().merge(other, self.0.clock.wall()) {
            self.conclude();
            self.save();
        }
    }

    /// Forgets what is old.
    fn pass_time(&self, now: Timestamp) {
        self.0.known.lock().forget(now);
        self.conclude();
    }

    fn conclude(&self) {
        let refused: HashMap<u64, Refused> =
            self.refused().into_iter().map(|refused| (refused.hash, refused)).collect();
        self.0.suspects.store(Arc::new(self.0.known.lock().suspects()));
        metrics::gauge!("poison_shapes_refused").set(u32::try_from(refused.len()).unwrap_or(u32::MAX));
        let before = self.0.refused.swap(Arc::new(refused));
        for refused in self.0.refused.load().values().filter(|refused| !before.contains_key(&refused.hash)) {
            tracing::warn!(
                account = %refused.account, operation = refused.operation, shape = format_args!("{:016x}", refused.hash),
                deaths = refused.deaths, scope = ?refused.scope, "a request is refused for a while"
            );
        }
    }

    /// Survives the process, and need not survive the machine.
    fn save(&self) {
        let Some(memory) = &self.0.memory else { return };
        let _saving = memory.saving.lock();
        let text = serde_json::to_string(&self.known()).expect("numbers and strings");
        let file = memory.file();
        let new = file.with_extension("new");
        if let Err(error) = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &file)) {
            tracing::warn!(%error, "what is known of deaths is not kept over a restart");
        }
    }

    /// Remembers what the machine has killed so far: it was not this process.
    fn remember_kills(&self) {
        let Some(memory) = &self.0.memory else { return };
        if let Err(error) = cause::remember(&memory.dir) {
            tracing::debug!(%error, "what the machine has killed is not remembered");
        }
    }
}

impl Memory {
    /// Where what is known is kept over a restart.
    fn file(&self) -> PathBuf {
        self.dir.join("deaths.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::AccountId;
    use std::{mem::ManuallyDrop, time::Duration};
    use tempfile::TempDir;

    const START: Timestamp = Timestamp(1_750_000_000_000);

    fn shape(exact: u64) -> Shape {
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        Shape { account, operation: "PutObject".into(), exact, kind: 7 }
    }

    /// A process of a node; `open` is its next life.
    fn open(dir: &TempDir, node: u64, clock: &Clock, died: bool) -> Poison {
        let (slots, left) = Slots::open(&dir.path().join("in-flight")).expect("writable");
        let poison = Poison::remembering(slots, dir.path(), NodeId(node), clock.clone());
        if died && !left.is_empty() {
            poison.died(left);
        }
        poison
    }

    fn dir() -> TempDir {
        TempDir::new().expect("a temporary directory")
    }

    /// What a request meets that is not executed then.
    fn scope(poison: &Poison, exact: u64) -> Option<Scope> {
        poison.enter(&shape(exact)).err().map(|refused| refused.scope)
    }

    /// It is executed and does no harm.
    fn execute(poison: &Poison, exact: u64) {
        poison.enter(&shape(exact)).expect("it is not refused").executed();
    }

    #[test]
    fn a_poison_request_ends_one_node_then_another_and_no_third() {
        let (clock, dirs) = (Clock::manual(START), [dir(), dir(), dir()]);
        let first = open(&dirs[0], 1, &clock, false);
        let _gone = ManuallyDrop::new([first.enter(&shape(1)).ok(), first.enter(&shape(2)).ok()]);
        let first = open(&dirs[0], 1, &clock, true);
        assert_eq!((scope(&first, 1), scope(&first, 2)), (Some(Scope::Here), Some(Scope::Here)));

        let second = open(&dirs[1], 2, &clock, false);
        second.merge(first.known());
        execute(&second, 2);
        let _gone = ManuallyDrop::new(second.enter(&shape(1)).ok());
        clock.set_wall(START.plus(Duration::from_secs(5)));
        let second = open(&dirs[1], 2, &clock, true);
        let third = open(&dirs[2], 3, &clock, false);
        for poison in [&first, &third] {
            poison.merge(second.known());
        }
        for poison in [&first, &second, &third] {
            assert_eq!(scope(poison, 1), Some(Scope::Cell));
        }
        assert_eq!(scope(&third, 2), None);

        clock.set_wall(START.plus(crate::limits::QUARANTINE + Duration::from_secs(6)));
        assert_eq!(scope(&third, 1), None, "it is let go of by itself");
    }

    #[test]
    fn a_request_that_is_executed_and_does_no_harm_is_no_suspect_any_more() {
        let (clock, dirs) = (Clock::manual(START), [dir(), dir()]);
        let first = open(&dirs[0], 1, &clock, false);
        let death = |node, at| Death { node: NodeId(node), at, shapes: vec![shape(1)] };
        first.merge(Known { deaths: vec![death(2, START)], lifted: Vec::new() });
        execute(&first, 1);
        let later = START.plus(Duration::from_secs(5));
        clock.set_wall(later);
        first.merge(Known { deaths: vec![death(3, later)], lifted: Vec::new() });
        assert_eq!(scope(&first, 1), None, "one death speaks against it and not two");
        let second = open(&dirs[1], 2, &clock, false);
        second.merge(first.known());
        assert_eq!(scope(&second, 1), None);
    }

    #[test]
    fn what_was_not_executed_stays_suspected() {
        let (clock, dir) = (Clock::manual(START), dir());
        let node = open(&dir, 1, &clock, false);
        let death = |node, at| Death { node: NodeId(node), at, shapes: vec![shape(1)] };
        node.merge(Known { deaths: vec![death(2, START)], lifted: Vec::new() });
        drop(node.enter(&shape(1)).expect("it may be executed here"));
        node.merge(Known { deaths: vec![death(3, START)], lifted: Vec::new() });
        assert_eq!(scope(&node, 1), Some(Scope::Cell), "a refusal after that has cleared nobody");
    }

    #[test]
    fn suspects_are_executed_one_at_a_time_and_clear_themselves() {
        let (clock, dir) = (Clock::manual(START), dir());
        let node = open(&dir, 1, &clock, false);
        let shape = |exact| Shape { kind: 70 + exact, ..shape(exact) };
        let deaths = [2, 3].map(|node| Death { node: NodeId(node), at: START, shapes: vec![shape(1), shape(2)] });
        node.merge(Known { deaths: deaths.to_vec(), lifted: Vec::new() });
        let first = node.enter(&shape(1)).expect("the first is executed");
        let second = node.enter(&shape(2)).err().expect("alone");
        assert_eq!(second.scope, Scope::Alone);
        drop(node.enter(&shape(3)).expect("who is no suspect is served beside it"));
        first.executed();
        drop(first);
        assert_eq!(node.enter(&shape(2)).err().expect("it is the cause").scope, Scope::Cell);
        assert!(node.enter(&shape(1)).is_ok());
    }

    #[test]
    fn a_node_without_memory_heeds_what_others_tell_it() {
        let node = Poison::forgetful(NodeId(1), Clock::manual(START));
        let deaths = [2, 3].map(|node| Death { node: NodeId(node), at: START, shapes: vec![shape(1)] });
        node.merge(Known { deaths: deaths.to_vec(), lifted: Vec::new() });
        assert_eq!((scope(&node, 1), scope(&node, 2)), (Some(Scope::Cell), None));
    }

    #[test]
    fn an_operator_lets_go_of_a_shape_on_all_nodes() {
        let (clock, dirs) = (Clock::manual(START), [dir(), dir()]);
        let first = open(&dirs[0], 1, &clock, false);
        let deaths = [1, 2].map(|node| Death { node: NodeId(node), at: START, shapes: vec![shape(1)] });
        first.merge(Known { deaths: deaths.to_vec(), lifted: Vec::new() });
        let second = open(&dirs[1], 2, &clock, false);
        second.merge(first.known());
        assert_eq!(scope(&second, 1), Some(Scope::Cell));
        assert!(first.lift(1) && !first.lift(1) && !first.lift(99));
        second.merge(first.known());
        assert_eq!((scope(&first, 1), scope(&second, 1)), (None, None));
    }

    #[test]
    fn a_node_that_was_killed_from_outside_blames_nobody() {
        let (clock, dir) = (Clock::manual(START), dir());
        let killed = open(&dir, 1, &clock, false);
        let _gone = ManuallyDrop::new(killed.enter(&shape(1)).ok());
        let next = open(&dir, 1, &clock, false);
        assert_eq!(scope(&next, 1), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
    fn noting_a_request_costs_microseconds() {
        let (clock, dir) = (Clock::manual(START), dir());
        let poison = open(&dir, 1, &clock, false);
        let shape = shape(1);
        let best = (0..20).map(|_| {
            let begun = std::time::Instant::now();
            for _ in 0..1_000 {
                drop(poison.enter(&shape));
            }
            begun.elapsed() / 1_000
        });
        let best = best.min().expect("twenty");
        println!("a request is noted and cleared in {best:?}");
        // Ten times what it takes, so that a slow machine does not fail it and a sync does.
        assert!(best < Duration::from_micros(20), "{best:?}");
    }
}
