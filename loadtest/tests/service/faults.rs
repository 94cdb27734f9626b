//! The short drill, racers whose leader dies, a few rounds each of power cuts, crashes and partitions, bits that turn over, and a cell that
//! is filled to its maxima.

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
    ("every_object_reads_back_whole_with_a_node_down_and_another_damaged", |fleet| corrupt(fleet).boxed_local()),
    ("a_cell_takes_just_what_it_declares_and_goes_on_after_deletions", |fleet| fill(fleet).boxed_local()),
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

async fn corrupt(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["corrupt", "--private-cluster", "--short"]).await
}

async fn fill(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["fill", "--private-cluster", "--short"]).await
}
