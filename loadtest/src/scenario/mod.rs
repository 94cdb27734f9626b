//! What the load test does: one file per command.

pub mod bench;
pub mod bigobject;
pub mod certificates;
pub mod corrupt;
pub mod crash;
pub mod drill;
pub mod fill;
pub mod graynode;
pub mod listing;
pub mod load;
mod meter;
pub mod neighbours;
pub mod null;
mod objects;
pub mod overload;
pub mod partition;
mod peaks;
pub mod powercut;
mod pulse;
pub mod racers;
pub mod reclaim;
pub mod refusal;
pub mod rounds;
pub mod sickcell;
pub mod slowclients;
mod stage;
mod traffic;
pub mod warp;
pub mod wipe;

pub use meter::Meter;

use crate::{
    client::{PayloadHash, Session, Target},
    clock,
    limits::VERIFY_PATIENCE,
};
use std::sync::Arc;

/// Creates the first bucket of a new account, of which the router may need a moment to hear.
///
/// # Errors
/// The last answer, when none was a success in time.
pub async fn first_bucket(target: &Arc<Target>, bucket: &str) -> anyhow::Result<()> {
    let mut session = Session::new(target.clone(), PayloadHash::Signed);
    let mut last = Ok(());
    let created = clock::wait_until(VERIFY_PATIENCE, async || {
        last = session.ensure_bucket(bucket).await.required("creating a bucket");
        last.is_ok()
    })
    .await;
    if created { Ok(()) } else { last }
}
