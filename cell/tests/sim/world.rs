//! One run: three machines, clients and trouble, a millisecond at a time, in one thread.
//!
//! ```text
//!  each millisecond:  faults begin and end ─► messages that are due arrive ─► every machine runs
//! ```

use crate::{
    book::{Book, Tally},
    client::{BUCKET, Client, Ended, NODES, account},
    entropy::mixed,
    faults::{Fault, Weather},
    host::{DISK_PACE, Down, Host, Up, members},
    net::Wires,
    recount,
    trace::Trace,
    workload,
};
use bulkhead_cell::meta::{command::Command, index::Origin, record::Account};
use bulkhead_model::{ClaimId, Epoch};
use bulkhead_service::env::Rng;
use futures::FutureExt as _;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// How long clients work, milliseconds.
const LOAD_MS: u64 = 20_000;
/// How long anything may take that must come to an end, milliseconds.
const PATIENCE_MS: u64 = 240_000;
const CLIENTS: usize = 5;
const FAULTS_AT_ONCE: usize = 3;

/// What a run came to.
pub struct Report {
    pub seed: u64,
    pub weather: Weather,
    pub events: u64,
    pub hash: u64,
    pub simulated_ms: u64,
    pub faults: usize,
    pub tally: Tally,
    pub wrong: Vec<String>,
}

struct World {
    wires: Wires,
    hosts: Vec<Host>,
    clients: Up,
    book: Arc<Book>,
    rng: Rng,
    weather: Weather,
    now: u64,
    /// The fault that comes next: when, and how long it lasts.
    next: Option<(u64, u64, Fault)>,
    /// Those that are on, and until when.
    on: Vec<(u64, Fault)>,
    faults: usize,
    _dir: tempfile::TempDir,
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
        faults: world.faults,
        tally: world.book.tally(),
        wrong: world.book.verdict(),
    }
}

impl World {
    fn new(seed: u64, shown: bool) -> Self {
        let rng = Rng::from_seed(mixed(seed));
        // Only checkpoints are files, and they need no real disk.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.expect("a temporary directory");
        let wires = Wires::new(Rng::from_seed(rng.u64()), Trace::new(shown));
        let host_seed = rng.u64();
        let hosts = (1..=NODES).map(|id| Host::new(id, host_seed, dir.path().join(id.to_string()))).collect();
        let clients = Up::bare(0, rng.u64());
        let weather = Weather::of(&rng);
        let book = Arc::default();
        Self { wires, hosts, clients, book, rng, weather, now: 0, next: None, on: Vec::new(), faults: 0, _dir: dir }
    }

    fn live(&mut self) -> Result<(), String> {
        for at in 0..NODES {
            self.start(at);
        }
        self.form()?;
        self.furnish()?;
        let until = self.now + LOAD_MS;
        let workers: Vec<_> =
            (1..=CLIENTS).map(|id| self.clients.runtime.spawn(workload::work(self.client(id), until))).collect();
        self.plan();
        while self.now < until {
            self.trouble();
            self.step();
        }
        self.calm();
        for worker in workers {
            self.wait(worker, "a client")?;
        }
        let last = self.clients.runtime.spawn(workload::read_everything(self.client(0)));
        self.wait(last, "the last reader")?;
        let counted = self.clients.runtime.spawn(recount::recount(self.client(0)));
        self.wait(counted, "the recount")?;
        self.same_everywhere()
    }

    fn client(&self, id: usize) -> Client {
        let env = bulkhead_service::Env { rng: Rng::from_seed(self.rng.u64()), ..self.clients.env.clone() };
        Client::new(id, env, self.wires.clone(), Arc::clone(&self.book))
    }

    fn start(&mut self, at: usize) {
        if self.hosts[at].up.is_some() {
            return;
        }
        self.wires.note(format_args!("node {} starts", at + 1));
        self.hosts[at].start(self.now, &members(), &self.wires);
    }

    /// One millisecond.
    fn step(&mut self) {
        self.now += 1;
        self.wires.0.lock().now = self.now;
        while let Some(message) = self.wires.due() {
            let to = if message.to == 0 { Some(&self.clients) } else { self.hosts[message.to - 1].up.as_ref() };
            match (message.act, to) {
                (crate::net::Act::Begin { start, .. }, Some(up)) => start(up),
                (crate::net::Act::Begin { refused, .. }, None) => {
                    let (from, to, label) = (message.to, message.from, format!("refused: {}", message.label));
                    self.wires.send(crate::net::Message { from, to, label, act: crate::net::Act::End(refused) });
                }
                (crate::net::Act::End(end), _) => end(),
            }
        }
        for host in &self.hosts {
            if let Some(up) = &host.up {
                up.run(self.now, host.skew_ms);
            }
        }
        self.clients.run(self.now, 0);
    }

    /// Lets time pass until `task` ends.
    fn wait<T>(&mut self, task: JoinHandle<T>, what: &str) -> Result<T, String> {
        let until = self.now + PATIENCE_MS;
        while !task.is_finished() {
            if self.now >= until {
                return Err(format!("{what} does not come to an end within {PATIENCE_MS} ms"));
            }
            self.step();
        }
        self.clients.runtime.block_on(task).map_err(|error| format!("{what}: {error}"))
    }

