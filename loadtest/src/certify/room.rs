//! The maxima, and the reading back of everything.

use super::{record::PhaseTrace, run::Run, subject::Made};
use crate::{
    client::{Condition, Outcome, PayloadHash, Put, Refusal, Session},
    load::Verified,
    workload::Content,
};
use bulkhead_model::{
    api::drill::Ballast,
    certificate::{Criterion, Threshold},
    certification::Phase,
};

/// What the cell has room for while its maxima are tried, beside what counts as held.
const ROOM_OBJECTS: u64 = 20;
const ROOM_BYTES: u64 = 200 << 10;
/// An object of the byte maximum; the room is a multiple of it.
const OBJECT_BYTES: u64 = 20 << 10;
/// Writes beyond the maximum, each of which must be refused.
const BEYOND: u64 = 5;
/// Objects that are deleted, after which as many are taken again.
const DELETED: u64 = 3;

/// What writes to a full cell came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filled {
    taken: u64,
    refused: u64,
    /// Neither taken nor told that the cell is full.
    unclear: Vec<String>,
    /// Taken again, after as many were deleted.
    taken_again: u64,
}

/// With all but a little counted as held: the cell takes just so much more, says clearly that it is full, and takes again what deletions free.
pub async fn full(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let account = run.subject.account("full").await?;
    let capacity = run.subject.blueprint.capacity.clone();
    for (what, room) in [("objects", ROOM_OBJECTS), ("bytes", ROOM_BYTES / OBJECT_BYTES)] {
        // The leader's own: another one may not have applied yet what was acknowledged.
        let usage = run.subject.leader().await?.admin.status().await?.usage;
        let ballast = if what == "objects" {
            Ballast { objects: capacity.objects.saturating_sub(usage.objects + room), bytes: 0 }
        } else {
            Ballast { bytes: capacity.bytes.saturating_sub(usage.bytes + ROOM_BYTES), objects: 0 }
        };
        run.subject.any(async |admin| admin.ballast(ballast).await).await?;
        run.event(trace, format!("room for {room} objects, by {what}"));
        let filled = fill(&account, what, room).await;
        run.subject.any(async |admin| admin.ballast(Ballast::default()).await).await?;
        run.event(trace, "room again");
        let filled = filled?;
        for unclear in &filled.unclear {
            trace.notes.push(format!("neither taken nor told to be full: {unclear}"));
        }
        for (name, found, threshold) in [
            ("taken", filled.taken, Threshold::AtLeast(room)),
            ("taken_beyond", filled.taken.saturating_sub(room), Threshold::AtMost(0)),
            ("unclear_refusals", filled.unclear.len() as u64, Threshold::AtMost(0)),
            ("taken_after_deletion", filled.taken_again, Threshold::AtLeast(DELETED)),
        ] {
            let name = format!("{what}_{name}");
            trace.figures.insert(name.clone(), found);
            trace.criteria.push(Criterion::new(Phase::Full, name, found, threshold));
        }
    }
    Ok(())
}

async fn fill(account: &Made, what: &str, room: u64) -> anyhow::Result<Filled> {
    let mut session = Session::new(account.target.clone(), PayloadHash::Unsigned);
    let mut filled = Filled::default();
    let name = |number: u64| format!("{what}/{number:04}");
    for number in 0..room + BEYOND {
        if filled.note(put(&mut session, account, &name(number)).await) {
            filled.taken += 1;
        }
    }
    for number in 0..DELETED.min(filled.taken) {
        session.delete(&account.bucket, &name(number)).await.required("deleting from a full cell")?;
    }
    for number in 0..DELETED {
        if filled.note(put(&mut session, account, &format!("again-{}", name(number))).await) {
            filled.taken_again += 1;
        }
    }
    Ok(filled)
}

async fn put(session: &mut Session, account: &Made, key: &str) -> Outcome<()> {
    let content = Content::of(key, 1, OBJECT_BYTES);
    let put = Put { bucket: &account.bucket, key, version: 1, content, condition: Condition::Always };
    session.put(&put).await.map(drop)
}

impl Filled {
    /// Whether it was taken.
    fn note(&mut self, outcome: Outcome<()>) -> bool {
        match outcome {
            Outcome::Ok(()) => return true,
            Outcome::Refused(refusal) if says_full(&refusal) => self.refused += 1,
            Outcome::Refused(refusal) => self.unclear.push(refusal.to_string()),
            Outcome::Unsent(why) => self.unclear.push(why),
            Outcome::Unknown(lost) => self.unclear.push(lost.to_string()),
        }
        false
    }
}

fn says_full(refusal: &Refusal) -> bool {
    refusal.status == 507 && refusal.code == "InsufficientStorage"
}

/// Every key that was ever written holds what was acknowledged.
pub async fn verify(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let mut all = Verified::default();
    for engine in std::iter::once(&run.main).chain(&run.others) {
        let found = engine.verify().await?;
        all.keys += found.keys;
        all.bytes += found.bytes;
        all.absent += found.absent;
        all.doubtful += found.doubtful;
        all.unreadable += found.unreadable;
        all.wrong += found.wrong;
        all.examples.extend(found.examples);
    }
    for (name, value) in [
        ("keys", all.keys),
        ("bytes", all.bytes),
        ("keys_absent", all.absent),
        ("keys_with_unknown_writes", all.doubtful),
        ("keys_unreadable", all.unreadable),
        ("keys_wrong", all.wrong),
    ] {
        trace.figures.insert(name.into(), value);
    }
    for name in ["keys_wrong", "keys_unreadable"] {
        let found = trace.figures.get(name).copied().unwrap_or(0);
        trace.criteria.push(Criterion::new(Phase::Verify, name, found, Threshold::AtMost(0)));
    }
    trace.notes.extend(all.examples);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_answer_says_clearly_that_a_cell_is_full() {
        let refusal = |status, code: &str| Refusal {
            status,
            code: code.into(),
            message: String::new(),
            retry_after: None,
            not_executed: false,
        };
        let mut filled = Filled::default();
        assert!(filled.note(Outcome::Ok(())));
        assert!(!filled.note(Outcome::Refused(refusal(507, "InsufficientStorage"))));
        assert!(!filled.note(Outcome::Refused(refusal(500, "InternalError"))));
        assert!(!filled.note(Outcome::Refused(refusal(503, "SlowDown"))));
        assert_eq!((filled.refused, filled.unclear.len()), (1, 2));
    }
}
