//! What is refused before the signature is looked at: requests that s3s would misread, or accept although S3 does not.
//!
//! Pure. Nothing here makes a request authentic.

use super::sigv4::{Authorization, Scope, split_headers};
use crate::limits::PRESIGN_SECONDS_MAX;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts};
use s3s::{S3Result, s3_error};

/// Checks a request's head.
///
/// # Errors
/// The S3 error for the first thing that is wrong.
pub fn check(head: &Parts) -> S3Result<()> {
    method(head)?;
    let query = query(&head.uri);
    let get = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let presigned = get("X-Amz-Signature").is_some() || get("X-Amz-Algorithm").is_some();
    let presigned_v2 = get("AWSAccessKeyId").is_some() || get("Signature").is_some();
    let authorization = head.headers.get(header::AUTHORIZATION);
    if [presigned, presigned_v2, authorization.is_some()].into_iter().filter(|mechanism| *mechanism).count() > 1 {
        return Err(s3_error!(
            InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or \
             the Authorization header should be specified"
        ));
    }
    if presigned {
        return presign(get, &head.headers);
    }
    // Version 2 does not cover such parameters, so anybody could have added one.
    if query.iter().any(|(name, _)| name.starts_with("x-amz-")) {
        return Err(s3_error!(
            NotImplemented,
            "Headers in the query are implemented for version 4 presigned requests only."
        ));
    }
    if presigned_v2 {
        return presign_v2(get);
    }
    match authorization {
        None => Ok(()),
        Some(value) => signed(value.to_str().unwrap_or_default(), &head.headers),
    }
}

/// The query's parameters, decoded, in their order.
pub fn query(uri: &Uri) -> Vec<(String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// The headers as the client meant them: signers may move `x-amz-` headers of a presigned request into its query.
///
/// # Errors
/// When a parameter cannot be a header, or would have chosen another call.
pub fn effective_headers(headers: &HeaderMap, uri: &Uri) -> S3Result<HeaderMap> {
    let mut all = headers.clone();
    for (name, value) in query(uri) {
        if !name.starts_with("x-amz-") {
            continue;
        }
        if name == "x-amz-copy-source" {
            return Err(s3_error!(NotImplemented, "{name} in the query is not implemented."));
        }
        let invalid = || s3_error!(InvalidArgument, "The query parameter {name} is not a valid header.");
        let header = HeaderName::try_from(&name).map_err(|_| invalid())?;
        let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
        // A header that is there too has been signed as well, and counts.
        all.entry(header).or_insert(value);
    }
    Ok(all)
}

fn method(head: &Parts) -> S3Result<()> {
    match head.method {
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE => Ok(()),
        Method::POST => {
            let form = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            if form.is_some_and(|form| form.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")) {
                return Err(s3_error!(NotImplemented, "PostObject is not implemented."));
            }
            Ok(())
        }
        Method::OPTIONS => Err(s3_error!(NotImplemented, "Cross-origin requests (OPTIONS) are not implemented.")),
        _ => Err(s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.")),
    }
}

fn signed(value: &str, headers: &HeaderMap) -> S3Result<()> {
    if value.starts_with("AWS ") {
        return Err(only_version_4());
    }
    if !value.starts_with(Authorization::ALGORITHM) {
        return Err(s3_error!(InvalidArgument, "Unsupported Authorization Type"));
    }
    let malformed =
        || s3_error!(AuthorizationHeaderMalformed, "The authorization header that you provided is not valid.");
    let authorization = Authorization::parse(value).ok_or_else(malformed)?;
    service(&authorization.scope)?;
    covered(&authorization.signed_headers, headers)
}

fn presign<'q>(get: impl Fn(&str) -> Option<&'q str>, headers: &HeaderMap) -> S3Result<()> {
    let missing = |name: &str| {
        s3_error!(
            AuthorizationQueryParametersError,
            "Query-string authentication version 4 needs the parameter {name}."
        )
    };
    let required = |name: &'static str| get(name).ok_or_else(|| missing(name));
    for name in ["X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Date"] {
        required(name)?;
    }
    if get("X-Amz-Algorithm") != Some(Authorization::ALGORITHM) {
        return Err(s3_error!(AuthorizationQueryParametersError, "X-Amz-Algorithm only supports AWS4-HMAC-SHA256"));
    }
    let scope = Scope::parse(required("X-Amz-Credential")?)
        .ok_or_else(|| s3_error!(AuthorizationQueryParametersError, "Error parsing the X-Amz-Credential parameter"))?;
    service(&scope)?;
    match required("X-Amz-Expires")?.parse::<i64>() {
        Err(_) => Err(s3_error!(AuthorizationQueryParametersError, "X-Amz-Expires should be a number")),
        Ok(seconds) if seconds < 1 => {
            Err(s3_error!(AuthorizationQueryParametersError, "X-Amz-Expires must be positive"))
        }
        Ok(seconds) if seconds > PRESIGN_SECONDS_MAX => Err(s3_error!(
            AuthorizationQueryParametersError,
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than \
             {PRESIGN_SECONDS_MAX} seconds"
        )),
        Ok(_) => covered(&split_headers(required("X-Amz-SignedHeaders")?), headers),
    }
}

/// Some tools still presign with version 2. Its signature covers the method, the resource, every `x-amz-` header and when it expires;
/// s3s verifies both.
fn presign_v2<'q>(get: impl Fn(&str) -> Option<&'q str>) -> S3Result<()> {
    if ["AWSAccessKeyId", "Expires", "Signature"].into_iter().all(|name| get(name).is_some()) {
        return Ok(());
    }
    Err(s3_error!(
        AccessDenied,
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
    ))
}

