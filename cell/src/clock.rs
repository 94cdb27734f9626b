//! The time of the cell: what most of its nodes' clocks agree on, so that one clock that jumps changes nothing.
//!
//! Between two looks at the others' clocks this node's time goes on by its monotonic clock. Timestamps and the age of signed
//! requests are taken from it; nothing else depends on it. Must not know what is stored.

use crate::limits::{CLOCK_LOOK, CLOCK_LOOK_ALONE, CLOCK_PATIENCE, CLOCKS_AGREE};
use bulkhead_model::Timestamp;
use bulkhead_replica::Replica;
use bulkhead_service::Env;

/// The time of the cell: the middle one of three clocks or more. Two that differ settle nothing, nor does one alone that
/// jumped: then the time goes on as it did. Pure.
pub fn agree(until_now: Option<Timestamp>, own: Timestamp, others: &[Timestamp]) -> Timestamp {
    let mut all: Vec<Timestamp> = others.iter().copied().chain([own]).collect();
    all.sort_unstable();
    if all.len() >= 3 {
        return all[all.len() / 2];
    }
    let far = |other: Timestamp| own.0.abs_diff(other.0) > CLOCKS_AGREE.as_millis().try_into().unwrap_or(u64::MAX);
    match until_now {
        Some(until_now) if far(until_now) || others.iter().any(|other| far(*other)) => until_now,
        Some(_) | None => own,
    }
}

/// Whether a node that has agreed on nothing yet may take its own clock for right, or the middle one: it is alone in its group, or another
/// says the same, or two others do not say the same. Pure.
pub fn is_settled(own: Timestamp, others: &[Timestamp], members: usize) -> bool {
    let near = |other: &Timestamp| own.0.abs_diff(other.0) <= CLOCKS_AGREE.as_millis().try_into().unwrap_or(u64::MAX);
    members <= 1 || others.len() >= 2 || others.iter().any(near)
}

/// Keeps this node's time that of the cell, until the node stops. Until it knows that time, what a request says of it refuses nobody.
pub async fn run(replica: Replica, env: Env) {
    let stopping = env.tasks.stopping();
    let mut until_now = None;
    if replica.status().members.len() > 1 {
        env.clock.doubt();
    }
    loop {
        let others = replica.clocks(CLOCK_PATIENCE).await;
        let own = env.clock.machine();
        if until_now.is_none() && !is_settled(own, &others, replica.status().members.len()) {
            env.clock.doubt();
            if stopping.run_until_cancelled(tokio::time::sleep(CLOCK_LOOK_ALONE)).await.is_none() {
                return;
            }
            continue;
        }
        let running = until_now.map(|_| env.clock.wall());
        let agreed = agree(running, own, &others);
        if agreed.0.abs_diff(own.0) > CLOCKS_AGREE.as_millis().try_into().unwrap_or(u64::MAX) {
            tracing::warn!(?own, ?agreed, "this machine's clock is off: the time of the cell is used");
        }
        env.clock.agree(agreed);
        until_now = Some(agreed);
        // Nobody answers a node that is just starting.
        let pause = if others.is_empty() { CLOCK_LOOK_ALONE } else { CLOCK_LOOK };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_750_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn at(offset: i64) -> Timestamp {
        Timestamp(NOW.saturating_add_signed(offset))
    }

    #[test]
    fn one_clock_that_jumps_changes_nothing() {
        let hour = i64::try_from(HOUR).expect("small");
        for jump in [hour, -hour] {
            for (what, until_now, own, others, expected) in [
                ("ours jumps", Some(at(0)), at(jump), vec![at(5), at(-5)], at(if jump > 0 { 5 } else { -5 })),
                ("another's does", Some(at(0)), at(1), vec![at(jump), at(2)], at(if jump > 0 { 2 } else { 1 })),
                ("it is so at start", None, at(jump), vec![at(5), at(-5)], at(if jump > 0 { 5 } else { -5 })),
                ("two are left, and ours jumps", Some(at(0)), at(jump), vec![at(5)], at(0)),
                ("two are left, and the other's does", Some(at(0)), at(3), vec![at(jump)], at(0)),
                ("ours is alone and jumps", Some(at(0)), at(jump), vec![], at(0)),
            ] {
                assert_eq!(agree(until_now, own, &others), expected, "{what}, by {jump}");
            }
        }
    }

    #[test]
    fn a_node_that_starts_takes_its_clock_for_right_when_it_is_alone_or_others_were_heard() {
        let hour = i64::try_from(HOUR).expect("small");
        for (others, members, expected) in [
            (vec![], 1, true),
            (vec![], 0, true),
            (vec![], 3, false),
            (vec![at(hour)], 3, false),
            (vec![at(5)], 3, true),
            (vec![at(hour), at(hour + 5)], 3, true),
        ] {
            assert_eq!(is_settled(at(0), &others, members), expected, "{others:?} of {members}");
        }
    }

    #[test]
    fn a_clock_that_is_nearly_right_is_followed() {
        assert_eq!(agree(Some(at(0)), at(900), &[]), at(900));
        assert_eq!(agree(Some(at(0)), at(900), &[at(-900)]), at(900));
        assert_eq!(agree(None, at(7), &[]), at(7));
    }
}
