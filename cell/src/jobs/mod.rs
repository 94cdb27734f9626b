//! Background jobs of a node: one file each, started in `node`, stopped with the node's tasks.

pub mod census;
pub mod compact;
pub mod epochs;
pub mod figures;
pub mod garbage;
pub mod gauges;
pub mod outbox;
mod pace;
pub mod repair;
pub mod scrub;

use bulkhead_replica::StoreError;
use bulkhead_service::env::Tasks;

/// Runs a longer read of the index where it does not hold up requests.
async fn blocking<T: Send + 'static>(
    tasks: &Tasks,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tasks.blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Store(format!("reading it did not end: {error}"))),
    }
}
