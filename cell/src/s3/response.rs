//! The last step of every answer: S3's headers on all, S3's error document on failures, no body where there may be none.

use super::{
    StatusOverride, error,
    record::{End, Record},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use s3s::{HttpResponse, StdError};
use std::{
    fmt::Write as _,
    pin::Pin,
    task::{Context, Poll},
};

/// What the answer must say about the request and the node.
pub struct Facts {
    pub method: Method,
    pub uri: Uri,
    pub request_id: String,
    /// `x-amz-id-2`, `HostId`
    pub host_id: String,
    /// `x-bulkhead-node`
    pub node: String,
}

/// Completes an answer, and says its error code.
pub fn complete(mut response: HttpResponse, facts: &Facts) -> (HttpResponse, Option<String>) {
    if let Some(StatusOverride(status)) = response.extensions_mut().remove() {
        *response.status_mut() = status;
    }
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error() || status == StatusCode::NOT_MODIFIED;
    let code = failed.then(|| complete_error(&mut response, facts));
    for (name, value) in [
        ("x-amz-request-id", &facts.request_id),
        ("x-amz-id-2", &facts.host_id),
        (bulkhead_model::headers::NODE, &facts.node),
    ] {
        // All three are of our own making: digits, letters, spaces and slashes.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    (response, code)
}

/// Rewrites s3s's error document into S3's; answers the code.
fn complete_error(response: &mut HttpResponse, facts: &Facts) -> String {
    let document = response.body().bytes().unwrap_or_default();
    let document = String::from_utf8_lossy(&document);
    let code = element(&document, "Code").unwrap_or("InternalError").to_owned();
    let message = element(&document, "Message").unwrap_or_else(|| error::default_message(&code)).to_owned();
    let bodiless = facts.method == Method::HEAD || response.status() == StatusCode::NOT_MODIFIED;
    if bodiless {
        *response.body_mut() = s3s::Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
    } else {
        *response.body_mut() = error_document(&code, &message, facts).into();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    code
}

/// `code` and `message` are XML text already.
fn error_document(code: &str, message: &str, facts: &Facts) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><Resource>{}</Resource>\
         <RequestId>{}</RequestId><HostId>{}</HostId></Error>",
        escape(facts.uri.path()),
        facts.request_id,
        escape(&facts.host_id)
    )
}

/// The text of the first element of this name.
fn element<'d>(document: &'d str, name: &str) -> Option<&'d str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' | '"' => write!(escaped, "&#{};", u32::from(c)).expect("a string takes everything"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The answer's body, which tells the request's record when it ends.
pub struct RecordedBody {
    inner: s3s::Body,
    record: Record,
    /// Bytes still to come, when that is known: the connection does not ask for the end of a body whose length it knows.
    left: Option<u64>,
}

impl RecordedBody {
    /// Watches `response`'s body. `bodiless` when the connection will not ask for it.
    pub fn wrap(response: HttpResponse, record: Record, bodiless: bool) -> http::Response<Self> {
        let stated = response.headers().get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
        let left = if bodiless { Some(0) } else { stated.or_else(|| response.body().size_hint().exact()) };
        response.map(|inner| Self { inner, record, left })
    }
}

impl Body for RecordedBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.sent(bytes);
                self.left = self.left.map(|left| left.saturating_sub(bytes));
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::warn!(%error, "an answer was cut: the rest of its body cannot be read");
                self.record.end(End::Failed);
            }
            Poll::Ready(None) => self.record.end(End::Whole),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        if self.left == Some(0) {
            self.record.end(End::Whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::{S3Error, S3ErrorCode};

    fn facts(method: Method) -> Facts {
        Facts {
            method,
            uri: Uri::from_static("/bucket/a&b'c"),
            request_id: "AB".to_owned(),
            host_id: "c1/1".to_owned(),
            node: "1 leader".to_owned(),
        }
    }

    fn refused(code: S3ErrorCode, message: Option<&'static str>) -> HttpResponse {
        let error =
            message.map_or_else(|| S3Error::new(code.clone()), |text| S3Error::with_message(code.clone(), text));
        error.to_http_response().expect("serializable")
    }

    fn text(response: &HttpResponse) -> String {
        String::from_utf8(response.body().bytes().expect("in memory").to_vec()).expect("UTF-8")
    }

    #[test]
    fn an_error_is_the_document_that_s3_sends() {
        let (response, code) = complete(refused(S3ErrorCode::NoSuchKey, Some("no <such> key")), &facts(Method::GET));
        assert_eq!(code.as_deref(), Some("NoSuchKey"));
        assert_eq!(response.headers()["x-amz-request-id"], "AB");
        assert_eq!(response.headers()["x-bulkhead-node"], "1 leader");
        assert_eq!(
            text(&response),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>no &lt;such&gt; key</Message>\
             <Resource>/bucket/a&amp;b&#39;c</Resource><RequestId>AB</RequestId><HostId>c1/1</HostId></Error>"
        );
    }

    #[test]
    fn an_error_without_a_message_gets_s3s() {
        let (response, _) = complete(refused(S3ErrorCode::SignatureDoesNotMatch, None), &facts(Method::GET));
        assert!(text(&response).contains("<Message>The request signature we calculated"));
    }

    #[test]
    fn head_and_304_have_no_body() {
        for (method, code) in [(Method::HEAD, S3ErrorCode::NoSuchKey), (Method::GET, S3ErrorCode::NotModified)] {
            let (response, code) = complete(refused(code, None), &facts(method));
            assert!(code.is_some() && response.body().is_end_stream());
            assert!(!response.headers().contains_key(header::CONTENT_TYPE));
        }
    }

    #[test]
    fn a_call_may_choose_its_status() {
        let mut response = HttpResponse::new(s3s::Body::empty());
        response.extensions_mut().insert(StatusOverride(StatusCode::PARTIAL_CONTENT));
        let (response, code) = complete(response, &facts(Method::GET));
        assert_eq!((response.status(), code), (StatusCode::PARTIAL_CONTENT, None));
    }
}
