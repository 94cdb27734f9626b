//! The history of one key, written by one writer at a time and read by anyone.
//!
//! ```text
//!  begin ─► flying ─► Took     acknowledged: the current value, unless an older unknown write comes after it
//!              ├────► Refused  never happened
//!              └────► Unknown  pending: may take effect once, at any later moment, or never
//! ```
//! A read may return the current value, a pending one, or one that was written while it ran, and nothing else. A pending
//! write that a read has seen is pending no more: it cannot come back after the next acknowledged write. The register
//! never accuses a correct store, and with reads that do not overlap writes it misses nothing.

/// Orders the writes of one key; the version of what a put wrote. The first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Took,
    Refused,
    Unknown,
}

/// What a read returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Absent,
    Version(WriteId),
    /// Something, as a listing shows it: the version is not told.
    Present,
}

/// A read that no correct store returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {seen:?}, but only {allowed} can be there")]
pub struct Violation {
    pub seen: Seen,
    pub allowed: String,
}

/// A write, and whether the key holds something after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Write {
    id: WriteId,
    present: bool,
}

/// The write under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flying {
    write: Write,
    /// A read has seen it.
    observed: bool,
    /// A read has seen another pending write since it began.
    overtaken: bool,
}

/// A read under way.
#[derive(Debug, Clone)]
pub struct Reading {
    candidates: Vec<Write>,
    /// Writes from here on began during the read.
    since: u64,
    epoch: u64,
}

/// All that can be said about one key.
#[derive(Debug, Clone)]
pub struct Register {
    last: u64,
    /// What the key may hold if no pending write has taken effect. Never empty; more than one only when a read could
    /// not tell deletions apart.
    current: Vec<Write>,
    pending: Vec<Write>,
    flying: Option<Flying>,
    last_delete: u64,
    /// Counts the changes of `current`: a read learns something only if nothing changed while it ran.
    epoch: u64,
}

impl Default for Register {
    fn default() -> Self {
        let never_written = Write { id: WriteId(0), present: false };
        Self { last: 0, current: vec![never_written], pending: Vec::new(), flying: None, last_delete: 0, epoch: 0 }
    }
}

impl Register {
    /// A put begins. Its content is that of the version it is given.
    pub fn begin_put(&mut self) -> WriteId {
        self.begin(true)
    }

    /// A delete begins.
    pub fn begin_delete(&mut self) -> WriteId {
        let id = self.begin(false);
        self.last_delete = id.0;
        id
    }

    fn begin(&mut self, present: bool) -> WriteId {
        debug_assert!(self.flying.is_none(), "one writer at a time");
        self.last += 1;
        let write = Write { id: WriteId(self.last), present };
        self.flying = Some(Flying { write, observed: false, overtaken: false });
        write.id
    }

    /// The write under way ends.
    pub fn end(&mut self, fate: Fate) {
        let Some(Flying { write, observed, overtaken }) = self.flying.take() else { return };
        match fate {
            // A read has already placed it, and what reads saw since then is newer.
            Fate::Took | Fate::Unknown if observed => {}
            Fate::Took if overtaken => {
                self.current.push(write);
                self.epoch += 1;
            }
            Fate::Took => self.settle(vec![write]),
            Fate::Unknown => self.pending.push(write),
            Fate::Refused => {}
        }
    }

    /// A read begins.
    pub fn begin_read(&self) -> Reading {
        let flying = self.flying.iter().filter(|flying| !flying.observed).map(|flying| flying.write);
        let candidates = self.current.iter().chain(&self.pending).copied().chain(flying).collect();
        Reading { candidates, since: self.last + 1, epoch: self.epoch }
    }

    /// The read ends: what it saw must be possible, and is learnt from.
    ///
    /// # Errors
    /// [`Violation`] when no correct store could have returned this.
    pub fn end_read(&mut self, reading: &Reading, seen: Seen) -> Result<(), Violation> {
        let matches: Vec<Write> = reading.candidates.iter().copied().filter(|write| fits(*write, seen)).collect();
        let began_meanwhile = match seen {
            Seen::Version(id) => (reading.since..=self.last).contains(&id.0),
            Seen::Absent => self.last_delete >= reading.since,
            Seen::Present => self.last >= reading.since,
        };
        if matches.is_empty() && !began_meanwhile {
            return Err(Violation { seen, allowed: format!("{:?}", reading.candidates) });
        }
        if let ([only], false) = (matches.as_slice(), began_meanwhile) {
            self.learn(reading, *only);
        }
        Ok(())
    }

    /// Writes that may still take effect.
    pub fn unknown(&self) -> usize {
        self.pending.len()
    }

    /// The version that is certainly there, if one is and nothing is pending.
    pub fn certain(&self) -> Option<WriteId> {
        match (self.current.as_slice(), self.pending.is_empty(), self.flying) {
            ([Write { id, present: true }], true, None) => Some(*id),
            _ => None,
        }
    }

    /// The key holds something now, whatever became of pending writes.
    pub fn holds_something(&self) -> bool {
        self.current.iter().chain(&self.pending).all(|write| write.present)
    }

    fn learn(&mut self, reading: &Reading, write: Write) {
        if self.epoch != reading.epoch || self.current == [write] {
            return;
        }
        match &mut self.flying {
            Some(flying) if flying.write == write => flying.observed = true,
            Some(flying) => {
                // The write under way may have come before what was seen, or may come after it.
                flying.overtaken = true;
            }
            None => {}
        }
        self.pending.retain(|pending| pending.id != write.id);
        self.settle(vec![write]);
    }

