//! When a process that died is started again: at once would hide a crash loop, so each death in a row doubles the pause.

use crate::limits::{RESTART_PAUSE, RESTART_PAUSE_MAX};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Deaths in a row, by process name.
#[derive(Debug, Default)]
pub struct Restarts {
    dead: HashMap<String, Dead>,
}

#[derive(Debug)]
struct Dead {
    deaths: u32,
    start_at: Instant,
    /// Started and not yet seen to live for long.
    started: bool,
}

impl Restarts {
    /// The process was seen alive. It has recovered once it has lived for the longest pause.
    pub fn alive(&mut self, name: &str, now: Instant) {
        if self.dead.get(name).is_some_and(|dead| now > dead.start_at + RESTART_PAUSE_MAX) {
            self.dead.remove(name);
        }
    }

    /// The process was seen alive while it is ended on purpose: its deaths say nothing.
    pub fn forgive(&mut self, name: &str) {
        self.dead.remove(name);
    }

    /// The process was seen dead. Says whether it is time to start it.
    pub fn may_start(&mut self, name: &str, now: Instant) -> bool {
        let fresh = || Dead { deaths: 1, start_at: now + RESTART_PAUSE, started: false };
        let dead = self.dead.entry(name.into()).or_insert_with(fresh);
        if dead.started {
            dead.deaths = dead.deaths.saturating_add(1);
            dead.start_at = now + pause(dead.deaths);
            dead.started = false;
        }
        dead.started = now >= dead.start_at;
        dead.started
    }
}

fn pause(deaths: u32) -> Duration {
    let doubled = 2u32.checked_pow(deaths.saturating_sub(1)).unwrap_or(u32::MAX);
    RESTART_PAUSE.saturating_mul(doubled).min(RESTART_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Clock;

    #[test]
    fn each_death_in_a_row_waits_longer_and_a_long_life_forgives() {
        let (mut restarts, mut now) = (Restarts::default(), Clock::system().now());
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            assert!(!restarts.may_start("c1-1", now));
            now += Duration::from_secs(expected) - Duration::from_millis(1);
            assert!(!restarts.may_start("c1-1", now), "started before {expected} s");
            now += Duration::from_millis(1);
            assert!(restarts.may_start("c1-1", now), "not started after {expected} s");
        }
        now += RESTART_PAUSE_MAX + Duration::from_secs(1);
        restarts.alive("c1-1", now);
        assert!(!restarts.may_start("c1-1", now));
        assert!(restarts.may_start("c1-1", now + RESTART_PAUSE));
    }
}
