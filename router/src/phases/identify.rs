//! Who: the bucket a request is about and the access key it claims. Pure; verifies nothing.
//!
//! The cell checks the signature: what is found here is good for placement, not for anything else.

use super::RequestCx;
use crate::{Router, error::Fault};
use bulkhead_model::AccessKeyId;
use http::{HeaderMap, Method, Uri, Version, header, request::Parts};
use percent_encoding::percent_decode_str;

/// What a request says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `None` for calls on the account, such as ListBuckets.
    pub bucket: Option<String>,
    pub key: Key,
    /// CreateBucket: the only call on a bucket that is not served where the bucket is.
    pub creates_bucket: bool,
    /// It is about an object, and not about a bucket or the account as a whole.
    pub names_object: bool,
}

/// The access key a request claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Key {
    /// None, as far as the router can see; a form upload has it in its body.
    #[default]
    Anonymous,
    Claimed(AccessKeyId),
    /// A text that cannot be an access key id.
    Impossible,
}

/// The phase.
///
/// # Errors
/// As [`identify`].
pub fn run(router: &Router, head: &Parts, cx: &mut RequestCx) -> Result<(), Fault> {
    cx.identity = identify(&head.method, &head.uri, head.version, &head.headers, &router.domains)?;
    Ok(())
}

/// Reads the identity out of a request's head.
///
/// # Errors
/// When the host is missing, repeated or not text.
pub fn identify(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    domains: &[String],
) -> Result<Identity, Fault> {
    let host = host(version, headers)?;
    if uri.host().is_some_and(|named| !named.eq_ignore_ascii_case(host)) {
        return Err(Fault::Malformed("The request line and the Host header name different hosts."));
    }
    let path = uri.path().strip_prefix('/').unwrap_or_default();
    let (bucket, object) = match virtual_bucket(host, domains) {
        Some(bucket) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    let bucket = (!bucket.is_empty()).then(|| percent_decode_str(bucket).decode_utf8_lossy().into_owned());
    let query = uri.query().unwrap_or_default();
    Ok(Identity {
        creates_bucket: *method == Method::PUT && bucket.is_some() && object.is_empty() && !has_subresource(query),
        names_object: bucket.is_some() && !object.is_empty(),
        key: key(headers, query),
        bucket,
    })
}

/// The host without its port. HTTP/1.1 demands exactly one; two parsers could pick different ones of several.
fn host(version: Version, headers: &HeaderMap) -> Result<&str, Fault> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| Fault::Malformed("The Host header is not text."))?,
        (None, _) if version < Version::HTTP_11 => "",
        (None, _) => return Err(Fault::Malformed("The Host header is missing.")),
        (Some(_), Some(_)) => return Err(Fault::Malformed("There is more than one Host header.")),
    };
    let end_of_address = host.rfind(']').unwrap_or(0);
    Ok(host[end_of_address..].find(':').map_or(host, |colon| &host[..end_of_address + colon]))
}

/// The bucket of a virtual-host style address.
fn virtual_bucket<'a>(host: &'a str, domains: &[String]) -> Option<&'a str> {
    domains.iter().find_map(|domain| {
        let cut = host.len().checked_sub(domain.len() + 1)?;
        let (bucket, rest) = host.split_at_checked(cut)?;
        (rest.starts_with('.') && rest[1..].eq_ignore_ascii_case(domain) && !bucket.is_empty()).then_some(bucket)
    })
}

/// Whether the query names a part of a bucket (`?acl`, `?versioning`) rather than only signing the request.
fn has_subresource(query: &str) -> bool {
    let only_signs = |name: &str| {
        ["x-id", "AWSAccessKeyId", "Signature", "Expires"].contains(&name)
            || name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-amz-"))
    };
    query.split('&').filter(|pair| !pair.is_empty()).any(|pair| !only_signs(pair.split('=').next().unwrap_or(pair)))
}

fn key(headers: &HeaderMap, query: &str) -> Key {
    match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            text.strip_prefix("AWS ").map_or_else(|| credential(text), |v2| claimed(v2.split(':').next().unwrap_or(v2)))
        }
        None => presigned(query),
    }
}

/// Signature V4 (and V4a): `… Credential=<key>/<date>/<region>/s3/aws4_request, …`.
fn credential(authorization: &str) -> Key {
    let scope = authorization.split_once("Credential=").map_or("", |(_, scope)| scope);
    claimed(scope.split(['/', ',']).next().unwrap_or_default())
}

fn presigned(query: &str) -> Key {
    if query.is_empty() {
        return Key::Anonymous;
    }
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "X-Amz-Credential" => return claimed(value.split('/').next().unwrap_or_default()),
            "AWSAccessKeyId" => return claimed(&value),
            _ => {}
        }
    }
    Key::Anonymous
}

