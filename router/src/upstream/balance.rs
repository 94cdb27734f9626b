//! Which node gets the next try. Pure: power of two choices, the leader first for small writes.

/// A node as the choice sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Not left alone for its health.
    pub usable: bool,
    /// Its breaker is not open: if it is not usable, it may still answer.
    pub is_alive: bool,
    /// One of the nodes that serve the account.
    pub in_hand: bool,
    /// Has had a try of this request.
    pub tried: bool,
    pub is_leader: bool,
    /// Was left alone, and is to be tried again by a few requests; there is room for one.
    pub is_on_trial: bool,
    /// Recent latency, seconds.
    pub latency: f64,
    pub in_flight: usize,
}

/// What a request would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// The leader, which saves a hop.
    pub leader: bool,
    /// It can be sent again, and shows how fast the node is: it may be the one to try a node with.
    pub trial: bool,
    /// Any node, so that all are known.
    pub explore: bool,
}

impl Candidate {
    /// The latency to expect with one more request. Nodes that nothing is known of look fast, and so become known.
    fn cost(&self) -> f64 {
        (self.latency + 1e-6) * (self.in_flight as f64 + 1.0)
    }
}

/// The index of the node to try, `None` when there is none. `random` supplies numbers below its argument.
///
/// The account's own nodes come first, and of them those that have not been tried; then the others, then nodes that are left alone,
/// and last those that are known to be away.
pub fn choose(candidates: &[Candidate], wish: Wish, random: impl Fn(u64) -> u64) -> Option<usize> {
    // Left to the choice by cost, a node that was slow would never be tried again.
    let on_trial = || candidates.iter().position(|c| c.is_on_trial && c.usable && !c.tried && c.in_hand);
    if wish.trial
        && let Some(index) = on_trial()
    {
        return Some(index);
    }
    let pool = POOLS.into_iter().map(|fits| Pool { candidates, fits }).find(|pool| pool.size() > 0)?;
    if wish.explore {
        return pool.nth(random(pool.size() as u64));
    }
    if wish.leader
        && let Some(leader) = pool.indices().find(|&index| candidates[index].is_leader)
    {
        return Some(leader);
    }
    let size = pool.size() as u64;
    let first = random(size);
    // The second is drawn among the others, so that the two differ whenever there are two.
    let second = if size > 1 { (first + 1 + random(size - 1)) % size } else { first };
    let (first, second) = (pool.nth(first)?, pool.nth(second)?);
    Some(if candidates[second].cost() < candidates[first].cost() { second } else { first })
}

/// What a choice is made from: the first of these that is not empty.
const POOLS: [fn(&Candidate) -> bool; 9] = [
    |c| c.in_hand && c.usable && !c.tried && !c.is_on_trial,
    |c| c.in_hand && c.usable && !c.tried,
    |c| c.in_hand && c.usable,
    |c| c.usable && !c.tried && !c.is_on_trial,
    |c| c.usable && !c.tried,
    |c| c.usable,
    |c| c.is_alive && !c.tried,
    |c| c.is_alive,
    |_| true,
];

struct Pool<'a> {
    candidates: &'a [Candidate],
    fits: fn(&Candidate) -> bool,
}

