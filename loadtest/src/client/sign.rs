//! AWS Signature Version 4 in the `Authorization` header.

use super::{call::Call, session::Credentials};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// What the signature says about the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadHash {
    /// The body is not part of the signature; nothing is hashed.
    Unsigned,
    /// SHA-256 of the body. Generated bodies are generated twice for it.
    Signed,
}

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const DATE: &[time::format_description::FormatItem<'_>] =
    time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");

/// What signatures of one day, and of one second, have in common: made once.
#[derive(Default)]
pub struct SigningKey {
    day: String,
    /// Has taken in the day's key: a copy of it signs.
    keyed: Option<Hmac<Sha256>>,
    /// Of this second since 1970.
    second: i64,
    date: String,
}

/// The headers that a signature adds to a request.
pub struct Signed {
    pub date: String,
    pub content_sha256: String,
    pub authorization: String,
}

/// Signs `call` for `host` as of `now`.
pub fn sign(
    call: &Call<'_>,
    host: &str,
    credentials: &Credentials,
    hash: PayloadHash,
    now: time::OffsetDateTime,
    cached: &mut SigningKey,
) -> Signed {
    if cached.date.is_empty() || cached.second != now.unix_timestamp() {
        cached.date = now.format(DATE).expect("the format has only components every date has");
        cached.second = now.unix_timestamp();
    }
    let date = cached.date.clone();
    let day = &date[..8];
    let content_sha256 = match hash {
        PayloadHash::Unsigned => UNSIGNED.to_owned(),
        PayloadHash::Signed => hash_body(call),
    };
    let (canonical, names) = canonical_request(call, host, &date, &content_sha256);
    let scope = format!("{day}/{}/s3/aws4_request", credentials.region);
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    if cached.day != day {
        cached.keyed = Some(keyed(&derive_key(credentials, day)));
        cached.day = day.to_owned();
    }
    let mut mac = cached.keyed.clone().expect("it is made with the day");
    mac.update(to_sign.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key_id
    );
    Signed { date, content_sha256, authorization }
}

fn canonical_request(call: &Call<'_>, host: &str, date: &str, content_sha256: &str) -> (String, String) {
    let mut headers = vec![("host", host), ("x-amz-content-sha256", content_sha256), ("x-amz-date", date)];
    headers.extend(call.headers.iter().filter(|(name, _)| name.starts_with("x-amz-")).map(|(n, v)| (*n, v.as_str())));
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let mut text = format!("{}\n{}\n{}\n", call.method, call.path(), call.query_string());
    for (name, value) in &headers {
        writeln!(text, "{name}:{}", value.trim()).expect("writing to a String cannot fail");
    }
    write!(text, "\n{names}\n{content_sha256}").expect("writing to a String cannot fail");
    (text, names)
}

fn hash_body(call: &Call<'_>) -> String {
    let mut hasher = Sha256::new();
    let mut body = call.payload.clone();
    while let Some(piece) = body.next() {
        hasher.update(&piece);
    }
    hex::encode(hasher.finalize())
}

fn derive_key(credentials: &Credentials, day: &str) -> Vec<u8> {
    let secret = format!("AWS4{}", credentials.secret_access_key);
    [day, &credentials.region, "s3", "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()))
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = keyed(key);
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Payload;
    use http::Method;

    /// From Amazon's documentation, "Authenticating Requests: Using the Authorization Header", GET object lists.
    #[test]
    fn the_documented_listing_example_has_the_documented_signature() {
        let credentials = Credentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        };
        let mut call = Call::new(Method::GET, "", "");
        call.query = vec![("max-keys", "2".into()), ("prefix", "J".into())];
        call.payload = Payload::Empty;
        let now = time::macros::datetime!(2013-05-24 00:00:00 UTC);
        let host = "examplebucket.s3.amazonaws.com";
        let signed = sign(&call, host, &credentials, PayloadHash::Signed, now, &mut SigningKey::default());
        assert!(
            signed
                .authorization
                .ends_with("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
            "{}",
            signed.authorization
        );
    }
}
