//! Which control plane to talk to, and how: options, environment, then the data directory of this machine's fleet.

use super::CliError;
use crate::{
    dev::certificates,
    limits::{API_ANSWER_BYTES_MAX, API_PATIENCE, DEFAULT_API_PORT},
    provision::local::{plan::loopback, process::Processes, run_file::Role},
};
use bulkhead_model::api::{control_plane::IDEMPOTENCY_KEY, error::ApiError};
use bulkhead_service::{
    client::{Client, ClientError, full},
    config,
    env::{Clock, Rng},
    tls::{Mutual, TlsConfig},
};
use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, header};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The data directory of this machine's fleet.
    #[arg(long, global = true, env = "BULKHEAD_DATA", default_value = ".bulkhead")]
    pub data: PathBuf,
    /// The control plane's API, such as http://127.0.0.1:9002; by default that of the data directory.
    #[arg(long, global = true, env = "BULKHEAD_ENDPOINT")]
    pub endpoint: Option<String>,
    /// The file with the admin token; by default `<data>/admin.token`.
    #[arg(long, global = true, env = "BULKHEAD_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// The CA of a fleet that speaks mutual TLS; by default, with certificate and key, those in `<data>/tls`.
    #[arg(long, global = true, env = "BULKHEAD_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// The certificate to show to it.
    #[arg(long, global = true, env = "BULKHEAD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key.
    #[arg(long, global = true, env = "BULKHEAD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Under it a change is made once, however often the command is repeated; by default a new one each time.
    #[arg(long, global = true, env = "BULKHEAD_IDEMPOTENCY_KEY")]
    pub idempotency_key: Option<String>,
}

impl Settings {
    /// The processes of this machine.
    pub fn processes(&self) -> Processes {
        Processes::new(self.data.join("run"))
    }

    /// A connection to the control plane. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no token, or the endpoint is not an address.
    pub fn connect(&self) -> Result<Connection, CliError> {
        let token_file = self.token_file.clone().unwrap_or_else(|| self.data.join("admin.token"));
        let token = config::read_token(&token_file).map_err(CliError::NoToken)?;
        let address = match &self.endpoint {
            Some(given) => address(given).ok_or_else(|| CliError::Endpoint { given: given.clone() })?,
            None => self.local_control_plane()?.unwrap_or(loopback(DEFAULT_API_PORT)),
        };
        let files = self.tls()?;
        let tls = files.map(|files| Mutual::open(&files, &[], &Clock::system())).transpose()?;
        let client = Client::new(Some(&token), tls.as_ref().map(Mutual::client));
        let connection = Connection::new(client, address, &token_file);
        Ok(Connection { idempotency_key: self.idempotency_key.clone(), ..connection })
    }

    /// The files to speak mutual TLS with: those that were named, else those of the data directory; none where it is not spoken.
    fn tls(&self) -> Result<Option<TlsConfig>, CliError> {
        let named = match (&self.tls_ca, &self.tls_cert, &self.tls_key) {
            (None, None, None) => None,
            (Some(ca), Some(certificate), Some(key)) => {
                Some(TlsConfig { ca: ca.clone(), certificate: certificate.clone(), key: key.clone() })
            }
            (None, _, _) => return Err(CliError::TlsIncomplete { missing: "--tls-ca" }),
            (_, None, _) => return Err(CliError::TlsIncomplete { missing: "--tls-cert" }),
            (_, _, None) => return Err(CliError::TlsIncomplete { missing: "--tls-key" }),
        };
        let given = self.endpoint.clone().unwrap_or_default();
        if given.starts_with("http://") {
            return if named.is_some() { Err(CliError::TlsUnused { given }) } else { Ok(None) };
        }
        let files = named.or_else(|| certificates::of(&self.data));
        if files.is_none() && given.starts_with("https://") {
            return Err(CliError::TlsMissing { given });
        }
        Ok(files)
    }

    fn local_control_plane(&self) -> Result<Option<SocketAddr>, CliError> {
        let runs = self.processes().list()?;
        let control_plane = runs.into_iter().find(|run| run.role == Role::ControlPlane);
        Ok(control_plane.and_then(|run| run.addresses.get("api").copied()))
    }
}

fn address(given: &str) -> Option<SocketAddr> {
    let rest = given.strip_prefix("http://").or_else(|| given.strip_prefix("https://"));
    rest.unwrap_or(given).trim_end_matches('/').parse().ok()
}

/// The control plane's API as the CLI calls it.
#[derive(Debug, Clone)]
pub struct Connection {
    client: Client,
    address: SocketAddr,
    token_file: PathBuf,
    idempotency_key: Option<String>,
}

impl Connection {
    /// A connection to a known address.
    pub fn new(client: Client, address: SocketAddr, token_file: &Path) -> Self {
        Self { client, address, token_file: token_file.to_owned(), idempotency_key: None }
    }

