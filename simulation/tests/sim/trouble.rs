//! How each fault begins and ends, and what becomes of machines that died.

use crate::{
    faults::{Fault, Gap, RouterAt, SLOTS, Slot, Whom},
    host::{DISK_PACE, Down},
    net::{Armed, CLIENTS, HostId, Moment, is_node},
    replace::Replacement,
    world::World,
};
use bulkhead_cell::chunks::disk;
use bulkhead_model::NodeId;
use bulkhead_service::env::Rng;
use std::time::Duration;

const FAULTS_AT_ONCE: usize = 3;
/// How slow disks are, milliseconds, while a leader is overthrown: who votes needs that long to write it down.
const COUP_DISK_MS: u64 = 200;
/// How long the new leader is cut off from who elected it.
const EXILE_MS: u64 = 2_500;
/// Until a machine that died starts again.
const RESTART_MS: u64 = 1_500;

impl World {
    /// Decides what comes next.
    pub fn plan(&mut self) {
        self.next = self.weather.next(&self.rng).map(|(calm, lasts, fault)| (self.now + calm, lasts, fault));
    }

    /// Ends and begins what is due.
    pub fn trouble(&mut self) {
        while let Some(at) = self.on.iter().position(|(until, _)| *until <= self.now) {
            let (_, fault) = self.on.remove(at);
            self.wires.note(format_args!("over: {fault:?}"));
            self.end(fault);
        }
        if let Some((_, lasts, fault)) = self.next.take_if(|(at, ..)| *at <= self.now) {
            if self.on.len() < FAULTS_AT_ONCE && self.begin(fault) {
                self.wires.note(format_args!("{fault:?}"));
                self.events.faults += 1;
                self.on.push((self.now + lasts, fault));
            }
            self.plan();
        }
    }

