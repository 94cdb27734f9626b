//! What a request can fail of in the router itself, and how a client sees it: S3's XML with S3's codes.

use bulkhead_model::RequestId;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use std::fmt::Write as _;

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Router,
    Cell,
}

impl Side {
    /// For events and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Router => "router",
            Self::Cell => "cell",
        }
    }
}

/// Why the router answers a request by itself. Nothing of it was executed, except where it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    UnknownKey,
    #[error("Access Denied")]
    Anonymous,
    #[error("The specified bucket does not exist")]
    UnknownBucket,
    #[error("The specified method is not allowed against this resource.")]
    Method,
    #[error("Your proposed upload exceeds the maximum allowed size")]
    TooLarge,
    #[error("The service does not know where your account is served at present. Please try again.")]
    NoHome,
    /// The table may be old: what is not in it may exist.
    #[error("The service cannot tell at present whether this exists. Please try again.")]
    Unsure,
    #[error("Please reduce your request rate.")]
    Overloaded,
    #[error("Your socket connection to the server was not read from or written to within the timeout period.")]
    BodyStalled,
    #[error("The request body terminated unexpectedly")]
    BodyBroken,
    #[error("No node that serves your account can be reached. Please try again.")]
    Unreachable,
    /// The breaker of its cell is open, or tries it with less.
    #[error("The cell that serves your account is away at present. Please try again.")]
    CellAway,
    /// The cell's share of this router is taken.
    #[error("Please reduce your request rate.")]
    CellFull,
    /// Its cell has refused most of what the account asked for lately.
    #[error("Please reduce your request rate.")]
    Throttled,
    #[error("What serves your account answered nothing that can be understood. Please try again.")]
    Garbled,
    /// It may have been executed.
    #[error("We encountered an internal error. Please try again.")]
    OutcomeUnknown,
}

impl Fault {
    /// Whose fault it is.
    pub fn side(self) -> Side {
        match self {
            Self::Malformed(_)
            | Self::UnknownKey
            | Self::Anonymous
            | Self::UnknownBucket
            | Self::Method
            | Self::TooLarge
            | Self::BodyStalled
            | Self::BodyBroken => Side::Client,
            Self::NoHome | Self::Unsure | Self::Overloaded => Side::Router,
            Self::Unreachable
            | Self::CellAway
            | Self::CellFull
            | Self::Throttled
            | Self::Garbled
            | Self::OutcomeUnknown => Side::Cell,
        }
    }

    /// Status and code, as S3 documents them.
    pub fn s3(self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "InvalidRequest"),
            Self::UnknownKey => (StatusCode::FORBIDDEN, "InvalidAccessKeyId"),
            Self::Anonymous => (StatusCode::FORBIDDEN, "AccessDenied"),
            Self::UnknownBucket => (StatusCode::NOT_FOUND, "NoSuchBucket"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::TooLarge => (StatusCode::BAD_REQUEST, "EntityTooLarge"),
            Self::BodyStalled => (StatusCode::BAD_REQUEST, "RequestTimeout"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "IncompleteBody"),
            Self::NoHome | Self::Unsure | Self::Unreachable | Self::CellAway => {
                (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
            }
            // S3 has no such status, but every S3 client takes it for a passing fault of the service.
            Self::Garbled => (StatusCode::BAD_GATEWAY, "InternalError"),
            Self::Overloaded | Self::CellFull | Self::Throttled => (StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
            Self::OutcomeUnknown => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        }
    }

    /// The whole answer. A `HEAD` has no body.
    pub fn response(self, method: &Method, resource: &str, request: RequestId) -> Response<Bytes> {
        let (status, code) = self.s3();
        let body = if *method == Method::HEAD { String::new() } else { self.xml(code, resource, request) };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let id = HeaderValue::try_from(request.to_string()).expect("a request id is hex digits");
        let headers = response.headers_mut();
        headers.insert("x-amz-request-id", id.clone());
        headers.insert("x-amz-id-2", id);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn xml(self, code: &str, resource: &str, request: RequestId) -> String {
        let mut xml = String::with_capacity(256 + resource.len());
        xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>");
        xml.push_str(code);
        xml.push_str("</Code><Message>");
        escape(&mut xml, &self.to_string());
        xml.push_str("</Message><Resource>");
        escape(&mut xml, resource);
        write!(xml, "</Resource><RequestId>{request}</RequestId><HostId>{request}</HostId></Error>")
            .expect("writing to a string cannot fail");
        xml
    }
}

fn escape(into: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '&' => into.push_str("&amp;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&apos;"),
            // XML has no way to write other control characters.
            character if character.is_control() => into.push('\u{fffd}'),
            character => into.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_s3_xml_and_cannot_be_broken_out_of() {
        let response = Fault::UnknownBucket.response(&Method::GET, "/b/<x>&\"\u{1}", RequestId(1));
        let body = std::str::from_utf8(response.body()).expect("UTF-8");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            body,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does \
             not exist</Message><Resource>/b/&lt;x&gt;&amp;&quot;\u{fffd}</Resource>\
             <RequestId>00000000000000000000000000000001</RequestId>\
             <HostId>00000000000000000000000000000001</HostId></Error>"
        );
    }

    #[test]
    fn the_answer_to_a_head_has_no_body() {
        assert!(Fault::UnknownBucket.response(&Method::HEAD, "/b", RequestId(1)).body().is_empty());
    }

    #[test]
    fn an_answer_that_invites_a_retry_says_when() {
        let response = Fault::Overloaded.response(&Method::PUT, "/b", RequestId(1));
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
