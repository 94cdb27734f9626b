//! One signed request through the router: the proof that a client's request works now.

use super::env_file::Credentials;
use bulkhead_model::Timestamp;
use bulkhead_service::client::{Client, ClientError, full};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Method, StatusCode, header};
use sha2::{Digest as _, Sha256};
use std::{net::SocketAddr, time::Duration};
use time::{OffsetDateTime, macros::format_description};

const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Lists the account's buckets. Anything but a `200` is why not.
pub async fn list_buckets(
    router: SocketAddr,
    region: &str,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<(), String> {
    // Without a token: the router is a stranger's endpoint to this request, as it is to any client.
    let client = Client::new(None, None);
    let shown = |error: ClientError| error.to_string();
    let mut request = client.request(Method::GET, router, "/", full("")).map_err(shown)?;
    for (name, value) in sign(&router.to_string(), region, credentials, now) {
        let mut value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        value.set_sensitive(name == header::AUTHORIZATION.as_str());
        request.headers_mut().insert(name, value);
    }
    let answer = client.call(request, PATIENCE, ANSWER_BYTES_MAX).await.map_err(shown)?;
    if answer.status() == StatusCode::OK {
        return Ok(());
    }
    let body = String::from_utf8_lossy(answer.body());
    Err(format!("{}: {}", answer.status(), body.chars().take(300).collect::<String>()))
}

/// Signature Version 4 of `GET /` without a body.
fn sign(host: &str, region: &str, credentials: &Credentials, now: Timestamp) -> [(&'static str, String); 3] {
    let date = amz_date(now);
    let day = &date[..8];
    let payload = hex::encode(Sha256::digest(b""));
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical =
        format!("GET\n/\n\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{date}\n\n{names}\n{payload}");
    let scope = format!("{day}/{region}/s3/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let secret = format!("AWS4{}", credentials.secret_access_key);
    let key = [day, region, "s3", "aws4_request"].iter().fold(secret.into_bytes(), |key, part| hmac(&key, part));
    let signature = hex::encode(hmac(&key, &to_sign));
    let id = &credentials.access_key_id;
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
    [("x-amz-date", date), ("x-amz-content-sha256", payload), ("authorization", authorization)]
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn amz_date(now: Timestamp) -> String {
    let seconds = i64::try_from(now.seconds()).unwrap_or(0);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    time.format(format).expect("the format names only what every time has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signing_key_and_the_date_are_those_of_the_documented_examples() {
        // From "Deriving a signing key" in AWS's documentation of Signature Version 4.
        let secret = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
        let key = ["20150830", "us-east-1", "iam", "aws4_request"].iter().fold(secret, |key, part| hmac(&key, part));
        assert_eq!(hex::encode(key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
        assert_eq!(amz_date(Timestamp(1_440_938_160_000)), "20150830T123600Z");
    }
}