    /// Says whether it could.
    fn begin(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::Crash(slot, how) => self.ids_of(slot).into_iter().for_each(|id| self.stop(id, how)),
            Fault::CrashAll(how) => self.ids().into_iter().for_each(|id| self.stop(id, how)),
            Fault::CutAt(moment, _, skip) => return self.arm(moment, skip),
            Fault::CutInDisk(steps) => {
                for id in self.ids() {
                    let step = self.rng.below(steps);
                    self.hosts[id - 1].chunk_disk.plan(disk::Fault::Power(step));
                }
            }
            Fault::Isolate(slot) => self.isolate(&self.ids_of(slot)),
            Fault::CutOff(slot) => {
                self.isolate(&self.ids_of(slot));
                self.block(self.router_links(slot).into_iter().flat_map(|(router, id)| [(id, router), (router, id)]));
            }
            Fault::OneWay(from, to) => self.block(self.links(from, to)),
            Fault::SlowLink(from, to, most) => {
                let links = self.links(from, to).into_iter().map(|link| (link, most));
                self.wires.0.lock().slow.extend(links);
            }
            Fault::Loss(permille) => self.wires.0.lock().loss = permille,
            Fault::SlowDisk(slot, most) => self.pace(&self.ids_of(slot), Duration::from_millis(most)),
            Fault::SlowDisks(most) => self.pace(&self.ids(), Duration::from_millis(most)),
            Fault::Coup => return self.overthrow(),
            Fault::Clock(slot, by) => {
                self.hosts.iter_mut().for_each(|host| host.skew_ms = if host.slot == slot { by } else { 0 })
            }
            Fault::Disk(slot, fault) => {
                let slot = if matches!(fault, disk::Fault::Read(_)) { self.rotten } else { slot };
                self.ids_of(slot).into_iter().for_each(|id| self.hosts[id - 1].chunk_disk.plan(fault));
            }
            Fault::LogSync(slot) => self.ids_of(slot).into_iter().for_each(|id| self.hosts[id - 1].fail_log_sync()),
            Fault::Rot(bits) => {
                let rng = Rng::from_seed(self.rng.u64());
                self.ids_of(self.rotten).into_iter().for_each(|id| self.hosts[id - 1].rot(bits, &rng));
                self.events.bits_flipped += bits;
            }
            Fault::Wipe(slot) => return self.replace(slot, true),
            Fault::Replace(slot) => return self.replace(slot, false),
            Fault::HandOver(slot) => return self.hand_over(slot),
            Fault::RouterDown(at, how) => return self.stop_router(at, how),
            Fault::RouterCut(at, slot, gap) => {
                let router = self.routers[at].id;
                self.block(self.ids_of(slot).into_iter().flat_map(|id| gap.links(router, id)));
            }
            Fault::RouterAway(at, gap) => self.block(gap.links(CLIENTS, self.routers[at].id)),
            Fault::RouterSlow(at, slot, most) => {
                let router = self.routers[at].id;
                let links = self.ids_of(slot).into_iter().flat_map(|id| Gap::Both.links(router, id));
                self.wires.0.lock().slow.extend(links.map(|link| (link, most)));
            }
        }
        true
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(slot, _) => self.ids_of(slot).into_iter().for_each(|id| self.start(id)),
            Fault::CrashAll(_) => self.ids().into_iter().for_each(|id| self.start(id)),
            Fault::CutAt(..) => self.wires.0.lock().armed = None,
            Fault::Coup => {
                self.wires.0.lock().armed = None;
                self.overthrown = None;
                self.pace(&self.ids(), DISK_PACE);
                self.heal();
            }
            Fault::Isolate(_)
            | Fault::CutOff(_)
            | Fault::OneWay(..)
            | Fault::SlowLink(..)
            | Fault::Loss(_)
            | Fault::RouterCut(..)
            | Fault::RouterAway(..)
            | Fault::RouterSlow(..) => self.heal(),
            Fault::RouterDown(at, _) => self.start_router(at),
            Fault::SlowDisk(slot, _) => self.pace(&self.ids_of(slot), DISK_PACE),
            Fault::SlowDisks(_) => self.pace(&self.ids(), DISK_PACE),
            // Clocks stay wrong, a disk's fault may be still to come, and what was begun goes on.
            Fault::Clock(..)
            | Fault::Disk(..)
            | Fault::LogSync(_)
            | Fault::CutInDisk(_)
            | Fault::Rot(_)
            | Fault::Wipe(_)
            | Fault::Replace(_)
            | Fault::HandOver(_) => {}
        }
    }

    /// The network is well again, but for what is still on.
    fn heal(&mut self) {
        self.wires.heal();
        let on: Vec<_> = self.on.iter().map(|(_, fault)| *fault).filter(|fault| fault.is_of_network()).collect();
        for fault in on {
            self.begin(fault);
        }
    }

    /// Looks after machines: one whose power failed or whose process ended starts again.
    pub fn supervise(&mut self) {
        let seen = self.wires.0.lock().seen.take();
        if let Some((from, to)) = seen {
            self.answered(from, to);
        }
        for id in self.ids() {
            let host = &self.hosts[id - 1];
            let Some(up) = &host.up else { continue };
            let how = match (host.chunk_disk.is_dead(), up.ended.get()) {
                (true, _) => Down::Power,
                (false, Some(_)) => Down::Kill,
                (false, None) => continue,
            };
            self.stop(id, how);
            self.restart(id);
        }
        while let Some(at) = self.restarts.iter().position(|(at, _)| *at <= self.now) {
            let (_, id) = self.restarts.remove(at);
            self.start(id);
        }
    }

    /// The answer that was waited for is given.
    fn answered(&mut self, from: HostId, to: HostId) {
        if self.overthrown.is_some() {
            return self.usurp(from, to);
        }
        let armed = self.on.iter().position(|(_, fault)| matches!(fault, Fault::CutAt(..)));
        let Some((_, Fault::CutAt(_, whom, _))) = armed.map(|at| self.on.remove(at)) else { return };
        let cut = match whom {
            Whom::Him => vec![from],
            Whom::Both => vec![from, to],
            Whom::All => self.ids(),
        };
        for id in cut.into_iter().filter(|id| is_node(*id)) {
            self.stop(id, Down::Power);
            self.restart(id);
        }
    }

    /// A node has voted, for the leader to be: it loses its power, and finds itself at the old leader's side.
    fn usurp(&mut self, voter: HostId, elected: HostId) {
        self.on.retain(|(_, fault)| *fault != Fault::Coup);
        self.stop(voter, Down::Power);
        self.restarts.push((self.now + 20 + self.rng.below(200), voter));
        self.end(Fault::Coup);
        let exile = Fault::Isolate(self.hosts[elected - 1].slot);
        self.wires.note(format_args!("node {voter} voted for {elected}: {exile:?}"));
        self.begin(exile);
        self.on.push((self.now + EXILE_MS + self.rng.below(EXILE_MS), exile));
    }

    pub fn stop(&mut self, id: HostId, how: Down) {
        if self.hosts[id - 1].up.is_some() {
            self.wires.note(format_args!("node {id} stops: {how:?}"));
            self.events.power_cuts += u64::from(how == Down::Power);
            if how == Down::Power {
                self.wires.darken(id);
            }
            self.hosts[id - 1].stop(how);
        }
    }

    /// Says whether it was up.
    fn stop_router(&mut self, at: RouterAt, how: Down) -> bool {
        let router = &mut self.routers[at];
        let was_up = router.up.is_some();
        if was_up && how == Down::Power {
            self.wires.darken(router.id);
        }
        router.stop();
        was_up
    }

    fn restart(&mut self, id: HostId) {
        self.restarts.push((self.now + 50 + self.rng.below(RESTART_MS), id));
    }

    fn arm(&self, moment: Moment, skip: u64) -> bool {
        let net = &mut *self.wires.0.lock();
        if net.armed.is_some() || net.seen.is_some() {
            return false;
        }
        net.armed = Some(Armed { moment, skip });
        true
    }

    /// Once more for one that is under way: only its links are cut anew.
    fn overthrow(&mut self) -> bool {
        if self.overthrown.is_none() {
            let Some(leader) = self.leader() else { return false };
            if !self.arm(Moment::Vote, 0) {
                return false;
            }
            self.overthrown = Some(leader);
            self.pace(&self.ids(), Duration::from_millis(COUP_DISK_MS));
        }
        self.isolate(&self.overthrown.into_iter().collect::<Vec<_>>());
        true
    }

    /// Who leads, of those that think so the one in the latest term.
    pub fn leader(&self) -> Option<HostId> {
        let leads = |id: &HostId| self.hosts[id - 1].parts().filter(|parts| parts.replica.is_leader());
        let terms = self.ids().into_iter().filter_map(|id| Some((leads(&id)?.replica.status().term, id)));
        terms.max().map(|(_, id)| id)
    }

    fn hand_over(&mut self, to: Slot) -> bool {
        let to = self.ids_of(to).first().copied();
        let (Some(leader), Some(to)) = (self.leader(), to) else { return false };
        let host = &self.hosts[leader - 1];
        let (Some(up), Some(parts)) = (&host.up, host.parts()) else { return false };
        let to = NodeId(to as u64);
        let status = parts.replica.status();
        if leader as u64 == to.0 || !status.members.iter().any(|member| member.node == to) {
            return false;
        }
        let replica = parts.replica.clone();
        // Whatever becomes of it: somebody leads in the end.
        drop(up.runtime.spawn(async move { replica.transfer_leader(to).await }));
        true
    }

    fn replace(&mut self, slot: Slot, wiped: bool) -> bool {
        let [old] = self.ids_of(slot)[..] else { return false };
        if self.replacement.is_some() {
            return false;
        }
        if wiped {
            self.stop(old, Down::Power);
            self.hosts[old - 1].wipe();
            // Either it comes back, empty, or it does not.
            if self.rng.below(2) == 0 {
                self.restart(old);
            } else {
                self.hosts[old - 1].retired = true;
            }
        }
        let new = self.add_host(slot);
        self.tell_routers();
        self.start(new);
        self.replacement = Some(Replacement::new(old, new));
        true
    }

    fn pace(&mut self, ids: &[HostId], most: Duration) {
        ids.iter().for_each(|id| self.hosts[id - 1].set_pace(most));
    }

    fn isolate(&self, ids: &[HostId]) {
        let others = self.ids().into_iter().filter(|id| !ids.contains(id));
        self.block(others.flat_map(|other| ids.iter().flat_map(move |id| [(*id, other), (other, *id)])));
    }

    fn links(&self, from: Slot, to: Slot) -> Vec<(HostId, HostId)> {
        let to = self.ids_of(to);
        self.ids_of(from).into_iter().flat_map(|from| to.iter().map(move |to| (from, *to))).collect()
    }

    /// Each router with each node of a place.
    fn router_links(&self, slot: Slot) -> Vec<(HostId, HostId)> {
        let nodes = self.ids_of(slot);
        self.routers.iter().flat_map(|router| nodes.iter().map(|id| (router.id, *id))).collect()
    }

    fn block(&self, links: impl IntoIterator<Item = (HostId, HostId)>) {
        self.wires.0.lock().blocked.extend(links);
    }

    /// Ends all trouble: what is broken is mended, and every node starts once more, so that disks are read.
    pub fn calm(&mut self) {
        self.on.clear();
        self.restarts.clear();
        self.overthrown = None;
        self.wires.0.lock().armed = None;
        self.wires.heal();
        for id in self.ids() {
            self.stop(id, if self.rng.below(2) == 0 { Down::Kill } else { Down::Power });
            let host = &mut self.hosts[id - 1];
            host.chunk_disk.heal();
            host.set_pace(DISK_PACE);
            host.scrub_anew();
            self.start(id);
        }
        (0..self.routers.len()).for_each(|at| self.start_router(at));
        debug_assert!(self.ids().len() >= SLOTS, "every place has a node");
    }
}

impl Gap {
    /// The directions in which nothing passes between two of which the first asks.
    fn links(self, asks: HostId, answers: HostId) -> Vec<(HostId, HostId)> {
        match self {
            Self::Both => vec![(asks, answers), (answers, asks)],
            Self::There => vec![(asks, answers)],
            Self::Back => vec![(answers, asks)],
        }
    }
}
