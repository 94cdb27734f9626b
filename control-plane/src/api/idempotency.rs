//! Writes under a key: carried out once, and answered alike however often they are sent.
//!
//! What was answered is remembered without secrets: whoever lost the first answer to a new key makes another key. An answer that says
//! that nothing was done, or that nobody knows, is not remembered: every call by itself may be repeated.

use super::error::Failure;
use crate::{
    caller::Caller,
    limits::{BODY_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX, IDEMPOTENT_BYTES_MAX},
    store::{
        Directory, DirectoryError,
        command::{Command, Done},
        record::Answered,
    },
};
use axum::{
    body::{self, Body},
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bulkhead_model::api::control_plane::IDEMPOTENCY_KEY;
use http::{HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// Says of an answer that it was given before.
pub const REPEATED: &str = "idempotent-replayed";
/// Fields that are shown once.
const SECRETS: [&str; 2] = ["secret_access_key", "token"];

/// Runs a write, unless it was run before under the key it carries.
pub async fn once(directory: &Directory, caller: &Caller, request: Request, next: Next) -> Response {
    let Some(key) = request.headers().get(IDEMPOTENCY_KEY) else { return next.run(request).await };
    match under_key(directory, caller, key.clone(), request, next).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

async fn under_key(
    directory: &Directory,
    caller: &Caller,
    key: HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let key = key.to_str().ok().filter(|key| (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len()));
    let accepted = format!("{IDEMPOTENCY_KEY} is 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible ASCII characters");
    let key = format!("{}/{}", caller.name, key.ok_or_else(|| Failure::invalid(accepted))?);
    let (parts, content) = request.into_parts();
    let content = body::to_bytes(content, BODY_BYTES_MAX).await.map_err(Failure::invalid)?;
    let mut hash = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), &content] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let begin = Command::BeginIdempotent { key: key.clone(), request: hex::encode(hash.finalize()) };
    match directory.propose(begin).await? {
        Done::Again { answer: Some(answer) } => return repeated(answer),
        Done::Again { answer: None } => {
            let look = "a request under this key is under way, or nobody knows what became of it";
            return Err(Failure::conflict(format!("{look}: look what is there, and use another key")));
        }
        Done::First
        | Done::Ok
        | Done::AccountPlaced { .. }
        | Done::Claimed { .. }
        | Done::Operation { .. }
        | Done::Setting { .. } => {}
    }
    let response = next.run(Request::from_parts(parts, Body::from(content))).await;
    remember(directory, key, response).await
}

async fn remember(directory: &Directory, key: String, response: Response) -> Result<Response, Failure> {
    let (parts, content) = response.into_parts();
    let content = body::to_bytes(content, usize::MAX).await.map_err(|error| Failure::failed(error.to_string()))?;
    // A conflict passes: the repetition is to meet what is there then.
    let passes = parts.status.is_server_error() || parts.status == StatusCode::CONFLICT;
    let decided = !passes && content.len() <= IDEMPOTENT_BYTES_MAX;
    let answer = decided.then(|| Answered { status: parts.status.as_u16(), body: without_secrets(&content) });
    match directory.propose(Command::FinishIdempotent { key, answer }).await {
        Ok(_) => {}
        // The request was carried out: its answer counts, whether or not it is remembered.
        Err(error @ (DirectoryError::Unavailable(_) | DirectoryError::Unknown(_))) => {
            tracing::warn!(%error, "an answer is not remembered under its key");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Response::from_parts(parts, Body::from(content)))
}

fn repeated(answer: Answered) -> Result<Response, Failure> {
    let status = StatusCode::from_u16(answer.status).map_err(|error| Failure::failed(error.to_string()))?;
    let mut response = (status, answer.body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(REPEATED, HeaderValue::from_static("true"));
    Ok(response)
}

/// A body as it may be kept.
fn without_secrets(body: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(body) else { return String::new() };
    if let Some(fields) = value.as_object_mut() {
        for secret in SECRETS {
            if let Some(field) = fields.get_mut(secret) {
                *field = serde_json::Value::from("");
            }
        }
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_holds_no_secret() {
        let kept = without_secrets(br#"{"access_key_id":"BK1","secret_access_key":"s3cret","token":"t0ken"}"#);
        assert!(!kept.contains("s3cret") && !kept.contains("t0ken") && kept.contains("BK1"), "{kept}");
        assert_eq!(without_secrets(b""), "");
    }
}