    fn settle(&mut self, current: Vec<Write>) {
        self.current = current;
        self.epoch += 1;
    }
}

fn fits(write: Write, seen: Seen) -> bool {
    match seen {
        Seen::Absent => !write.present,
        Seen::Version(id) => write.present && write.id == id,
        Seen::Present => write.present,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(register: &mut Register, fate: Fate) -> WriteId {
        let id = register.begin_put();
        register.end(fate);
        id
    }

    fn delete(register: &mut Register, fate: Fate) {
        register.begin_delete();
        register.end(fate);
    }

    fn read(register: &mut Register, seen: Seen) -> Result<(), Violation> {
        let reading = register.begin_read();
        register.end_read(&reading, seen)
    }

    #[test]
    fn what_was_acknowledged_last_is_read_and_nothing_older() {
        let mut key = Register::default();
        let first = put(&mut key, Fate::Took);
        let second = put(&mut key, Fate::Took);
        assert_eq!(read(&mut key, Seen::Version(second)), Ok(()));
        assert!(read(&mut key, Seen::Version(first)).is_err(), "stale");
        assert!(read(&mut key, Seen::Absent).is_err(), "lost");
        assert_eq!(key.certain(), Some(second));
    }

    #[test]
    fn a_deleted_object_stays_deleted() {
        let mut key = Register::default();
        let first = put(&mut key, Fate::Took);
        delete(&mut key, Fate::Took);
        assert_eq!(read(&mut key, Seen::Absent), Ok(()));
        assert!(read(&mut key, Seen::Version(first)).is_err());
        assert!(read(&mut key, Seen::Present).is_err());
    }

    #[test]
    fn an_unknown_write_may_be_there_or_not_until_it_is_seen() {
        let mut key = Register::default();
        let old = put(&mut key, Fate::Took);
        let unknown = put(&mut key, Fate::Unknown);
        assert_eq!(read(&mut key, Seen::Version(old)), Ok(()));
        assert_eq!(read(&mut key, Seen::Version(unknown)), Ok(()));
        assert!(read(&mut key, Seen::Version(old)).is_err(), "it was seen to be overwritten");
    }

    #[test]
    fn an_unknown_write_may_take_effect_after_a_later_acknowledged_one_but_only_once() {
        let mut key = Register::default();
        let unknown = put(&mut key, Fate::Unknown);
        let later = put(&mut key, Fate::Took);
        assert_eq!(read(&mut key, Seen::Version(later)), Ok(()));
        assert_eq!(read(&mut key, Seen::Version(unknown)), Ok(()));
        let last = put(&mut key, Fate::Took);
        assert!(read(&mut key, Seen::Version(unknown)).is_err(), "it has had its effect already");
        assert_eq!(read(&mut key, Seen::Version(last)), Ok(()));
    }

    #[test]
    fn a_refused_write_is_never_seen() {
        let mut key = Register::default();
        let refused = put(&mut key, Fate::Refused);
        assert!(read(&mut key, Seen::Version(refused)).is_err());
        assert_eq!(read(&mut key, Seen::Absent), Ok(()));
    }

    #[test]
    fn a_read_during_a_write_sees_either_value_and_the_next_one_never_goes_back() {
        let mut key = Register::default();
        let old = put(&mut key, Fate::Took);
        let flying = key.begin_put();
        assert_eq!(read(&mut key, Seen::Version(old)), Ok(()));
        assert_eq!(read(&mut key, Seen::Version(flying)), Ok(()));
        assert!(read(&mut key, Seen::Version(old)).is_err(), "reads went back in time");
        key.end(Fate::Unknown);
        assert_eq!(key.certain(), Some(flying), "a write that was seen is known");
    }

    #[test]
    fn a_write_that_began_during_the_read_may_be_seen() {
        let mut key = Register::default();
        let reading = key.begin_read();
        let new = put(&mut key, Fate::Took);
        assert_eq!(key.end_read(&reading, Seen::Version(new)), Ok(()));
        let reading = key.begin_read();
        delete(&mut key, Fate::Took);
        assert_eq!(key.end_read(&reading, Seen::Absent), Ok(()));
        assert_eq!(read(&mut key, Seen::Absent), Ok(()), "the old read taught nothing");
    }

    #[test]
    fn a_pending_write_seen_during_another_leaves_both_possible() {
        let mut key = Register::default();
        let pending = put(&mut key, Fate::Unknown);
        let flying = key.begin_put();
        assert_eq!(read(&mut key, Seen::Version(pending)), Ok(()));
        key.end(Fate::Took);
        assert_eq!(read(&mut key.clone(), Seen::Version(pending)), Ok(()));
        assert_eq!(read(&mut key, Seen::Version(flying)), Ok(()));
        assert!(read(&mut key, Seen::Version(pending)).is_err());
    }

    #[test]
    fn deletions_that_cannot_be_told_apart_stay_possible() {
        let mut key = Register::default();
        delete(&mut key, Fate::Unknown);
        delete(&mut key, Fate::Unknown);
        let put = put(&mut key, Fate::Took);
        assert_eq!(read(&mut key, Seen::Absent), Ok(()));
        assert_eq!(
            read(&mut key, Seen::Version(put)),
            Ok(()),
            "nobody knows which deletion was seen, or whether the put came last"
        );
    }
}
