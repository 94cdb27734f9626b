//! The short drill, racers whose leader dies, and a few rounds each of power cuts, crashes and partitions.

use crate::support::{
    fleet::Fleet,
    program::loadtest,
    suite::{Case, Verdict},
};
use bulkhead_loadtest::powercut::works_here;
use futures::FutureExt;

pub const CASES: &[Case] = &[
    ("nothing_acknowledged_is_lost_in_a_short_drill", |fleet| drill(fleet).boxed_local()),
    ("racers_have_exactly_one_winner_while_leaders_die", |fleet| racers(fleet).boxed_local()),
    ("acknowledged_objects_survive_power_cuts", |fleet| power_cuts(fleet).boxed_local()),
    ("acknowledged_objects_survive_crashes_at_named_points", |fleet| crashes(fleet).boxed_local()),
    ("acknowledged_objects_survive_partitions", |fleet| partitions(fleet).boxed_local()),
];

async fn drill(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["drill", "--short"]).await
}

async fn racers(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["racers", "--kill-leader", "--rounds", "2"]).await
}

async fn power_cuts(fleet: &Fleet) -> anyhow::Result<Verdict> {
    if let Err(error) = works_here() {
        return Ok(Verdict::Skipped(format!("no file system can be mounted: {error:#}")));
    }
    loadtest(fleet, &["powercut", "--private-cluster", "--rounds", "4"]).await
}

async fn crashes(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["crash", "--private-cluster", "--rounds", "6"]).await
}

/// Says itself that it is skipped, where it has not the right.
async fn partitions(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["partition", "--private-cluster", "--rounds", "2"]).await
}
