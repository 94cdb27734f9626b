//! Which routers serve an account: a hand of them, dealt by hash, for DNS.
//!
//! With the routers shuffled so, a tenant that takes down its own routers takes down all routers of hardly anybody else: of 8
//! routers in hands of 2, one account in 28 has the same hand. A router that joins or leaves changes only the hands it is in.
//! The hands must never change by accident: clients hold connections, and DNS is cached. Pure.

use crate::AccountId;
use sha2::{Digest, Sha256};

/// The routers of `account`: `size` of `routers`, or all when there are no more. The first is the one it prefers. The order of
/// `routers` does not matter; each should be named once.
pub fn routers_of<T: AsRef<str>>(account: AccountId, routers: &[T], size: usize) -> Vec<&T> {
    let mut dealt: Vec<(u64, &T)> = routers.iter().map(|router| (score(account, router.as_ref()), router)).collect();
    dealt.sort_unstable_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.as_ref().cmp(other.as_ref())));
    dealt.truncate(size);
    dealt.into_iter().map(|(_, router)| router).collect()
}

/// How much an account wants a router (rendezvous hashing).
fn score(account: AccountId, router: &str) -> u64 {
    let digest = Sha256::new()
        .chain_update(b"bulkhead hand of routers v1\0")
        .chain_update(account.value().to_be_bytes())
        .chain_update(router.as_bytes())
        .finalize();
    digest.iter().take(8).fold(0, |score, byte| score << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap};

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    fn routers(count: usize) -> Vec<String> {
        (1..=count).map(|n| format!("router-{n}")).collect()
    }

    #[test]
    fn the_hands_never_change_by_accident() {
        let routers = routers(8);
        for (n, expected) in [
            (0, ["router-3", "router-6", "router-4"]),
            (1, ["router-1", "router-3", "router-2"]),
            (4_242, ["router-4", "router-7", "router-2"]),
        ] {
            assert_eq!(routers_of(account(n), &routers, 3), expected);
        }
    }

    #[test]
    fn a_router_that_leaves_changes_only_the_hands_it_was_in() {
        let (before, after) = (routers(9), routers(8));
        for n in 0..1000 {
            let (old, new) = (routers_of(account(n), &before, 3), routers_of(account(n), &after, 3));
            let had_it = old.iter().any(|router| *router == "router-9");
            let kept: Vec<_> = old.iter().filter(|router| **router != "router-9").collect();
            assert!(kept.iter().all(|router| new.contains(router)), "{old:?} to {new:?}");
            assert!(had_it || old == new);
        }
    }

    #[test]
    fn hands_differ_and_are_of_one_size() {
        let routers = routers(8);
        let (mut hands, mut load) = (BTreeSet::new(), HashMap::<&String, usize>::new());
        for n in 0..2800 {
            let hand = routers_of(account(n), &routers, 2);
            assert!(hand.len() == 2 && hand[0] != hand[1]);
            hand.iter().for_each(|router| *load.entry(router).or_default() += 1);
            hands.insert(hand.into_iter().collect::<BTreeSet<_>>());
        }
        assert_eq!(hands.len(), 28, "all pairs of eight are dealt");
        assert!(load.values().all(|count| (560..840).contains(count)), "{load:?}");
        assert_eq!(routers_of(account(0), &routers, 100).len(), 8);
        assert!(routers_of::<String>(account(0), &[], 2).is_empty());
    }
}
