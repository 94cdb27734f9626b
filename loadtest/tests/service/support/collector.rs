//! A small OpenTelemetry collector: accepts spans over OTLP/HTTP and tells which processes a trace has passed.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
};
use parking_lot::Mutex;
use prost::Message;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
};
use tokio::{net::TcpListener, task::JoinSet};

/// By trace id: the processes that have spans in it, as `service` and `bulkhead.*` labels.
type Traces = BTreeMap<Vec<u8>, BTreeSet<String>>;

/// A running collector.
pub struct Collector {
    address: SocketAddr,
    traces: Arc<Mutex<Traces>>,
    _server: JoinSet<()>,
}

impl Collector {
    /// Listens on a free loopback port until it is dropped.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let traces: Arc<Mutex<Traces>> = Arc::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, traces.clone()));
        Ok(Self { address, traces, _server: server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was received so far.
    pub fn traces(&self) -> Traces {
        self.traces.lock().clone()
    }
}

async fn accept(listener: TcpListener, traces: Arc<Mutex<Traces>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let traces = traces.clone();
        connections.spawn(async move {
            let service = service_fn(|request| receive(request, traces.clone()));
            // A client that goes away is no business of the collector.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn receive(request: Request<Incoming>, traces: Arc<Mutex<Traces>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_traces = request.uri().path() == "/v1/traces";
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let status = match ExportTraceServiceRequest::decode(body) {
        Ok(export) if is_traces => {
            record(&export, &mut traces.lock());
            200
        }
        Ok(_) | Err(_) => 400,
    };
    Ok(Response::builder().status(status).body(Full::default()).expect("a status and an empty body"))
}

fn record(export: &ExportTraceServiceRequest, traces: &mut Traces) {
    for resource in &export.resource_spans {
        let attributes = resource.resource.as_ref().map(|resource| resource.attributes.as_slice()).unwrap_or_default();
        let place = place(attributes);
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            traces.entry(span.trace_id.clone()).or_default().insert(place.clone());
        }
    }
}

/// `bulkhead-cell cell=c1 node=2`
fn place(attributes: &[KeyValue]) -> String {
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    let service = attributes.iter().find(|attribute| attribute.key == "service.name").map(text).unwrap_or_default();
    let labels = attributes
        .iter()
        .filter_map(|attribute| Some(format!(" {}={}", attribute.key.strip_prefix("bulkhead.")?, text(attribute))));
    service + &labels.collect::<String>()
}
