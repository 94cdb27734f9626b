//! What is asked of a cell, out of its blueprint. Pure.

use crate::load::{Arrivals, Group, Kind, Operation, Popularity, Size, Sizes, Workload};
use bulkhead_model::{Blueprint, certification::Course};

/// Objects of two sizes: small ones, which live in the index, and as many large ones, which are chunks, as the declared bytes need. A refused
/// request of so many bytes leaves its connection usable; of a larger one the client would learn that the connection is gone, and not why.
const SMALL: u64 = 4 << 10;
const LARGE: u64 = 64 << 10;
/// Accounts that share the declared capacity.
const TENANTS: u32 = 4;
/// Of each account: so many of its requests may be under way.
const CONNECTIONS: u16 = 24;
/// The noisy account's.
const NOISY_CONNECTIONS: u16 = 64;
/// Share of the declared capacity that the quiet accounts use beside a noisy one.
const QUIET_SHARE: f64 = 0.4;
/// The noisy account may write this share of the declared PUTs, and asks for ten times as much.
const NOISY_SHARE: f64 = 0.25;
const OVER_THE_LIMIT: f64 = 10.0;

/// The declared capacity, by several accounts.
pub fn declared(blueprint: &Blueprint, course: &Course) -> Workload {
    let capacity = &blueprint.capacity;
    let operations = vec![
        operation(Kind::Put, capacity.puts_per_second),
        operation(Kind::Get, capacity.gets_per_second),
        operation(Kind::List, capacity.lists_per_second),
    ];
    let sizes = sizes(blueprint);
    let keys = keys(blueprint, course, mean(&sizes));
    let rate = capacity.requests_per_second() as f64 / f64::from(TENANTS);
    Workload {
        name: "declared capacity".into(),
        groups: vec![Group {
            name: "tenants".into(),
            accounts: TENANTS,
            rate,
            arrivals: Arrivals::Poisson,
            connections: CONNECTIONS,
            keys: keys.div_ceil(TENANTS),
            popularity: Popularity::Zipf(0.9),
            sizes,
            operations,
        }],
    }
}

/// Overwrites and deletions, so that there is garbage.
pub fn churn(blueprint: &Blueprint, keys: u32) -> Workload {
    let capacity = &blueprint.capacity;
    let mut workload = declared(blueprint, &Course { fill_permille: 0, ..Course::QUICK });
    let group = &mut workload.groups[0];
    workload.name = "churn".into();
    group.name = "churning".into();
    (group.accounts, group.keys, group.popularity) = (1, keys, Popularity::Uniform);
    group.rate = capacity.requests_per_second() as f64;
    group.connections = CONNECTIONS * TENANTS as u16;
    group.operations = vec![
        operation(Kind::Put, capacity.puts_per_second.div_ceil(2)),
        operation(Kind::Delete, capacity.puts_per_second / 2 + 1),
        operation(Kind::Get, capacity.gets_per_second),
    ];
    workload
}

/// Quiet accounts, and one that asks for ten times its limit.
pub fn neighbours(blueprint: &Blueprint) -> (Workload, u64) {
    let capacity = &blueprint.capacity;
    let limit = ((capacity.puts_per_second as f64 * NOISY_SHARE) as u64).max(1);
    let mut workload = declared(blueprint, &Course { fill_permille: 0, ..Course::QUICK });
    workload.name = "neighbours".into();
    let quiet = &mut workload.groups[0];
    quiet.name = "quiet".into();
    quiet.accounts = 2;
    quiet.rate = capacity.requests_per_second() as f64 * QUIET_SHARE / 2.0;
    quiet.keys = 25;
    let noisy = Group {
        name: "noisy".into(),
        accounts: 1,
        rate: limit as f64 * OVER_THE_LIMIT,
        connections: NOISY_CONNECTIONS,
        keys: 200,
        popularity: Popularity::Uniform,
        sizes: Sizes::Fixed(Size(SMALL)),
        operations: vec![operation(Kind::Put, 1)],
        ..quiet.clone()
    };
    workload.groups.push(noisy);
    (workload, limit)
}

