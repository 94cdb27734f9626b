//! The short drill, and racers whose leader dies.

use crate::support::{
    fleet::Fleet,
    program::loadtest,
    suite::{Case, Verdict},
};
use futures::FutureExt;

pub const CASES: &[Case] = &[
    ("nothing_acknowledged_is_lost_in_a_short_drill", |fleet| drill(fleet).boxed_local()),
    ("racers_have_exactly_one_winner_while_leaders_die", |fleet| racers(fleet).boxed_local()),
];

async fn drill(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["drill", "--short"]).await
}

async fn racers(fleet: &Fleet) -> anyhow::Result<Verdict> {
    loadtest(fleet, &["racers", "--kill-leader", "--rounds", "2"]).await
}