impl Pool<'_> {
    fn indices(&self) -> impl Iterator<Item = usize> {
        (0..self.candidates.len()).filter(|&index| (self.fits)(&self.candidates[index]))
    }

    fn size(&self) -> usize {
        self.indices().count()
    }

    fn nth(&self, n: u64) -> Option<usize> {
        self.indices().nth(usize::try_from(n).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::env::Rng;
    use proptest::prelude::*;

    const FREE: Candidate = Candidate {
        usable: true,
        is_alive: true,
        in_hand: true,
        tried: false,
        is_leader: false,
        is_on_trial: false,
        latency: 0.001,
        in_flight: 0,
    };

    fn chosen(candidates: &[Candidate], leader: bool) -> Vec<usize> {
        let wish = Wish { leader, ..Wish::default() };
        let rng = Rng::from_seed(1);
        let mut seen: Vec<usize> =
            (0..200).filter_map(|_| choose(candidates, wish, |bound| rng.below(bound))).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    #[test]
    fn preferences_in_order() {
        let leader = Candidate { is_leader: true, ..FREE };
        let tried = Candidate { tried: true, ..FREE };
        let alone = Candidate { usable: false, ..FREE };
        let busy = Candidate { in_flight: 50, ..FREE };
        let slow = Candidate { latency: 1.0, ..FREE };
        let silent = Candidate { usable: false, in_flight: 9, ..FREE };
        let dead = Candidate { usable: false, is_alive: false, ..FREE };
        let others = Candidate { in_hand: false, ..FREE };
        let on_trial = Candidate { is_on_trial: true, ..FREE };
        for (candidates, prefer_leader, expected) in [
            (vec![], false, vec![]),
            (vec![FREE], false, vec![0]),
            (vec![FREE, FREE, FREE], false, vec![0, 1, 2]),
            (vec![FREE, leader, FREE], true, vec![1]),
            (vec![FREE, Candidate { tried: true, ..leader }, FREE], true, vec![0, 2]),
            (vec![FREE, Candidate { usable: false, ..leader }, FREE], true, vec![0, 2]),
            (vec![tried, FREE, alone], false, vec![1]),
            (vec![tried, alone], false, vec![0]),
            (vec![alone, alone], false, vec![0, 1]),
            (vec![FREE, busy], false, vec![0]),
            (vec![slow, FREE], false, vec![1]),
            (vec![dead, silent, dead], false, vec![1]),
            (vec![dead, Candidate { tried: true, ..silent }, silent], false, vec![2]),
            (vec![dead, Candidate { tried: true, ..silent }], false, vec![1]),
            (vec![dead, dead], false, vec![0, 1]),
            (vec![on_trial, FREE], false, vec![1]),
            (vec![on_trial, tried], false, vec![0]),
            (vec![others, FREE, others], false, vec![1]),
            (vec![others, tried, others], false, vec![1]),
            (vec![others, silent, others], false, vec![0, 2]),
        ] {
            assert_eq!(chosen(&candidates, prefer_leader), expected, "{candidates:?}");
        }
    }

    #[test]
    fn a_node_on_trial_is_tried_by_requests_that_can_be_sent_again() {
        let on_trial = Candidate { is_on_trial: true, latency: 9.0, ..FREE };
        let pick = |trial, candidates: &[Candidate]| choose(candidates, Wish { trial, ..Wish::default() }, |_| 0);
        assert_eq!(pick(true, &[FREE, FREE, on_trial]), Some(2));
        assert_eq!(pick(false, &[FREE, FREE, on_trial]), Some(0));
        assert_eq!(pick(true, &[FREE, FREE, Candidate { tried: true, ..on_trial }]), Some(0));
        assert_eq!(pick(true, &[FREE, FREE, Candidate { usable: false, ..on_trial }]), Some(0));
    }

    #[test]
    fn the_worst_of_three_is_chosen_by_none_but_those_who_explore() {
        let worst = Candidate { latency: 9.0, ..FREE };
        assert_eq!(chosen(&[FREE, worst, FREE], false), [0, 2]);
        let explore = Wish { explore: true, ..Wish::default() };
        assert_eq!(choose(&[FREE, worst, FREE], explore, |_| 1), Some(1));
    }

    proptest! {
        #[test]
        fn there_is_always_a_choice_when_there_is_a_node(
            flags in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 0_usize..9), 1..9),
            leader: bool,
            trial: bool,
            explore: bool,
            seed: u64,
        ) {
            let candidates: Vec<Candidate> = flags
                .into_iter()
                .map(|(usable, tried, is_leader, in_flight)| Candidate {
                    usable,
                    is_alive: usable || in_flight % 2 == 0,
                    in_hand: in_flight % 4 < 2,
                    tried,
                    is_leader,
                    is_on_trial: in_flight % 3 == 0,
                    in_flight,
                    latency: 0.01,
                })
                .collect();
            let rng = Rng::from_seed(seed);
            let wish = Wish { leader, trial, explore };
            let index = choose(&candidates, wish, |bound| rng.below(bound)).expect("a node");
            let best = POOLS.into_iter().find(|fits| candidates.iter().any(fits)).expect("the last takes all");
            let on_trial = candidates[index].is_on_trial && candidates[index].usable && !candidates[index].tried;
            prop_assert!(best(&candidates[index]) || (trial && on_trial && candidates[index].in_hand));
        }
    }
}
