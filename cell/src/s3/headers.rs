//! The headers that clients store with an object and get back, and those that describe it.

use super::{
    convert, front,
    stated::{CHECKSUMS, text},
};
use crate::{
    meta::record::{Checksum, ContentHeaders},
    ops::{etag, read::ObjectHead},
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use s3s::{S3Error, S3Result, s3_error};

const USER: &str = "x-amz-meta-";
/// What S3 answers for an object without a type.
const DEFAULT_TYPE: &str = "binary/octet-stream";
const WEBSITE_REDIRECT: &str = "x-amz-website-redirect-location";
const CHECKSUM_TYPE: HeaderName = HeaderName::from_static("x-amz-checksum-type");
const PARTS_COUNT: HeaderName = HeaderName::from_static("x-amz-mp-parts-count");

/// Query parameters of a GET or HEAD that replace a header of the answer. Requests are always signed here.
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-content-type", header::CONTENT_TYPE),
    ("response-expires", header::EXPIRES),
];

/// What the client wants stored with an object.
///
/// # Errors
/// When a header is there twice or is not text.
pub fn content_headers(headers: &HeaderMap) -> S3Result<ContentHeaders> {
    let owned = |name: &'static str| text(headers, name).map(|value| value.map(str::to_owned));
    Ok(ContentHeaders {
        content_type: owned("content-type")?,
        content_encoding: text(headers, "content-encoding")?.and_then(stored_encoding),
        content_language: owned("content-language")?,
        content_disposition: utf8(headers, "content-disposition")?,
        cache_control: owned("cache-control")?,
        expires: owned("expires")?,
        website_redirect_location: owned(WEBSITE_REDIRECT)?,
        user: user_metadata(headers)?,
    })
}

/// The encoding without `aws-chunked`, which belongs to the transfer.
fn stored_encoding(value: &str) -> Option<String> {
    let kept: Vec<&str> =
        value.split(',').map(str::trim).filter(|coding| !coding.eq_ignore_ascii_case("aws-chunked")).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

fn user_metadata(headers: &HeaderMap) -> S3Result<Vec<(String, String)>> {
    let mut user = Vec::new();
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(USER).filter(|key| !key.is_empty()) else { continue };
        let values: Result<Vec<&str>, _> =
            headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes())).collect();
        let values = values.map_err(|_| not_text(name.as_str()))?;
        user.push((key.to_owned(), values.join(",")));
    }
    user.sort_unstable();
    Ok(user)
}

/// A header that may hold any UTF-8, such as a file's name.
fn utf8(headers: &HeaderMap, name: &'static str) -> S3Result<Option<String>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    Ok(Some(std::str::from_utf8(value.as_bytes()).map_err(|_| not_text(name))?.to_owned()))
}

fn not_text(name: &str) -> S3Error {
    s3_error!(InvalidArgument, "The header {name} is not UTF-8.")
}

/// Which of an object's figures a request asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// `x-amz-checksum-mode: ENABLED`, and the answer covers what the checksum covers.
    pub checksum: bool,
    /// `?partNumber=`
    pub part: bool,
}

/// The headers of an answer to GET or HEAD, apart from its length and range.
///
/// # Errors
/// When an override in the query is no header value.
pub fn object_headers(head: &ObjectHead, wanted: Wanted, uri: &Uri) -> S3Result<HeaderMap> {
    let mut map = HeaderMap::new();
    map.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    put(&mut map, header::ETAG, &format!("\"{}\"", etag::show(&head.etag)))?;
    put(&mut map, header::LAST_MODIFIED, &convert::http_date(head.modified))?;
    let stored = &head.headers;
    put(&mut map, header::CONTENT_TYPE, stored.content_type.as_deref().unwrap_or(DEFAULT_TYPE))?;
    for (name, value) in [
        (header::CONTENT_ENCODING, &stored.content_encoding),
        (header::CONTENT_LANGUAGE, &stored.content_language),
        (header::CONTENT_DISPOSITION, &stored.content_disposition),
        (header::CACHE_CONTROL, &stored.cache_control),
        (header::EXPIRES, &stored.expires),
        (HeaderName::from_static(WEBSITE_REDIRECT), &stored.website_redirect_location),
    ] {
        if let Some(value) = value {
            put(&mut map, name, value)?;
        }
    }
    for (key, value) in &stored.user {
        let name = HeaderName::try_from(format!("{USER}{key}")).map_err(|_| not_text(key))?;
        put(&mut map, name, value)?;
    }
    if wanted.part
        && let Some(parts) = head.parts
    {
        map.insert(PARTS_COUNT, parts.into());
    }
    if wanted.checksum
        && let Some(checksum) = &head.checksum
    {
        put_checksum(&mut map, checksum, head.parts.filter(|_| !wanted.part))?;
    }
    for (name, value) in front::query(uri) {
        if let Some((_, header)) = OVERRIDES.iter().find(|(parameter, _)| *parameter == name) {
            put(&mut map, header.clone(), &value)?;
        }
    }
    Ok(map)
}

