//! `partition`: links between nodes of a cell are cut, also in one direction, and healed, under load; every key is verified
//! after each.
//!
//! Nodes run in network namespaces of their own (see [`Network`]). A cut drops packets silently. Where a majority of the cell
//! can talk and a client can reach it, writes must go on.

use super::rounds::{Arena, Options, Tally};
use crate::{
    clock,
    faults::{End, Ground, Network},
    limits::{CUT_FOR, PARTITION_GAP_MAX, RESTART_PATIENCE, VERIFY_PATIENCE},
};
use anyhow::Context;
use rand::seq::IndexedRandom as _;
use std::{fmt, ops::RangeInclusive, time::Duration};

/// What is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The leader hears nobody but clients.
    LeaderFromNodes,
    /// The leader hears nobody at all.
    LeaderFromAll,
    FollowerFromNodes,
    FollowerFromAll,
    /// What the leader says is not heard by the other nodes.
    LeaderMuted,
    /// What the other nodes say is not heard by the leader.
    LeaderDeaf,
    /// One follower hears the leader and is not heard by it, or the reverse.
    FollowerMuted,
    FollowerDeaf,
    /// The leader and one follower; the third node talks to both.
    OneLink,
    /// No node hears another: nothing can be written.
    NodesFromEachOther,
    /// The leader without any client: nothing that happens is asked for.
    LeaderFromAllUnasked,
}

impl Cut {
    const ROUND: [Self; 11] = [
        Self::LeaderFromNodes,
        Self::LeaderFromAll,
        Self::FollowerFromNodes,
        Self::FollowerFromAll,
        Self::LeaderMuted,
        Self::LeaderDeaf,
        Self::FollowerMuted,
        Self::FollowerDeaf,
        Self::OneLink,
        Self::NodesFromEachOther,
        Self::LeaderFromAllUnasked,
    ];

    /// The directions that are cut, given the leader and another node.
    fn directions(self, leader: End, follower: End) -> Vec<(End, End)> {
        let others = |one: End| End::nodes().filter(move |node| *node != one);
        let both = |one: End, other: End| [(one, other), (other, one)];
        let from_nodes = |one: End| others(one).flat_map(move |other| both(one, other));
        match self {
            Self::LeaderFromNodes => from_nodes(leader).collect(),
            Self::LeaderFromAll | Self::LeaderFromAllUnasked => {
                from_nodes(leader).chain(both(leader, End::Clients)).collect()
            }
            Self::FollowerFromNodes => from_nodes(follower).collect(),
            Self::FollowerFromAll => from_nodes(follower).chain(both(follower, End::Clients)).collect(),
            Self::LeaderMuted => others(leader).map(|other| (leader, other)).collect(),
            Self::LeaderDeaf => others(leader).map(|other| (other, leader)).collect(),
            Self::FollowerMuted => others(follower).map(|other| (follower, other)).collect(),
            Self::FollowerDeaf => others(follower).map(|other| (other, follower)).collect(),
            Self::OneLink => both(leader, follower).into(),
            Self::NodesFromEachOther => {
                End::nodes().flat_map(|one| others(one).map(move |other| (one, other))).collect()
            }
        }
    }

    /// Whether a majority can talk, and be asked.
    fn leaves_majority(self) -> bool {
        match self {
            Self::NodesFromEachOther | Self::LeaderFromAllUnasked => false,
            Self::LeaderFromNodes
            | Self::LeaderFromAll
            | Self::FollowerFromNodes
            | Self::FollowerFromAll
            | Self::LeaderMuted
            | Self::LeaderDeaf
            | Self::FollowerMuted
            | Self::FollowerDeaf
            | Self::OneLink => true,
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeaderFromNodes => "the leader cut from the other nodes",
            Self::LeaderFromAll => "the leader cut from nodes and clients",
            Self::FollowerFromNodes => "a follower cut from the other nodes",
            Self::FollowerFromAll => "a follower cut from nodes and clients",
            Self::LeaderMuted => "the leader not heard by the other nodes",
            Self::LeaderDeaf => "the other nodes not heard by the leader",
            Self::FollowerMuted => "a follower not heard by the other nodes",
            Self::FollowerDeaf => "the other nodes not heard by a follower",
            Self::OneLink => "the leader cut from one follower",
            Self::NodesFromEachOther => "all nodes cut from each other",
            Self::LeaderFromAllUnasked => "the leader cut from nodes and clients, with no client asking",
        })
    }
}

