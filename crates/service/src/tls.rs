//! TLS from PEM files, mutual when a CA for clients is named. The one provider is ring.

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a process finds its certificate, its key, and the CA of its peers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, leaf first.
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
    #[error("the certificate and the key do not make a TLS identity: {0}")]
    Identity(#[from] rustls::Error),
    #[error("the CA cannot verify clients: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Serves with the identity in `config` and demands a certificate of `config.ca` from every client.
///
/// # Errors
/// When a file is unusable or the parts do not fit together.
pub fn mutual_server(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&config.ca)?), provider()).build()?;
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(&config.certificate)?, key(&config.key)?)?;
    Ok(Arc::new(server))
}

/// Serves anybody: for the listener that takes outside clients.
///
/// # Errors
/// When a file is unusable or the parts do not fit together.
pub fn public_server(certificate: &Path, private_key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain(certificate)?, key(private_key)?)?;
    Ok(Arc::new(server))
}

/// Trusts only `config.ca` and presents the identity in `config`.
///
/// # Errors
/// When a file is unusable or the parts do not fit together.
pub fn mutual_client(config: &TlsConfig) -> Result<ClientConfig, TlsError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(&config.ca)?)
        .with_client_auth_cert(chain(&config.certificate)?, key(&config.key)?)?)
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

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = |why: String| TlsError::Pem { file: file.to_owned(), what: "certificate", why };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|error| unusable(error.to_string()))?;
    if chain.is_empty() { Err(unusable("no CERTIFICATE section".into())) } else { Ok(chain) }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| TlsError::Pem {
        file: file.to_owned(),
        what: "private key",
        why: error.to_string(),
    })
}

fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(file)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}