/// Adds a checksum and its kind.
///
/// # Errors
/// Never: base64 is a header value.
pub fn put_checksum(map: &mut HeaderMap, checksum: &Checksum, parts: Option<u32>) -> S3Result<()> {
    for (algorithm, name) in CHECKSUMS {
        if algorithm == checksum.algorithm {
            put(map, HeaderName::from_static(name), &convert::checksum_text(checksum, parts))?;
            map.insert(CHECKSUM_TYPE, HeaderValue::from_static(convert::checksum_kind(checksum.kind)));
        }
    }
    Ok(())
}

fn put(map: &mut HeaderMap, name: HeaderName, value: &str) -> S3Result<()> {
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| s3_error!(InvalidArgument, "The value for {name} is not a valid header."))?;
    map.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::record::{ChecksumAlgorithm, ChecksumKind, Etag};
    use bulkhead_model::Timestamp;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn head(headers: ContentHeaders) -> ObjectHead {
        let checksum =
            Checksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::Composite, value: vec![0, 0, 0, 1] };
        let etag = Etag { md5: [0xab; 16], parts: Some(2) };
        ObjectHead {
            len: 5,
            etag,
            modified: Timestamp(784_111_777_000),
            checksum: Some(checksum),
            headers,
            parts: Some(2),
        }
    }

    fn answer(head: &ObjectHead, wanted: Wanted, uri: &'static str) -> HeaderMap {
        object_headers(head, wanted, &Uri::from_static(uri)).expect("valid")
    }

    #[test]
    fn what_is_stored_comes_back() {
        let sent = map(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked,gzip"),
            ("content-language", "de"),
            ("content-disposition", "attachment"),
            ("cache-control", "no-cache"),
            ("expires", "tomorrow"),
            ("x-amz-website-redirect-location", "/other"),
            ("x-amz-meta-b", "2"),
            ("x-amz-meta-a", "1"),
        ]);
        let stored = content_headers(&sent).expect("text");
        assert_eq!(stored.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(stored.user, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let answer = answer(&head(stored), Wanted::default(), "/b/k");
        for name in sent.keys().filter(|name| *name != header::CONTENT_ENCODING) {
            assert_eq!(answer.get(name), sent.get(name), "{name}");
        }
        assert_eq!(answer[header::LAST_MODIFIED], "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(!answer.contains_key("x-amz-checksum-crc32") && !answer.contains_key(PARTS_COUNT));
    }

    #[test]
    fn aws_chunked_alone_is_no_encoding() {
        assert_eq!(content_headers(&map(&[("content-encoding", "aws-chunked")])).expect("text").content_encoding, None);
    }

    #[test]
    fn metadata_keeps_its_utf_8() {
        let mut sent = HeaderMap::new();
        sent.insert("x-amz-meta-name", HeaderValue::from_bytes("Müller".as_bytes()).expect("opaque bytes"));
        let stored = content_headers(&sent).expect("text");
        assert_eq!(
            answer(&head(stored), Wanted::default(), "/b/k").get("x-amz-meta-name"),
            sent.get("x-amz-meta-name")
        );
    }

    #[test]
    fn a_checksum_and_the_number_of_parts_are_told_when_asked_for() {
        let head = head(ContentHeaders::default());
        let whole = answer(&head, Wanted { checksum: true, part: false }, "/b/k");
        assert_eq!(
            (&whole["x-amz-checksum-crc32"], &whole[CHECKSUM_TYPE]),
            (&value("AAAAAQ==-2"), &value("COMPOSITE"))
        );
        let part = answer(&head, Wanted { checksum: true, part: true }, "/b/k?partNumber=1");
        assert_eq!((&part["x-amz-checksum-crc32"], &part[PARTS_COUNT]), (&value("AAAAAQ=="), &value("2")));
    }

    #[test]
    fn the_query_overrides_headers_of_the_answer() {
        let answer = answer(
            &head(ContentHeaders::default()),
            Wanted::default(),
            "/b/k?response-content-type=text%2Fhtml&response-expires=never",
        );
        assert_eq!((&answer[header::CONTENT_TYPE], &answer[header::EXPIRES]), (&value("text/html"), &value("never")));
        let bad = object_headers(
            &head(ContentHeaders::default()),
            Wanted::default(),
            &Uri::from_static("/b/k?response-content-type=a%0Ab"),
        );
        assert!(bad.is_err());
    }
}
