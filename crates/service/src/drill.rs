//! Faults that a process has on purpose: flushes that take long, peers it does not reach, a clock that is off, a disk that lies.
//!
//! Always compiled, and inert until a node that is marked for it is told: passing costs one atomic read. Who may tell it is not decided here.

use parking_lot::RwLock;
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// Of this process.
#[derive(Debug, Default)]
pub struct Faults {
    flush_delay_micros: AtomicU64,
    clock_offset_millis: AtomicI64,
    is_cut: AtomicBool,
    drops: AtomicBool,
    cut_from: RwLock<Vec<SocketAddr>>,
}

static FAULTS: Faults = Faults::none();

/// Those of this process.
pub fn faults() -> &'static Faults {
    &FAULTS
}

impl Faults {
    const fn none() -> Self {
        Self {
            flush_delay_micros: AtomicU64::new(0),
            clock_offset_millis: AtomicI64::new(0),
            is_cut: AtomicBool::new(false),
            drops: AtomicBool::new(false),
            cut_from: RwLock::new(Vec::new()),
        }
    }

    /// Called on the thread that flushes, once for each flush.
    #[expect(clippy::disallowed_methods, reason = "a slow disk holds up the thread that waits for it")]
    pub fn flushing(&self) {
        let micros = self.flush_delay_micros.load(Ordering::Relaxed);
        if micros > 0 {
            std::thread::sleep(Duration::from_micros(micros));
        }
    }

    /// Every flush takes so much longer from now on.
    pub fn set_flush_delay(&self, by: Duration) {
        self.flush_delay_micros.store(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// By which flushes are slower.
    pub fn flush_delay(&self) -> Duration {
        Duration::from_micros(self.flush_delay_micros.load(Ordering::Relaxed))
    }

    /// Calls to these addresses are lost from now on; to none ends it.
    pub fn set_cut(&self, from: Vec<SocketAddr>) {
        let is_cut = !from.is_empty();
        *self.cut_from.write() = from;
        self.is_cut.store(is_cut, Ordering::Release);
    }

    /// Whether what is sent there is lost.
    pub fn loses(&self, to: &str) -> bool {
        self.is_cut.load(Ordering::Acquire)
            && to.parse::<SocketAddr>().is_ok_and(|address| self.cut_from.read().contains(&address))
    }

    /// What is acknowledged is not kept from now on, or again.
    pub fn set_drops(&self, drops: bool) {
        self.drops.store(drops, Ordering::Relaxed);
    }

    /// Whether what is acknowledged is not kept.
    pub fn drops(&self) -> bool {
        self.drops.load(Ordering::Relaxed)
    }

    /// The machine's clock is off by so much from now on. Milliseconds.
    pub fn set_clock_offset(&self, millis: i64) {
        self.clock_offset_millis.store(millis, Ordering::Relaxed);
    }

    /// By which the machine's clock is off. Milliseconds.
    pub fn clock_offset(&self) -> i64 {
        self.clock_offset_millis.load(Ordering::Relaxed)
    }

    /// Ends all of them.
    pub fn mend(&self) {
        self.set_flush_delay(Duration::ZERO);
        self.set_clock_offset(0);
        self.set_drops(false);
        self.set_cut(Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_last_until_they_are_mended() {
        let faults = Faults::none();
        let peer: SocketAddr = "127.0.0.1:7".parse().expect("an address");
        assert!(!faults.loses("127.0.0.1:7"));
        faults.set_cut(vec![peer]);
        faults.set_flush_delay(Duration::from_millis(3));
        faults.set_clock_offset(-5_000);
        assert!(faults.loses("127.0.0.1:7") && !faults.loses("127.0.0.1:8") && !faults.loses("host:7"));
        assert_eq!((faults.flush_delay(), faults.clock_offset()), (Duration::from_millis(3), -5_000));
        faults.mend();
        assert!(!faults.loses("127.0.0.1:7"));
        assert_eq!((faults.flush_delay(), faults.clock_offset()), (Duration::ZERO, 0));
    }
}
