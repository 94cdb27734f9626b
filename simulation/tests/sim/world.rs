//! One run: machines, routers, clients and trouble, a millisecond at a time, in one thread.
//!
//! ```text
//!  each millisecond:  faults begin and end ─► messages that are due arrive ─► every machine runs ─► who died is restarted
//! ```

use crate::{
    book::{Book, Tally},
    client::Client,
    entropy::mixed,
    faults::{Fault, SLOTS, Slot, Weather},
    host::{Host, Up},
    net::{Act, CLIENTS, HostId, Message, ROUTERS, Wires, is_node},
    recount::recount,
    replace::Replacement,
    router::RouterHost,
    trace::Trace,
    workload,
};
use bulkhead_service::env::Rng;
use futures::FutureExt as _;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// How long anything may take that must come to an end, milliseconds.
pub const PATIENCE_MS: u64 = 240_000;
const WORKERS: usize = 5;
const ROUTER_COUNT: usize = 2;

/// What a run came to.
pub struct Report {
    pub seed: u64,
    pub weather: Weather,
    pub events: u64,
    pub hash: u64,
    pub simulated_ms: u64,
    pub tally: Tally,
    pub events_of: Events,
    pub wrong: Vec<String>,
}

/// How often what happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Events {
    pub faults: u64,
    /// Times that a machine lost its power.
    pub power_cuts: u64,
    pub starts: u64,
    pub router_starts: u64,
    pub replaced: u64,
    pub terms: u64,
    pub purges: u64,
    pub checkpoints_sent: u64,
    pub log_records_lost: u64,
    pub bits_flipped: u64,
    pub copies_repaired: u64,
}

pub struct World {
    pub wires: Wires,
    /// By id, from 1 on. Ids are never used again.
    pub hosts: Vec<Host>,
    host_seed: u64,
    pub routers: Vec<RouterHost>,
    /// Routing tables there were.
    pub tables: u64,
    pub clients: Up,
    pub book: Arc<Book>,
    pub rng: Rng,
    pub weather: Weather,
    pub now: u64,
    /// The fault that comes next: when, and how long it lasts.
    pub next: Option<(u64, u64, Fault)>,
    /// Those that are on, and until when.
    pub on: Vec<(u64, Fault)>,
    /// Who starts again, and when.
    pub restarts: Vec<(u64, HostId)>,
    /// Whose lead is being overthrown.
    pub overthrown: Option<HostId>,
    pub replacement: Option<Replacement>,
    /// The place whose disks rot.
    pub rotten: Slot,
    pub events: Events,
    dir: tempfile::TempDir,
}

/// Runs one seed. With `shown`, prints what happens.
pub fn run(seed: u64, shown: bool) -> Report {
    let mut world = World::new(seed, shown);
    if let Err(what) = world.live() {
        world.book.violation(what);
    }
    let (events, hash) = world.wires.0.lock().trace.sum();
    Report {
        seed,
        weather: world.weather,
        events,
        hash,
        simulated_ms: world.now,
        tally: world.book.tally(),
        events_of: world.counted(),
        wrong: world.book.verdict(),
    }
}

impl World {
    fn new(seed: u64, shown: bool) -> Self {
        let rng = Rng::from_seed(mixed(seed));
        // Only checkpoints are files, and they need no real disk.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let wires = Wires::new(Rng::from_seed(rng.u64()), Trace::new(shown));
        let (host_seed, client_seed, rotten) = (rng.u64(), rng.u64(), rng.below(SLOTS as u64));
        let mut world = Self {
            wires,
            hosts: Vec::new(),
            host_seed,
            routers: Vec::new(),
            tables: 1,
            clients: Up::bare(0, client_seed),
            book: Arc::default(),
            rng,
            weather: Weather::of(seed),
            now: 0,
            next: None,
            on: Vec::new(),
            restarts: Vec::new(),
            overthrown: None,
            replacement: None,
            rotten: 1 + usize::try_from(rotten).expect("few"),
            events: Events::default(),
            dir: dir.expect("a temporary directory"),
        };
        for slot in 1..=SLOTS {
            world.add_host(slot);
        }
        let router = |at| RouterHost::new(ROUTERS + at, host_seed, world.table());
        world.routers = (1..=ROUTER_COUNT).map(router).collect();
        world
    }

    fn live(&mut self) -> Result<(), String> {
        for id in 1..=SLOTS {
            self.start(id);
        }
        self.form()?;
        self.furnish()?;
        (0..self.routers.len()).for_each(|at| self.start_router(at));
        let until = self.now + self.weather.load_ms();
        let workers: Vec<_> =
            (1..=WORKERS).map(|id| self.clients.runtime.spawn(workload::work(self.client(id), until))).collect();
        self.plan();
        while self.now < until {
            self.trouble();
            self.step();
        }
        self.calm();
        for worker in workers {
            self.wait(worker, "a client")?;
        }
        self.finish_replacement()?;
        self.settle()?;
        let last = self.clients.runtime.spawn(workload::read_everything(self.client(0)));
        self.wait(last, "the last reader")?;
        let counted = self.insist("the recount", |parts, deadline| recount(parts, deadline).boxed())?;
        counted.into_iter().for_each(|what| self.book.violation(what));
        self.same_everywhere()
    }

