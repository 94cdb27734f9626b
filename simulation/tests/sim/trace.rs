//! What happened, in order: one hash over all of it, and the text when it is wanted.

use std::fmt::Display;

/// The events so far.
pub struct Trace {
    hash: u64,
    events: u64,
    shown: bool,
}

impl Trace {
    /// No events yet; with `shown` each is printed.
    pub fn new(shown: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, shown }
    }

    /// Adds an event at simulated millisecond `at`.
    pub fn note(&mut self, at: u64, event: impl Display) {
        let line = format!("{at} {event}");
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.events += 1;
        if self.shown {
            println!("{line}");
        }
    }

    /// How many events there were, and their hash.
    pub fn sum(&self) -> (u64, u64) {
        (self.events, self.hash)
    }
}
