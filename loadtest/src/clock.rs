//! The one place of the load test that reads a clock.

use std::time::{Duration, Instant};

/// Monotonic time, for latencies and deadlines.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall time, for signatures and unique names.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn wall() -> time::OffsetDateTime {
    std::time::SystemTime::now().into()
}

/// Milliseconds since 1970, to tell one run's names from another's.
pub fn stamp() -> u64 {
    u64::try_from(wall().unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

/// Asks `ready` every 50 ms until it says yes. Answers whether it did within `patience`.
pub async fn wait_until<F>(patience: Duration, mut ready: F) -> bool
where
    F: AsyncFnMut() -> bool,
{
    let deadline = now() + patience;
    loop {
        if ready().await {
            return true;
        }
        if now() >= deadline {
            return false;
        }
        tokio::time::sleep(crate::limits::POLL).await;
    }
}