fn operation(kind: Kind, per_second: u64) -> Operation {
    Operation { kind, weight: per_second as f64 }
}

/// So many bytes move in a second if each PUT and each GET moves one object of these.
fn sizes(blueprint: &Blueprint) -> Sizes {
    let capacity = &blueprint.capacity;
    let moved = (capacity.puts_per_second + capacity.gets_per_second).max(1);
    let wanted = capacity.bytes_per_second as f64 / moved as f64;
    if wanted <= SMALL as f64 {
        return Sizes::Fixed(Size((wanted as u64).max(1)));
    }
    if wanted >= LARGE as f64 {
        return Sizes::Fixed(Size(wanted as u64));
    }
    let large = (wanted - SMALL as f64) / (LARGE - SMALL) as f64;
    Sizes::Histogram(vec![(Size(SMALL), 1.0 - large), (Size(LARGE), large.max(1e-6))])
}

fn mean(sizes: &Sizes) -> f64 {
    match sizes {
        Sizes::Fixed(size) => size.0 as f64,
        Sizes::LogUniform(low, high) => (low.0 + high.0) as f64 / 2.0,
        Sizes::Histogram(parts) => parts.iter().map(|(size, weight)| size.0 as f64 * weight).sum(),
    }
}

/// As many as fill the cell to the level of the course, and no more than a third of what it may hold.
fn keys(blueprint: &Blueprint, course: &Course, mean: f64) -> u32 {
    let capacity = &blueprint.capacity;
    let wanted = capacity.bytes as f64 * course.fill_permille as f64 / 1_000.0 / mean.max(1.0);
    let most = (capacity.objects / 3).max(1) as f64;
    (wanted.max(blueprint.certification.keys_min as f64).min(most)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(workload: &Workload) -> f64 {
        workload.groups.iter().map(|group| group.rate * f64::from(group.accounts)).sum()
    }

    fn dev() -> Blueprint {
        Blueprint::parse(include_str!("../../../blueprints/dev.toml")).expect("valid")
    }

    #[test]
    fn the_workload_asks_for_what_the_blueprint_declares() {
        let (dev, workload) = (dev(), declared(&dev(), &Course::QUICK));
        assert!((rate(&workload) - dev.capacity.requests_per_second() as f64).abs() < 1e-6);
        let group = &workload.groups[0];
        let weights: f64 = group.operations.iter().map(|operation| operation.weight).sum();
        assert!((weights - dev.capacity.requests_per_second() as f64).abs() < 1e-6);
        let moved = (dev.capacity.puts_per_second + dev.capacity.gets_per_second) as f64 * mean(&group.sizes);
        assert!((moved / dev.capacity.bytes_per_second as f64 - 1.0).abs() < 0.01, "{moved} bytes/s");
        assert!(group.sizes.flaw().is_none());
    }

    #[test]
    fn a_fuller_cell_has_more_keys_and_never_more_than_it_may_hold() {
        let dev = dev();
        let of = |permille| declared(&dev, &Course { fill_permille: permille, ..Course::QUICK }).groups[0].keys;
        assert_eq!(u64::from(of(0) * TENANTS), dev.certification.keys_min);
        assert!(of(100) > of(10));
        let mut tiny = dev.clone();
        tiny.capacity.objects = 90;
        assert_eq!(declared(&tiny, &Course { fill_permille: 900, ..Course::QUICK }).groups[0].keys * TENANTS, 32);
    }

    #[test]
    fn a_noisy_account_asks_for_ten_times_what_it_may() {
        let (workload, limit) = neighbours(&dev());
        let noisy = &workload.groups[1];
        assert!((noisy.rate - limit as f64 * 10.0).abs() < 1e-6);
        assert!(workload.groups.iter().all(|group| group.accounts > 0 && group.sizes.flaw().is_none()));
    }
}
