//! The little of S3 that a control plane speaks, as a client among others: signed requests without a body.

use bulkhead_model::Timestamp;
use bulkhead_service::client::{Client, ClientError, full};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Method, Response, header};
use sha2::{Digest as _, Sha256};
use std::{net::SocketAddr, time::Duration};
use time::{OffsetDateTime, macros::format_description};

const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Who signs, and for where.
#[derive(Clone)]
pub struct Signer {
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Signer {
    /// Sends `method path?query`, both encoded already and the query sorted, and returns the answer whatever its status.
    ///
    /// # Errors
    /// When there is no answer within `patience`.
    pub async fn send(
        &self,
        client: &Client,
        to: SocketAddr,
        (method, path, query): (Method, &str, &str),
        now: Timestamp,
        patience: Duration,
    ) -> Result<Response<Bytes>, ClientError> {
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let signed = self.sign(&method, &to.to_string(), path, query, now);
        let mut request = client.request(method, to, &target, full(""))?;
        for (name, value) in signed {
            let mut value = HeaderValue::try_from(value).map_err(|error| ClientError::Unusable(error.to_string()))?;
            value.set_sensitive(name == header::AUTHORIZATION.as_str());
            request.headers_mut().insert(name, value);
        }
        client.call(request, patience, ANSWER_BYTES_MAX).await
    }

    /// Signature Version 4 of a request without a body.
    fn sign(
        &self,
        method: &Method,
        host: &str,
        path: &str,
        query: &str,
        now: Timestamp,
    ) -> [(&'static str, String); 3] {
        let date = amz_date(now);
        let day = &date[..8];
        let payload = hex::encode(Sha256::digest(b""));
        let names = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{date}\n\n{names}\n{payload}"
        );
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let secret = format!("AWS4{}", self.secret_access_key);
        let parts = [day, self.region.as_str(), "s3", "aws4_request"];
        let key = parts.iter().fold(secret.into_bytes(), |key, part| hmac(&key, part));
        let signature = hex::encode(hmac(&key, &to_sign));
        let id = &self.access_key_id;
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
        [("x-amz-date", date), ("x-amz-content-sha256", payload), ("authorization", authorization)]
    }
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
