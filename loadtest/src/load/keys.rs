//! What is known of an account's keys, so that every read can be judged. Pure.
//!
//! One write at a time per key: then the versions of a key follow each other, and a read that no write overlaps must see exactly the last
//! one. A write of unknown outcome may take effect at any later time: what it would leave is as good as the last one from then on, and nothing
//! else is. A report says how many such keys there are.

use crate::limits::UNKNOWNS_PER_KEY_MAX;
use parking_lot::Mutex;

/// What lies under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Absent,
    Version(u64),
}

#[derive(Debug)]
struct State {
    standing: Standing,
    /// Writes begun so far; also the version of the last one.
    begun: u64,
    writing: bool,
    /// What writes of unknown outcome may have left, or may leave yet.
    doubts: Vec<Standing>,
    /// There were more of them than are kept: nothing is known any more.
    lost: bool,
}

impl State {
    fn is_doubtful(&self) -> bool {
        self.lost || !self.doubts.is_empty()
    }
}

/// A write that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writing {
    pub key: u32,
    pub version: u64,
    /// What lies there, unless that is in doubt.
    pub over: Option<Standing>,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It took effect, and this lies there now.
    Took(Standing),
    /// It certainly had no effect.
    Refused,
    /// If it took effect, or takes effect yet, it leaves this.
    Unknown(Standing),
}

/// What was known when a read began.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    standing: Standing,
    begun: u64,
    settled: bool,
}

impl Reading {
    /// The version that lay there.
    pub fn version(&self) -> Option<u64> {
        match self.standing {
            Standing::Absent => None,
            Standing::Version(version) => Some(version),
        }
    }
}

/// The keys of one account.
#[derive(Debug)]
pub struct Keys {
    states: Vec<Mutex<State>>,
}

impl Keys {
    pub fn new(count: u32) -> Self {
        let absent = || {
            let doubts = Vec::new();
            Mutex::new(State { standing: Standing::Absent, begun: 0, writing: false, doubts, lost: false })
        };
        Self { states: (0..count).map(|_| absent()).collect() }
    }

    pub fn count(&self) -> u32 {
        self.states.len() as u32
    }

    /// The name of a key: 100 common prefixes, so that listings with a delimiter have something to find.
    pub fn name(key: u32) -> String {
        format!("{:02}/{key:08}", key % 100)
    }

    /// Begins a write to `wanted`, or to the first key behind it to which none is under way.
    pub fn begin_write(&self, wanted: u32) -> Option<Writing> {
        (0..self.count()).find_map(|step| {
            let key = (wanted + step) % self.count();
            let mut state = self.states[key as usize].lock();
            if state.writing {
                return None;
            }
            state.writing = true;
            state.begun += 1;
            Some(Writing { key, version: state.begun, over: (!state.is_doubtful()).then_some(state.standing) })
        })
    }

    pub fn end_write(&self, key: u32, ended: Ended) {
        let mut state = self.states[key as usize].lock();
        state.writing = false;
        match ended {
            Ended::Took(standing) => state.standing = standing,
            Ended::Refused => {}
            Ended::Unknown(_) if state.doubts.len() >= UNKNOWNS_PER_KEY_MAX => state.lost = true,
            Ended::Unknown(standing) => state.doubts.push(standing),
        }
    }

    pub fn begin_read(&self, key: u32) -> Reading {
        let state = self.states[key as usize].lock();
        Reading { standing: state.standing, begun: state.begun, settled: !state.writing && !state.lost }
    }

    /// Keys with a write of unknown outcome.
    pub fn doubtful(&self) -> u64 {
        self.states.iter().filter(|state| state.lock().is_doubtful()).count() as u64
    }

    /// Whether another version than the last may be there, or have been since the read began.
    pub fn changed(&self, key: u32, reading: &Reading) -> bool {
        let state = self.states[key as usize].lock();
        !reading.settled || state.begun != reading.begun || state.is_doubtful()
    }

    fn admits(&self, key: u32, reading: &Reading, seen: Standing) -> bool {
        let state = self.states[key as usize].lock();
        !reading.settled || state.begun != reading.begun || state.doubts.contains(&seen)
    }

    /// Judges what a read saw.
    ///
    /// # Errors
    /// When no correct store would have answered so.
    pub fn end_read(&self, key: u32, reading: &Reading, seen: Standing) -> Result<(), String> {
        if seen == reading.standing || self.admits(key, reading, seen) {
            return Ok(());
        }
        Err(format!("{}: read {seen:?} where {:?} is", Self::name(key), reading.standing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_no_write_overlaps_must_see_the_last_write() {
        let keys = Keys::new(2);
        let Writing { key, version, over } = keys.begin_write(0).expect("free");
        assert_eq!(over, Some(Standing::Absent));
        let overlapped = keys.begin_read(key);
        keys.end_write(key, Ended::Took(Standing::Version(version)));
        let reading = keys.begin_read(key);
        assert!(keys.end_read(key, &reading, Standing::Version(version)).is_ok());
        assert!(keys.end_read(key, &reading, Standing::Absent).is_err());
        assert!(keys.end_read(key, &reading, Standing::Version(version + 1)).is_err());
        assert!(keys.end_read(key, &overlapped, Standing::Absent).is_ok(), "it may have come first");
        keys.begin_write(key).expect("free");
        assert!(keys.end_read(key, &reading, Standing::Absent).is_ok(), "it may have come later");
    }

    #[test]
    fn a_key_has_one_writer_and_after_an_unknown_end_either_version_may_be_there_and_no_other() {
        let keys = Keys::new(2);
        let begun = |wanted| keys.begin_write(wanted).map(|writing| (writing.key, writing.version));
        assert_eq!(begun(1), Some((1, 1)));
        assert_eq!(begun(1), Some((0, 1)), "the next one");
        assert_eq!(begun(1), None);
        keys.end_write(1, Ended::Unknown(Standing::Version(1)));
        keys.end_write(0, Ended::Refused);
        assert_eq!(keys.doubtful(), 1);
        assert_eq!(keys.begin_write(1), Some(Writing { key: 1, version: 2, over: None }));
        keys.end_write(1, Ended::Took(Standing::Version(2)));
        let reading = keys.begin_read(1);
        assert!(keys.end_read(1, &reading, Standing::Version(1)).is_ok(), "the first write may have come late");
        assert!(keys.end_read(1, &reading, Standing::Absent).is_err(), "nobody deleted it");
        for _ in 0..UNKNOWNS_PER_KEY_MAX {
            keys.end_write(1, Ended::Unknown(Standing::Version(1)));
        }
        let reading = keys.begin_read(1);
        assert!(keys.end_read(1, &reading, Standing::Absent).is_ok(), "more is not kept");
    }
}