fn claimed(text: &str) -> Key {
    text.trim().parse().map_or(Key::Impossible, Key::Claimed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AKID: &str = "AKIAIOSFODNN7EXAMPLE";

    fn identified(method: Method, host: &str, target: &str, authorization: Option<&str>) -> Identity {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a host"));
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header value"));
        }
        let uri = target.parse().expect("a target");
        let domains = ["localhost".to_owned(), "s3.example.com".to_owned()];
        identify(&method, &uri, Version::HTTP_11, &headers, &domains).expect("well formed")
    }

    #[test]
    fn the_bucket_is_in_the_path_or_in_the_host() {
        for (host, target, bucket) in [
            ("localhost", "/", None),
            ("localhost:9000", "/photos", Some("photos")),
            ("localhost:9000", "/photos/a/b", Some("photos")),
            ("127.0.0.1:9000", "/photos/", Some("photos")),
            ("[::1]:9000", "/photos/a", Some("photos")),
            ("elsewhere.org", "/photos/a", Some("photos")),
            ("photos.localhost:9000", "/a/b", Some("photos")),
            ("photos.localhost", "/", Some("photos")),
            ("my.photos.S3.Example.com", "/a", Some("my.photos")),
            ("xlocalhost", "/photos", Some("photos")),
            (".localhost", "/photos", Some("photos")),
            ("localhost", "/pho%74os/a", Some("photos")),
            ("localhost", "//a", None),
        ] {
            assert_eq!(identified(Method::GET, host, target, None).bucket.as_deref(), bucket, "{host} {target}");
        }
    }

    #[test]
    fn the_key_is_found_wherever_a_client_may_put_it() {
        let claimed = Key::Claimed(AKID.parse().expect("a key id"));
        let v4 = format!(
            "AWS4-HMAC-SHA256 Credential={AKID}/20261120/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        );
        let v2 = format!("AWS {AKID}:frJIUN8DYpKDtOLCwo//yllqDzg=");
        for (target, authorization, key) in [
            ("/b/k".to_owned(), Some(v4.as_str()), claimed.clone()),
            ("/b/k".to_owned(), Some(v2.as_str()), claimed.clone()),
            (format!("/b/k?X-Amz-Credential={AKID}%2F20261120%2Fus-east-1%2Fs3%2Faws4_request"), None, claimed.clone()),
            (format!("/b/k?AWSAccessKeyId={AKID}&Signature=x&Expires=1"), None, claimed),
            ("/b/k?list-type=2".to_owned(), None, Key::Anonymous),
            ("/b/k".to_owned(), None, Key::Anonymous),
            ("/b/k".to_owned(), Some("AWS short:x"), Key::Impossible),
            ("/b/k".to_owned(), Some("Bearer token"), Key::Impossible),
        ] {
            assert_eq!(
                identified(Method::GET, "localhost", &target, authorization).key,
                key,
                "{target} {authorization:?}"
            );
        }
    }

    #[test]
    fn only_a_put_on_a_bare_bucket_creates_it() {
        for (method, host, target, creates) in [
            (Method::PUT, "localhost", "/b", true),
            (Method::PUT, "localhost", "/b/", true),
            (Method::PUT, "b.localhost", "/", true),
            (Method::PUT, "localhost", "/b?x-id=CreateBucket", true),
            (Method::PUT, "localhost", "/b?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=9", true),
            (Method::PUT, "localhost", "/b?versioning", false),
            (Method::PUT, "localhost", "/b?acl=", false),
            (Method::PUT, "localhost", "/b/k", false),
            (Method::PUT, "b.localhost", "/k", false),
            (Method::GET, "localhost", "/b", false),
            (Method::PUT, "localhost", "/", false),
        ] {
            assert_eq!(
                identified(method.clone(), host, target, None).creates_bucket,
                creates,
                "{method} {host} {target}"
            );
        }
    }

    #[test]
    fn a_request_has_exactly_one_host() {
        let uri = "/b".parse().expect("a target");
        let mut headers = HeaderMap::new();
        let run = |headers: &HeaderMap, version| identify(&Method::GET, &uri, version, headers, &[]);
        assert!(run(&headers, Version::HTTP_11).is_err());
        assert!(run(&headers, Version::HTTP_10).is_ok());
        headers.append(header::HOST, "a".parse().expect("a host"));
        assert!(run(&headers, Version::HTTP_11).is_ok());
        headers.append(header::HOST, "b".parse().expect("a host"));
        assert!(run(&headers, Version::HTTP_11).is_err());
    }
}