/// Cuts and heals again and again.
///
/// # Errors
/// When anything acknowledged is lost, stale or damaged, or writes do not go on where they can.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    match Network::enter() {
        Ok(None) => {}
        Ok(Some(status)) => {
            anyhow::ensure!(status.success(), "the run in a network namespace ended with {status}");
            return Ok(());
        }
        Err(error) => {
            println!("SKIPPED: partitions: {error:#}");
            return Ok(());
        }
    }
    let network = Network::lay()?;
    let mut tally = Tally::default();
    for (numbers, seed) in options.clusters() {
        let ground = Ground { network: Some(network), small: true, ..Ground::default() };
        let mut arena = Arena::open(options, seed, ground, "partition").await?;
        let played = rounds(&mut arena, network, numbers).await;
        if played.is_err() {
            arena.explain();
            return played;
        }
        tally += arena.close().await?;
    }
    println!("partition passed: {} rounds, seed {}\n{tally}", options.rounds, options.seed);
    Ok(())
}

async fn rounds(arena: &mut Arena, network: Network, numbers: RangeInclusive<u32>) -> anyhow::Result<()> {
    for round in numbers {
        let cut = Cut::ROUND[(round as usize - 1) % Cut::ROUND.len()];
        arena.work().await?;
        let leader = leader(arena).await?;
        let others: Vec<End> = End::nodes().filter(|node| *node != leader).collect();
        let follower = *others.choose(&mut arena.dice).context("a cell has more than one node")?;
        let what = format!("round {round}: {cut}");
        let silence = strike(arena, network, &cut.directions(leader, follower), cut).await;
        network.heal()?;
        let silence = silence.with_context(|| what.clone())?;
        let healed = clock::now();
        let back = async {
            arena.traffic.expect_flow(VERIFY_PATIENCE).await?;
            let back = clock::now() - healed;
            anyhow::Ok((back, arena.verify().await?))
        };
        let (back, verified) = back.await.with_context(|| what.clone())?;
        println!(
            "{what}: longest pause of writes {:.1} s; after healing they went on within {:.1} s; {} objects ({} MiB) equal",
            silence.as_secs_f64(),
            back.as_secs_f64(),
            verified.objects,
            verified.bytes >> 20
        );
        let missing = arena.cluster.missing_after(RESTART_PATIENCE).await?;
        anyhow::ensure!(missing.is_empty(), "{what}: not ready after healing: {}", missing.join(", "));
    }
    Ok(())
}

/// Cuts, and watches for a while. Answers the longest time without an acknowledged write.
async fn strike(arena: &Arena, network: Network, directions: &[(End, End)], cut: Cut) -> anyhow::Result<Duration> {
    let silent = if cut == Cut::LeaderFromAllUnasked { Some(arena.traffic.silence().await) } else { None };
    arena.traffic.acks.mark(clock::now());
    for (from, to) in directions {
        network.cut_one_way(*from, *to)?;
    }
    tokio::time::sleep(CUT_FOR).await;
    drop(silent);
    let silence = arena.traffic.acks.longest_silence(clock::now());
    arena.traffic.check()?;
    anyhow::ensure!(!cut.leaves_majority() || silence <= PARTITION_GAP_MAX, "writes paused for {silence:?}");
    Ok(silence)
}

async fn leader(arena: &Arena) -> anyhow::Result<End> {
    let mut found = None;
    clock::wait_until(RESTART_PATIENCE, async || {
        found = arena.cluster.leader(&arena.cell).await.ok().flatten().and_then(|row| row.node);
        found.is_some()
    })
    .await;
    let node = found.with_context(|| format!("cell {} has no leader", arena.cell))?;
    Ok(End::Node(u8::try_from(node.0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_cuts_leave_the_other_way_and_one_link_leaves_a_node_that_hears_both() {
        let (leader, follower) = (End::Node(2), End::Node(3));
        let cut = |cut: Cut| cut.directions(leader, follower);
        assert_eq!(cut(Cut::LeaderMuted), [(leader, End::Node(1)), (leader, follower)]);
        assert_eq!(cut(Cut::LeaderDeaf), [(End::Node(1), leader), (follower, leader)]);
        assert_eq!(cut(Cut::OneLink), [(leader, follower), (follower, leader)]);
        assert_eq!(cut(Cut::NodesFromEachOther).len(), 6);
        assert_eq!(cut(Cut::LeaderFromAll).len(), 6);
        assert!(cut(Cut::LeaderFromNodes).iter().all(|(from, to)| *from != End::Clients && *to != End::Clients));
    }
}