    fn client(&self, id: usize) -> Client {
        let env = bulkhead_service::Env { rng: Rng::from_seed(self.rng.u64()), ..self.clients.env.clone() };
        let think = Duration::from_millis(self.weather.think_ms());
        let routers: Vec<HostId> = self.routers.iter().map(|router| router.id).collect();
        Client::new(id, env, self.wires.clone(), Arc::clone(&self.book), think, &routers)
    }

    /// A new machine, with an id that no other had.
    pub fn add_host(&mut self, slot: Slot) -> HostId {
        let id = self.hosts.len() + 1;
        let dir = self.dir.path().join(id.to_string());
        self.hosts.push(Host::new(id, slot, self.host_seed, dir, self.weather.checkpoint_log_bytes()));
        id
    }

    /// Those that are to run.
    pub fn ids(&self) -> Vec<HostId> {
        self.hosts.iter().filter(|host| !host.retired).map(|host| host.id).collect()
    }

    /// Of those, the ones in a place: two while one replaces the other.
    pub fn ids_of(&self, slot: Slot) -> Vec<HostId> {
        self.ids().into_iter().filter(|id| self.hosts[id - 1].slot == slot).collect()
    }

    pub fn start(&mut self, id: HostId) {
        let host = &mut self.hosts[id - 1];
        if host.up.is_some() || host.retired {
            return;
        }
        self.wires.note(format_args!("node {id} starts"));
        self.events.starts += 1;
        self.wires.lighten(id);
        host.start(self.now, &self.wires);
    }

    pub fn start_router(&mut self, at: usize) {
        let router = &mut self.routers[at];
        if router.up.is_some() {
            return;
        }
        self.wires.note(format_args!("router {} starts", router.id));
        self.events.router_starts += 1;
        self.wires.lighten(router.id);
        router.start(self.now, &self.wires);
        self.tell_router(at);
    }

    /// A machine that is up.
    fn up(&self, id: HostId) -> Option<&Up> {
        match id {
            CLIENTS => Some(&self.clients),
            id if is_node(id) => self.hosts[id - 1].up.as_ref(),
            id => self.routers[id - ROUTERS - 1].up.as_ref(),
        }
    }

    /// One millisecond.
    pub fn step(&mut self) {
        self.now += 1;
        self.wires.0.lock().now = self.now;
        while let Some(message) = self.wires.due() {
            match (message.act, self.up(message.to)) {
                (Act::Begin { start, .. }, Some(up)) => start(up),
                (Act::Begin { refused, .. }, None) => {
                    let (from, to, label) = (message.to, message.from, format!("refused: {}", message.label));
                    self.wires.send(Message { from, to, label, act: Act::End(refused), of: None });
                }
                (Act::End(end), _) => end(),
            }
        }
        for host in &self.hosts {
            if let Some(up) = &host.up {
                up.run(self.now, host.skew_ms);
            }
        }
        self.routers.iter().filter_map(|router| router.up.as_ref()).for_each(|up| up.run(self.now, 0));
        self.clients.run(self.now, 0);
        self.supervise();
        self.advance_replacement();
    }

    /// Lets time pass until `task` ends.
    pub fn wait<T>(&mut self, task: JoinHandle<T>, what: &str) -> Result<T, String> {
        let until = self.now + PATIENCE_MS;
        while !task.is_finished() {
            if self.now >= until {
                return Err(format!("{what} does not come to an end within {PATIENCE_MS} ms"));
            }
            self.step();
        }
        self.clients.runtime.block_on(task).map_err(|error| format!("{what}: {error}"))
    }

    /// Lets time pass until `done`.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Result<(), String> {
        let until = self.now + PATIENCE_MS;
        while !done(self) {
            if self.now >= until {
                return Err(format!("{what} within {PATIENCE_MS} ms"));
            }
            for _ in 0..50 {
                self.step();
            }
        }
        Ok(())
    }

    fn counted(&self) -> Events {
        let mut events = self.events;
        events.checkpoints_sent = self.wires.0.lock().checkpoints;
        for host in &self.hosts {
            let counts = host.log_counts();
            events.purges += counts.purges;
            events.log_records_lost += counts.lost;
            events.copies_repaired += host.repaired();
            let term = host.parts().map_or(0, |parts| parts.replica.status().term);
            events.terms = events.terms.max(term);
        }
        events
    }
}