    fn form(&mut self) -> Result<(), String> {
        let until = self.now + PATIENCE_MS;
        while self.hosts.iter().any(|host| host.up.as_ref().is_none_or(|up| up.parts.get().is_none())) {
            if self.now >= until {
                return Err("the nodes do not open".into());
            }
            self.step();
        }
        let up = self.hosts[0].up.as_ref().ok_or("node 1 is down")?;
        let parts = up.parts.get().cloned().ok_or("node 1 is not open")?;
        let formed = up.runtime.spawn(async move { parts.replica.form(&members()).await });
        self.wait(formed, "the forming")?.map_err(|error| error.to_string())
    }

    /// An account and a bucket.
    fn furnish(&mut self) -> Result<(), String> {
        let record = Account { display_name: "sim".into(), email: "sim@example.org".into(), epoch: Epoch(1) };
        let bucket = Command::CreateBucket { name: BUCKET.into(), owner: account(), claim: ClaimId(1), location: None };
        for command in [Command::PutAccount { account: account(), record }, bucket] {
            let client = self.client(0);
            let furnished = self.clients.runtime.spawn(async move {
                loop {
                    let command = command.clone();
                    let work = move |cell: bulkhead_cell::ops::Cell, caller: bulkhead_cell::ops::Caller| {
                        let (origin, command) =
                            (Origin { request: Some(caller.request), routed: None }, command.clone());
                        async move {
                            let outcome = cell.index.execute(origin, command, caller.deadline).await?;
                            Ok(outcome.is_ok())
                        }
                        .boxed()
                    };
                    match client.persist("furnish", work).await {
                        Ended::Done(done) => return done,
                        Ended::Refused(_) => return false,
                        Ended::Not | Ended::Unknown => {}
                    }
                }
            });
            if !self.wait(furnished, "an account or a bucket")? {
                return Err("an account or a bucket is refused".into());
            }
        }
        Ok(())
    }

    fn plan(&mut self) {
        self.next = self.weather.next(&self.rng, NODES).map(|(calm, lasts, fault)| (self.now + calm, lasts, fault));
    }

    fn trouble(&mut self) {
        while let Some(at) = self.on.iter().position(|(until, _)| *until <= self.now) {
            let (_, fault) = self.on.remove(at);
            self.wires.note(format_args!("over: {fault:?}"));
            self.end(fault);
        }
        if let Some((_, lasts, fault)) = self.next.take_if(|(at, ..)| *at <= self.now) {
            if self.on.len() < FAULTS_AT_ONCE {
                self.wires.note(format_args!("{fault:?}"));
                self.faults += 1;
                self.begin(fault);
                self.on.push((self.now + lasts, fault));
            }
            self.plan();
        }
    }

    fn begin(&mut self, fault: Fault) {
        let everyone = 0..=NODES;
        match fault {
            Fault::Crash(node, how) => self.hosts[node - 1].stop(how),
            Fault::CrashAll(how) => self.hosts.iter_mut().for_each(|host| host.stop(how)),
            Fault::Isolate(node) => self.block((1..=NODES).flat_map(|other| [(node, other), (other, node)])),
            Fault::CutOff(node) => self.block(everyone.flat_map(|other| [(node, other), (other, node)])),
            Fault::OneWay(from, to) => self.block([(from, to)]),
            Fault::SlowLink(from, to, most) => {
                self.wires.0.lock().slow.insert((from, to), most);
            }
            Fault::Loss(permille) => self.wires.0.lock().loss = permille,
            Fault::SlowDisk(node, most) => self.pace(node, Duration::from_millis(most)),
            Fault::Clock(node, by) => self.hosts[node - 1].skew_ms = by,
            Fault::Disk(node, fault) => self.hosts[node - 1].chunk_disk.plan(fault),
        }
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(node, _) => self.start(node - 1),
            Fault::CrashAll(_) => (0..NODES).for_each(|at| self.start(at)),
            Fault::Isolate(_) | Fault::CutOff(_) | Fault::OneWay(..) | Fault::SlowLink(..) | Fault::Loss(_) => {
                self.wires.heal();
                // The others of the network are still on.
                for fault in
                    self.on.iter().map(|(_, fault)| *fault).filter(|fault| fault.is_of_network()).collect::<Vec<_>>()
                {
                    self.begin(fault);
                }
            }
            Fault::SlowDisk(node, _) => self.pace(node, DISK_PACE),
            // Clocks stay wrong, and a disk's fault may be still to come.
            Fault::Clock(..) | Fault::Disk(..) => {}
        }
    }

    fn block(&self, links: impl IntoIterator<Item = (usize, usize)>) {
        self.wires.0.lock().blocked.extend(links);
    }

    fn pace(&self, node: usize, most: Duration) {
        if let Some(up) = &self.hosts[node - 1].up {
            up.pace.set(most);
        }
    }

    /// Ends all trouble: what is broken is mended, and every node starts once more, so that disks are read.
    fn calm(&mut self) {
        self.on.clear();
        self.wires.heal();
        for at in 0..NODES {
            self.hosts[at].stop(if self.rng.below(2) == 0 { Down::Kill } else { Down::Power });
            self.hosts[at].chunk_disk.heal();
            self.start(at);
        }
    }

    /// Once all have applied everything, all hold the same.
    fn same_everywhere(&mut self) -> Result<(), String> {
        let until = self.now + PATIENCE_MS;
        loop {
            let states: Vec<_> = self
                .hosts
                .iter()
                .filter_map(|host| Some(recount::rows(&host.up.as_ref()?.parts.get()?.replica)))
                .collect();
            if states.len() == NODES && states.iter().all(|state| *state == states[0]) {
                return Ok(());
            }
            if self.now >= until {
                return Err("the nodes' indexes differ".into());
            }
            for _ in 0..100 {
                self.step();
            }
        }
    }
}
