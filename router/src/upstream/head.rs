//! Headers on their way through the router: what is dropped, what is added, and what is never touched.
//!
//! `Host` and everything a client may have signed pass as they came. What concerns one connection only, and our own processes'
//! headers, do not pass in either direction.

use crate::routing::Location;
use bulkhead_model::{RequestId, headers};
use http::{HeaderMap, HeaderName, HeaderValue, header};

const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const OUR_PREFIX: &str = "x-bulkhead-";

/// Takes out what must not reach a cell from outside.
pub fn from_client(from: &mut HeaderMap) {
    drop_hop_by_hop(from);
    drop_ours(from);
}

/// Adds what the cell is told about the request.
pub fn for_cell(to: &mut HeaderMap, request: RequestId, location: &Location) {
    to.insert(headers::REQUEST_ID, text(request));
    to.insert(headers::ACCOUNT, text(location.account));
    to.insert(headers::EPOCH, HeaderValue::from(location.home.epoch.0));
    match location.signer {
        Some(signer) => drop(to.insert(headers::SIGNER, text(signer))),
        None => drop(to.remove(headers::SIGNER)),
    }
}

/// Takes out what must not reach a client, and names the request if the cell did not.
pub fn for_client(answer: &mut HeaderMap, request: RequestId) {
    drop_hop_by_hop(answer);
    drop_ours(answer);
    answer.entry("x-amz-request-id").or_insert_with(|| text(request));
}

fn text(id: impl std::fmt::Display) -> HeaderValue {
    HeaderValue::try_from(id.to_string()).expect("ids are visible ASCII")
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // A client could otherwise have headers dropped that the router and the cell must agree on.
        .filter(|name| *name != header::HOST && *name != header::AUTHORIZATION && *name != header::CONTENT_LENGTH)
        .collect();
    named.iter().chain(&HOP_BY_HOP).for_each(|name| drop(headers.remove(name)));
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}

fn drop_ours(headers: &mut HeaderMap) {
    // Collected only when there is one, which no honest client sends.
    if headers.keys().any(|name| name.as_str().starts_with(OUR_PREFIX)) {
        let ours: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with(OUR_PREFIX)).cloned().collect();
        ours.iter().for_each(|name| drop(headers.remove(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{AccountId, Epoch, routing::Home};

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_a_client_signs_passes_and_what_it_may_not_say_does_not() {
        let mut headers = map(&[
            ("host", "localhost:9000"),
            ("authorization", "AWS4-HMAC-SHA256 ..."),
            ("x-amz-date", "20261120T000000Z"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("connection", "keep-alive, x-private, authorization"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("x-private", "1"),
            ("x-bulkhead-account", "999999999999"),
            ("x-bulkhead-signer", "999999999999"),
            ("x-bulkhead-deadline-ms", "1"),
        ]);
        from_client(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-length", "expect", "host", "x-amz-date"]);
    }

    #[test]
    fn the_cell_is_told_what_the_router_believes() {
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        let home = Home { cell: "c1".parse().expect("a label"), epoch: Epoch(4) };
        let mut headers = map(&[("x-request-id", "chosen by the client")]);
        for_cell(&mut headers, RequestId(1), &Location { account, signer: None, home });
        let expected = map(&[
            ("x-request-id", "00000000000000000000000000000001"),
            ("x-bulkhead-account", "100000000000"),
            ("x-bulkhead-epoch", "4"),
        ]);
        assert_eq!(headers, expected);
    }
}
