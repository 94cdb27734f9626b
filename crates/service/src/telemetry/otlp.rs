//! Spans to a collector: OTLP over HTTP, protobuf, in batches.
//!
//! The SDK exports from a thread of its own, outside tokio; the HTTP client is handed back to the runtime for each request.

use super::{Identity, TelemetryError};
use crate::limits;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError, hyper::HyperClient};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;

/// An exporter to `endpoint`, to be called within the runtime that shall carry its requests.
pub(super) fn provider(endpoint: &str, identity: &Identity) -> Result<SdkTracerProvider, TelemetryError> {
    let client = OnRuntime {
        runtime: Handle::current(),
        client: HyperClient::with_default_connector(limits::EXPORT_PATIENCE, None),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(limits::EXPORT_PATIENCE)
        .build()
        .map_err(|error| TelemetryError::Export(error.to_string()))?;
    let labels = identity.labels.iter().map(|(label, value)| KeyValue::new(format!("bulkhead.{label}"), value.clone()));
    let resource = Resource::builder().with_service_name(identity.service).with_attributes(labels).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Exports what is left. Blocking, so it must not run on the runtime's own threads.
pub(super) async fn shutdown(provider: SdkTracerProvider) {
    let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limits::EXPORT_PATIENCE)).await;
    match flushed {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
        Err(error) => tracing::warn!(%error, "the export of the last spans did not end"),
    }
}

#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: HyperClient,
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
