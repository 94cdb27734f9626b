//! One signed request through the router: the proof that a client's request works now.

use super::env_file::Credentials;
use crate::s3::Signer;
use bulkhead_model::Timestamp;
use bulkhead_service::client::Client;
use http::{Method, StatusCode};
use std::{net::SocketAddr, time::Duration};

const PATIENCE: Duration = Duration::from_secs(5);

/// Lists the account's buckets. Anything but a `200` is why not.
pub async fn list_buckets(
    router: SocketAddr,
    region: &str,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<(), String> {
    // Without a token: the router is a stranger's endpoint to this request, as it is to any client.
    let client = Client::new(None, None);
    let Credentials { access_key_id, secret_access_key } = credentials.clone();
    let signer = Signer { region: region.to_owned(), access_key_id, secret_access_key };
    let sent = signer.send(&client, router, (Method::GET, "/", ""), now, PATIENCE).await;
    let answer = sent.map_err(|error| error.to_string())?;
    if answer.status() == StatusCode::OK {
        return Ok(());
    }
    let body = String::from_utf8_lossy(answer.body());
    Err(format!("{}: {}", answer.status(), body.chars().take(300).collect::<String>()))
}
