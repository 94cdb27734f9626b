//! Logs to stderr, spans to an OTLP collector when one is configured, metrics for Prometheus.
//!
//! [`init`] is called once, first thing in `main`; [`Telemetry::shutdown`] last, so that nothing is lost.

mod metrics;
mod otlp;
pub mod trace_context;

pub use metrics::Metrics;

use crate::{Env, config::Validate};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::Deserialize;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The `[telemetry]` table of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// Where spans go, for example `http://127.0.0.1:4318`; nowhere when absent.
    pub otlp_endpoint: Option<String>,
    /// A filter as `tracing-subscriber` has it, for example `info,bulkhead_router=debug`.
    pub log: String,
    pub format: Format,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Json,
    Text,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, log: "info".into(), format: Format::default() }
    }
}

impl Validate for TelemetryConfig {
    fn validate(&self) -> Result<(), String> {
        EnvFilter::try_new(&self.log).map_err(|error| format!("telemetry.log is not a filter: {error}"))?;
        match &self.otlp_endpoint {
            Some(endpoint) if !endpoint.starts_with("http://") => {
                Err(format!("telemetry.otlp_endpoint ({endpoint}) must begin with http://"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Who reports: on every span as resource attributes, on every metric as labels.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The binary, for example `bulkhead-cell`.
    pub service: &'static str,
    /// For example `("cell", "c1")`, `("az", "az-a")`.
    pub labels: Vec<(&'static str, String)>,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the log filter is not valid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("telemetry is set up already: {0}")]
    Twice(String),
    #[error("spans cannot be exported: {0}")]
    Export(String),
}

/// What must live as long as the process.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    spans: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// The process's metrics.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Sends what has not been exported yet.
    pub async fn shutdown(self) {
        if let Some(spans) = self.spans {
            otlp::shutdown(spans).await;
        }
    }
}

/// Sets up logs, spans and metrics for this process.
///
/// # Errors
/// When the filter or the endpoint is unusable, or this is the second call.
pub fn init(env: &Env, config: &TelemetryConfig, identity: &Identity) -> Result<Telemetry, TelemetryError> {
    let spans = match &config.otlp_endpoint {
        Some(endpoint) => Some(otlp::provider(endpoint, identity)?),
        None => None,
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        Format::Json => Box::new(
            tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .with_writer(std::io::stderr),
        ),
        Format::Text => Box::new(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)),
    };
    let lines = lines.with_filter(EnvFilter::try_new(&config.log)?);
    let export = spans.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(identity.service));
        layer.with_filter(tracing_subscriber::filter::LevelFilter::INFO)
    });
    Registry::default()
        .with(lines)
        .with(export)
        .try_init()
        .map_err(|error| TelemetryError::Twice(error.to_string()))?;
    Ok(Telemetry { metrics: metrics::install(env, identity)?, spans })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_or_an_endpoint_that_cannot_work_is_refused() {
        let good = TelemetryConfig::default();
        assert_eq!(good.validate(), Ok(()));
        let bad_filter = TelemetryConfig { log: "info,=,".into(), ..good.clone() };
        assert!(bad_filter.validate().is_err());
        let bad_endpoint = TelemetryConfig { otlp_endpoint: Some("127.0.0.1:4318".into()), ..good };
        assert!(bad_endpoint.validate().is_err());
    }
}