/// The host and every `x-amz-` header must be signed, or a third party could add a header to somebody's request.
fn covered(signed: &[String], headers: &HeaderMap) -> S3Result<()> {
    let is_signed = |name: &str| signed.iter().any(|header| header == name);
    // The payload's hash is part of what is signed, whether or not its header is.
    let must_be = |name: &str| name.starts_with("x-amz-") && name != "x-amz-content-sha256";
    let unsigned: Vec<&str> =
        headers.keys().map(|name| name.as_str()).filter(|name| must_be(name) && !is_signed(name)).collect();
    if !is_signed("host") || !unsigned.is_empty() {
        let which = if unsigned.is_empty() { "host".to_owned() } else { unsigned.join(", ") };
        return Err(s3_error!(
            AccessDenied,
            "There were headers present in the request which were not signed: {which}"
        ));
    }
    Ok(())
}

fn service(scope: &Scope) -> S3Result<()> {
    if scope.service == "s3" {
        return Ok(());
    }
    Err(s3_error!(
        AuthorizationHeaderMalformed,
        "The authorization header is malformed; incorrect service \"{}\". This endpoint belongs to \"s3\".",
        scope.service
    ))
}

fn only_version_4() -> s3s::S3Error {
    s3_error!(
        InvalidRequest,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const CREDENTIAL: &str = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";

    fn code(method: &str, target: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        check(&head).err().map(|error| error.code().as_str().to_owned())
    }

    fn authorization(signed: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders={signed}, Signature=00")
    }

    fn presigned(change: (&str, &str)) -> String {
        let base = format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={CREDENTIAL}&X-Amz-Date=20130524T000000Z\
             &X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
        );
        base.replace(change.0, change.1)
    }

    #[test]
    fn signed_presigned_and_anonymous_requests_go_on() {
        assert_eq!(code("GET", "/b/k", &[]), None);
        assert_eq!(code("GET", "/b/k", &[("authorization", &authorization("host"))]), None);
        assert_eq!(code("PUT", &presigned(("", "")), &[]), None);
    }

    #[test]
    fn a_version_2_query_must_be_whole() {
        assert_eq!(code("GET", "/b/k?AWSAccessKeyId=a&Expires=1&Signature=b", &[]), None);
        for part in ["AWSAccessKeyId=a&Expires=1", "AWSAccessKeyId=a&Signature=b", "Expires=1&Signature=b"] {
            assert_eq!(code("GET", &format!("/b/k?{part}"), &[]).as_deref(), Some("AccessDenied"), "{part}");
        }
        let added = "/b/k?AWSAccessKeyId=a&Expires=1&Signature=b&x-amz-meta-a=b";
        assert_eq!(code("PUT", added, &[]).as_deref(), Some("NotImplemented"));
    }

    #[test]
    fn methods_and_forms_that_are_no_s3_call_are_refused() {
        assert_eq!(code("PATCH", "/b/k", &[]).as_deref(), Some("MethodNotAllowed"));
        assert_eq!(code("OPTIONS", "/b/k", &[]).as_deref(), Some("NotImplemented"));
        let form = [("content-type", "Multipart/Form-Data; boundary=x")];
        assert_eq!(code("POST", "/b", &form).as_deref(), Some("NotImplemented"));
    }

    #[test]
    fn other_ways_to_authenticate_are_refused() {
        let header = authorization("host");
        for (target, value, expected) in [
            ("/b/k", "AWS AKIA:sig", "InvalidRequest"),
            ("/b/k", "Basic YTpi", "InvalidArgument"),
            ("/b/k", "AWS4-HMAC-SHA256 Credential=x", "AuthorizationHeaderMalformed"),
            ("/b/k?X-Amz-Signature=00", header.as_str(), "InvalidArgument"),
            ("/b/k?AWSAccessKeyId=a&Expires=1&Signature=b", header.as_str(), "InvalidArgument"),
            ("/b/k?AWSAccessKeyId=a&Expires=1&Signature=b&X-Amz-Signature=00", "", "InvalidArgument"),
            ("/b/k?x-amz-acl=private", header.as_str(), "NotImplemented"),
        ] {
            assert_eq!(code("GET", target, &[("authorization", value)]).as_deref(), Some(expected), "{target} {value}");
        }
        let sts = header.replace("/s3/", "/sts/");
        assert_eq!(code("GET", "/", &[("authorization", &sts)]).as_deref(), Some("AuthorizationHeaderMalformed"));
    }

    #[test]
    fn an_unsigned_host_or_amz_header_is_refused() {
        let host_missing = [("authorization", &*authorization("x-amz-date"))];
        assert_eq!(code("GET", "/b/k", &host_missing).as_deref(), Some("AccessDenied"));
        let added = authorization("host");
        let added = [("authorization", &*added), ("x-amz-copy-source", "/other/key")];
        assert_eq!(code("PUT", "/b/k", &added).as_deref(), Some("AccessDenied"));
        assert_eq!(code("PUT", &presigned(("", "")), &[("x-amz-meta-a", "b")]).as_deref(), Some("AccessDenied"));
    }

    #[test]
    fn a_presigned_query_must_be_whole_and_within_a_week() {
        for change in [
            ("X-Amz-Expires=60", "X-Amz-Expires=0"),
            ("X-Amz-Expires=60", "X-Amz-Expires=604801"),
            ("X-Amz-Expires=60", "X-Amz-Expires=soon"),
            ("&X-Amz-Expires=60", ""),
            ("&X-Amz-Date=20130524T000000Z", ""),
            ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            ("/aws4_request", ""),
        ] {
            let expected = Some("AuthorizationQueryParametersError");
            assert_eq!(code("GET", &presigned(change), &[]).as_deref(), expected, "{change:?}");
        }
    }
}
