//! By what a request is recognised when it comes again: what it asks for, without what is new in every try. Pure.

use bulkhead_model::AccountId;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

/// A request's shape. Both hashes include account and operation, so a shape is one account's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    pub account: AccountId,
    /// The call's name in S3's documentation.
    pub operation: String,
    /// Of everything: the key, the parameters, the headers and the body's length and digest. The same request again, and no other.
    pub exact: u64,
    /// Of the names of parameters and headers alone: requests made alike.
    pub kind: u64,
}

/// Headers that differ from try to try, or say nothing about what is asked for.
const PASSING: &[&str] = &[
    "authorization",
    "connection",
    "date",
    "expect",
    "host",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-amz-date",
    "x-request-id",
];
/// The same, by what they begin with.
const PASSING_PREFIXES: &[&str] = &["amz-sdk-", "x-bulkhead-", "x-forwarded-"];
/// Parameters that only sign.
const SIGNING: &[&str] = &[
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

impl Shape {
    /// The shape of a request of `account` for `operation`.
    pub fn of(account: AccountId, operation: &str, uri: &Uri, headers: &HeaderMap) -> Self {
        let mut exact = blake3::Hasher::new();
        let mut kind = blake3::Hasher::new();
        for hasher in [&mut exact, &mut kind] {
            hasher.update(&account.value().to_be_bytes());
            field(hasher, operation.as_bytes());
        }
        field(&mut exact, uri.path().as_bytes());
        for pair in uri.query().unwrap_or_default().split('&') {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if !SIGNING.contains(&name) {
                field(&mut exact, pair.as_bytes());
                field(&mut kind, name.as_bytes());
            }
        }
        let is_passing =
            |name: &str| PASSING.contains(&name) || PASSING_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let stated = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut stated: Vec<(&str, &[u8])> = stated.filter(|(name, _)| !is_passing(name)).collect();
        // In whatever order they come: proxies and clients change it from try to try.
        stated.sort_unstable();
        for (name, value) in stated {
            for hasher in [&mut exact, &mut kind] {
                field(hasher, name.as_bytes());
            }
            field(&mut exact, value);
        }
        Self { account, operation: operation.to_owned(), exact: short(&exact), kind: short(&kind) }
    }
}

/// Its length in front, so that two fields are never taken for one.
fn field(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

fn short(hasher: &blake3::Hasher) -> u64 {
    let hash = hasher.finalize();
    let (front, _) = hash.as_bytes().split_first_chunk::<8>().expect("a hash has 32 bytes");
    u64::from_be_bytes(*front)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn shape(n: u64, operation: &str, target: &str, headers: &[(&'static str, &'static str)]) -> Shape {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let account = AccountId::new(AccountId::FIRST + n).expect("in range");
        Shape::of(account, operation, &target.parse().expect("a target"), &headers.collect())
    }

    #[test]
    fn a_request_that_is_tried_again_keeps_its_shape() {
        let first = shape(1, "GetObject", "/b/k?X-Amz-Date=1&versionId=2", &[("authorization", "a"), ("range", "0-1")]);
        let again = shape(
            1,
            "GetObject",
            "/b/k?versionId=2&X-Amz-Signature=5",
            &[("range", "0-1"), ("x-amz-date", "2"), ("amz-sdk-request", "attempt=2"), ("x-bulkhead-epoch", "2")],
        );
        assert_eq!(first, again);
    }

    #[test]
    fn headers_in_another_order_are_the_same_request() {
        let (range, sum) = (("range", "0-1"), ("x-amz-checksum-mode", "ENABLED"));
        let [first, again] = [[range, sum], [sum, range]].map(|headers| shape(1, "GetObject", "/b/k", &headers));
        assert_eq!(first, again);
    }

    #[test]
    fn another_key_is_another_request_of_the_same_kind_and_another_account_neither() {
        let first = shape(1, "GetObject", "/b/k", &[("range", "0-1")]);
        for other in
            [shape(1, "GetObject", "/b/j", &[("range", "0-1")]), shape(1, "GetObject", "/b/k", &[("range", "0-2")])]
        {
            assert!(other.exact != first.exact && other.kind == first.kind);
        }
        for other in [
            shape(2, "GetObject", "/b/k", &[("range", "0-1")]),
            shape(1, "HeadObject", "/b/k", &[("range", "0-1")]),
            shape(1, "GetObject", "/b/k", &[]),
            shape(1, "GetObject", "/b/k?partNumber=1", &[("range", "0-1")]),
        ] {
            assert!(other.exact != first.exact && other.kind != first.kind);
        }
    }
}
