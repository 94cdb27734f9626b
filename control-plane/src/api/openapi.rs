//! `/v1/openapi.json`: the API described for programs, made of the table of routes and of the types they name.

#![expect(clippy::disallowed_methods, reason = "json! unwraps inside")]

use super::routes::Call;
use bulkhead_model::api::{
    control_plane::{IDEMPOTENCY_KEY, Role},
    error::ApiError,
};
use http::Method;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The document.
pub fn document(calls: &[Call]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ApiError>();
    let mut paths: Map<String, Value> = Map::new();
    for call in calls {
        let mut operation = json!({
            "summary": call.summary,
            "operationId": operation_id(call),
            "security": [{ "token": [] }],
            "x-role": if call.access.machines { "machine".to_owned() } else { call.access.role.to_string() },
            "parameters": parameters(call),
        });
        let mut success = json!({ "description": "it is done" });
        if call.status == 202 {
            success = json!({ "description": "it is under way: watch the operation" });
        }
        if let Some(answer) = call.answer {
            success["content"] = json!({ "application/json": { "schema": answer(&mut generator) } });
        }
        let failure = json!({
            "description": "nothing was done, or nobody knows (`outcome_unknown`): the code and the message say which",
            "content": { "application/json": { "schema": error } },
        });
        operation["responses"] = json!({ call.status.to_string(): success, "default": failure });
        if let Some(body) = call.body {
            let schema = body(&mut generator);
            operation["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
        let path = paths.entry(call.path).or_insert_with(|| Value::Object(Map::new()));
        path[call.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bulkhead control plane",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "Accounts, keys, bucket names, cells. Roles: {}, {}, {}; each may do what those before it may.",
                Role::ReadOnly, Role::Operator, Role::Admin
            ),
        },
        "paths": paths,
        "components": {
            "schemas": Value::from(generator.take_definitions(true)),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation_id(call: &Call) -> String {
    let words = call.path.split(['/', '{', '}', '-', '_', '.']).filter(|word| !word.is_empty() && *word != "v1");
    let words = std::iter::once(call.method.as_str().to_lowercase()).chain(words.map(str::to_owned));
    words.collect::<Vec<_>>().join("_")
}

fn parameters(call: &Call) -> Vec<Value> {
    let text = json!({ "type": "string" });
    let in_path = call.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text }));
    let mut all: Vec<Value> = in_path.collect();
    for (name, meaning) in &call.query {
        all.push(json!({ "name": name, "in": "query", "description": meaning, "schema": text }));
    }
    if call.method != Method::GET {
        let description = "Under it the request is carried out once, however often it is sent.";
        all.push(json!({ "name": IDEMPOTENCY_KEY, "in": "header", "description": description, "schema": text }));
    }
    all
}
