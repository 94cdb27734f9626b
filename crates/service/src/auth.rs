//! Bearer tokens between our own processes: compared in constant time, never printed.

use crate::limits;
use axum::{extract::State, middleware::Next, response::IntoResponse};
use bulkhead_model::api::error::ApiError;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{fmt, sync::Arc};

/// A shared secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is at least {} visible ASCII characters", limits::TOKEN_CHARACTERS_MIN)]
pub struct InvalidToken;

impl Token {
    /// # Errors
    /// When the text is too short to be a secret or cannot be sent in a header.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        if text.len() < limits::TOKEN_CHARACTERS_MIN || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidToken);
        }
        Ok(Self(text.into()))
    }

    /// The value of the `Authorization` header that presents this token, marked as sensitive.
    pub fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).expect("a token is visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// Whether these headers present this token. Takes the same time whatever differs.
    pub fn is_presented(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        presented.is_some_and(|presented| equal(presented, self.0.as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(<redacted>)")
    }
}

/// Compares secrets. The time depends on the lengths only.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (x, y)| differing | (x ^ y));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

/// Middleware: answers `401` unless the request presents one of the tokens.
///
/// Use as `router.route_layer(axum::middleware::from_fn_with_state(tokens, auth::require))`.
pub async fn require(
    State(tokens): State<Arc<[Token]>>,
    request: axum::extract::Request,
    next: Next,
) -> axum::response::Response {
    // No short cut: every token is compared, so that the time does not tell which one nearly matched.
    let presented = tokens.iter().fold(false, |found, token| found | token.is_presented(request.headers()));
    if presented { next.run(request).await } else { unauthorized() }
}

fn unauthorized() -> axum::response::Response {
    let error =
        ApiError { code: "unauthorized".into(), message: "send a valid token as Authorization: Bearer <token>".into() };
    (StatusCode::UNAUTHORIZED, axum::Json(error)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::ServiceExt as _;

    fn token(letter: &str) -> Token {
        Token::new(&letter.repeat(32)).expect("long enough")
    }

    async fn status(authorization: Option<&str>) -> StatusCode {
        let tokens: Arc<[Token]> = Arc::new([token("a"), token("b")]);
        let router = axum::Router::new()
            .route("/", axum::routing::get(|| async {}))
            .route_layer(axum::middleware::from_fn_with_state(tokens, require));
        let mut request = http::Request::new(axum::body::Body::empty());
        if let Some(value) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, value.parse().expect("a header value"));
        }
        router.oneshot(request).await.expect("infallible").status()
    }

    #[tokio::test]
    async fn only_an_exact_token_is_let_through() {
        let good = format!("Bearer {}", "b".repeat(32));
        assert_eq!(status(Some(&good)).await, StatusCode::OK);
        let (short, long) = (format!("Bearer {}", "b".repeat(31)), format!("Bearer {}", "b".repeat(33)));
        let basic = format!("Basic {}", "b".repeat(32));
        for bad in [None, Some(short.as_str()), Some(long.as_str()), Some(basic.as_str()), Some("Bearer ")] {
            assert_eq!(status(bad).await, StatusCode::UNAUTHORIZED, "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_never_printed() {
        assert!(!format!("{:?} {:?}", token("a"), token("a").header()).contains("aaa"));
    }
}