    /// # Errors
    /// [`CliError`] with the API's own reason; so for all calls below.
    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, CliError> {
        self.call(Method::GET, path, None::<&()>).await
    }

    pub async fn post<Q: Serialize, A: DeserializeOwned>(&self, path: &str, body: &Q) -> Result<A, CliError> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put<Q: Serialize, A: DeserializeOwned>(&self, path: &str, body: &Q) -> Result<A, CliError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<(), CliError> {
        self.call(Method::DELETE, path, None::<&()>).await
    }

    /// The answer as it came, byte for byte.
    pub async fn text(&self, path: &str) -> Result<String, CliError> {
        let answered = self.send(Method::GET, path, Bytes::new()).await;
        let answer = answered.map_err(|error| CliError::from_call(self.address, &self.token_file, error))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends a document as it is.
    pub async fn put_document<A: DeserializeOwned>(&self, path: &str, document: String) -> Result<A, CliError> {
        let answered = self.send(Method::PUT, path, document.into()).await.and_then(|answer| read(&answer));
        answered.map_err(|error| CliError::from_call(self.address, &self.token_file, error))
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Q>,
    ) -> Result<A, CliError> {
        let body = body.map(|body| serde_json::to_vec(body).expect("API types have string keys and plain values"));
        let answered = self.send(method, path, body.unwrap_or_default().into()).await.and_then(|answer| read(&answer));
        answered.map_err(|error| CliError::from_call(self.address, &self.token_file, error))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let is_write = method != Method::GET;
        let has_body = !body.is_empty();
        let mut request = self.client.request(method, self.address, path, full(body))?;
        let headers = request.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if is_write {
            let key = self.idempotency_key.clone().unwrap_or_else(|| format!("{:032x}", Rng::from_os().u128()));
            let key = HeaderValue::try_from(key).map_err(|error| ClientError::Unusable(error.to_string()))?;
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let answer = self.client.call(request, API_PATIENCE, API_ANSWER_BYTES_MAX).await?;
        let (status, body) = (answer.status(), answer.into_body());
        if status.is_success() {
            return Ok(body);
        }
        let error = serde_json::from_slice(&body).unwrap_or_else(|_| ApiError {
            code: "unknown".into(),
            message: format!("{status}: {}", String::from_utf8_lossy(&body[..body.len().min(200)])),
        });
        Err(ClientError::Refused { status, error })
    }
}

fn read<A: DeserializeOwned>(body: &[u8]) -> Result<A, ClientError> {
    let text = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(text).map_err(|error| ClientError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_with_or_without_a_scheme() {
        let expected = Some(loopback(9002));
        for given in ["http://127.0.0.1:9002", "http://127.0.0.1:9002/", "127.0.0.1:9002", "https://127.0.0.1:9002"] {
            assert_eq!(address(given), expected, "{given}");
        }
        assert_eq!(address("https://example.com"), None);
    }

    #[test]
    fn mutual_tls_is_spoken_when_it_was_asked_for_or_the_data_directory_has_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().to_owned();
        let settings = |endpoint: &str, files: [Option<&str>; 3]| {
            let [tls_ca, tls_cert, tls_key] = files.map(|file| file.map(PathBuf::from));
            let endpoint = (!endpoint.is_empty()).then(|| endpoint.to_owned());
            let data = data.clone();
            Settings { data, endpoint, token_file: None, tls_ca, tls_cert, tls_key, idempotency_key: None }
        };
        let all = [Some("ca"), Some("cert"), Some("key")];
        let said = |endpoint, files| {
            let found = settings(endpoint, files).tls();
            found.map(|tls| tls.map(|tls| tls.ca)).map_err(|error| error.to_string())
        };
        assert_eq!(said("", [None; 3]), Ok(None));
        assert_eq!(said("", all), Ok(Some("ca".into())));
        for (endpoint, files, reason) in [
            ("https://127.0.0.1:1", [None; 3], "needs a certificate"),
            ("http://127.0.0.1:1", all, "does not speak TLS"),
            ("", [None, Some("cert"), Some("key")], "--tls-ca is missing"),
            ("", [Some("ca"), None, Some("key")], "--tls-cert is missing"),
            ("", [Some("ca"), Some("cert"), None], "--tls-key is missing"),
        ] {
            let error = said(endpoint, files).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
        let own = certificates::files(&data);
        std::fs::create_dir_all(own.ca.parent().expect("a directory")).expect("writable");
        std::fs::write(&own.ca, "").expect("writable");
        assert_eq!(said("", [None; 3]), Ok(Some(own.ca.clone())));
        assert_eq!(said("http://127.0.0.1:1", [None; 3]), Ok(None), "another fleet, and a plain one");
    }
}
