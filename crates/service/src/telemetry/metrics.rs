//! The Prometheus recorder: histograms with fixed buckets, the process's identity on every series.

use super::{Identity, TelemetryError};
use crate::{Env, limits};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the latency histograms, in seconds: 0.1 ms to 30 s.
const SECONDS: [f64; 17] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Renders what the process has counted. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// A recorder that nobody writes to, for tests of routes.
    pub fn detached() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }

    /// All series in Prometheus's text format.
    pub fn render(&self) -> String {
        self.0.render()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

pub(super) fn install(env: &Env, identity: &Identity) -> Result<Metrics, TelemetryError> {
    let mut builder = PrometheusBuilder::new().add_global_label("service", identity.service);
    for (label, value) in &identity.labels {
        builder = builder.add_global_label(*label, value);
    }
    let twice = |error: metrics_exporter_prometheus::BuildError| TelemetryError::Twice(error.to_string());
    let handle = builder.set_buckets(&SECONDS).map_err(twice)?.install_recorder().map_err(twice)?;
    let (upkept, stopping) = (handle.clone(), env.tasks.stopping());
    // Without this, observations pile up in memory until somebody scrapes.
    env.tasks.spawn("metrics upkeep", async move {
        let mut ticks = tokio::time::interval(limits::METRICS_UPKEEP);
        while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            upkept.run_upkeep();
        }
    });
    Ok(Metrics(handle))
}
