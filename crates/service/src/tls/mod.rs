//! How processes of a fleet speak with each other: plainly, or over mutual TLS with certificates of the fleet's own CA.
//!
//! With mutual TLS every listener for our own processes demands a certificate of that CA, and every call presents one and verifies whom it
//! reached, by the address it called. There is no way to leave any of that out. The one provider is ring.

mod identity;
mod renewal;

use crate::{Env, env::Clock};
use identity::Files;
use renewal::Current;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The `[tls]` table: where a process finds its certificate, its key, and the CA of its peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, leaf first. It names every address at which the process is called.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Peers must present a certificate signed by this CA, as servers and as clients.
    pub ca: PathBuf,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} holds no usable {what}: {why}", file.display())]
    Pem { file: PathBuf, what: &'static str, why: String },
    #[error("{} is not the key of the certificate in {}: {why}", key.display(), certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf, why: rustls::Error },
    #[error("the certificate in {} would be refused as {role} by who trusts {}: {why}", certificate.display(), ca.display())]
    Refused { certificate: PathBuf, ca: PathBuf, role: &'static str, why: String },
    #[error(
        "the certificate in {} does not name {address}, where this process is called: its subject alternative names must have that address",
        certificate.display()
    )]
    Nameless { certificate: PathBuf, address: IpAddr },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    #[error("the CA in {} cannot verify clients: {why}", ca.display())]
    Verifier { ca: PathBuf, why: String },
}

/// Mutual TLS with the identity that a [`TlsConfig`] names. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mutual {
    config: TlsConfig,
    listeners: Arc<[SocketAddr]>,
    clock: Clock,
    current: Arc<Current>,
    server: Arc<ServerConfig>,
    client: ClientConfig,
}

impl Mutual {
    /// Reads the files and checks that they fit together: the key to the certificate, the certificate to the CA for what it is used for
    /// at the time of `clock`, and its names to `listeners`. Without listeners it is a client's.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn open(config: &TlsConfig, listeners: &[SocketAddr], clock: &Clock) -> Result<Self, TlsError> {
        let files = Files::read(config)?;
        let (key, roots) = (files.identity(config, listeners, clock)?, Arc::new(files.roots(config)?));
        let current = Arc::new(Current::new(key, files));
        let verifier = identity::client_verifier(config, &roots)?;
        let server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(current.clone());
        let client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_cert_resolver(current.clone());
        let (config, listeners, clock) = (config.clone(), listeners.into(), clock.clone());
        Ok(Self { config, listeners, clock, current, server: Arc::new(server), client })
    }

    /// Serves with this identity, and demands a certificate of the CA from every client.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Trusts only the CA, and presents this identity.
    pub fn client(&self) -> ClientConfig {
        self.client.clone()
    }

    /// Takes over a certificate and key that were renewed in their files; new connections use them. Answers whether there were any.
    /// The CA is read at the start only.
    ///
    /// # Errors
    /// When the files hold something that would be refused at a start. What was used before is used on; the same files are not tried twice.
    pub fn renew(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.config)?;
        if !self.current.is_news(&files) {
            return Ok(false);
        }
        let key = files.identity(&self.config, &self.listeners, &self.clock)?;
        self.current.replace(key);
        Ok(true)
    }
}

/// How a process speaks with the other processes of its fleet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub enum Wire {
    /// For one machine: whoever reaches a listener is heard.
    #[default]
    Plain,
    Mutual(Box<Mutual>),
}

impl Wire {
    /// Mutual TLS where `config` is given, renewed as long as the tasks of `env` run. `listeners` are where this process is called.
    ///
    /// # Errors
    /// As [`Mutual::open`].
    pub fn open(config: Option<&TlsConfig>, listeners: &[SocketAddr], env: &Env) -> Result<Self, TlsError> {
        let Some(config) = config else { return Ok(Self::Plain) };
        let mutual = Mutual::open(config, listeners, &env.clock)?;
        env.tasks.spawn("certificate", renewal::follow(mutual.clone(), env.clone()));
        Ok(Self::Mutual(Box::new(mutual)))
    }

    /// For listeners.
    pub fn server(&self) -> Option<Arc<ServerConfig>> {
        match self {
            Self::Plain => None,
            Self::Mutual(mutual) => Some(mutual.server()),
        }
    }

    /// For calls.
    pub fn client(&self) -> Option<ClientConfig> {
        match self {
            Self::Plain => None,
            Self::Mutual(mutual) => Some(mutual.client()),
        }
    }
}

/// Serves anybody: for the listener that takes outside clients.
///
/// # Errors
/// When a file is unusable or the parts do not fit together.
pub fn public_server(certificate: &Path, private_key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity::chain(certificate)?, identity::key(private_key)?)?;
    Ok(Arc::new(server))
}

/// Trusts nobody: for clients that speak plain HTTP only.
pub(crate) fn no_client() -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
