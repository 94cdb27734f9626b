//! The files of an identity: read, parsed, and checked as those who will be shown it check it.

use super::{TlsConfig, TlsError, provider};
use crate::env::Clock;
use rustls::{
    RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::{ParsedCertificate, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

/// What the files of a [`TlsConfig`] hold.
#[derive(Clone)]
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
}

impl Files {
    pub fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(&config.certificate, CERTIFICATE)?,
            key: read(&config.key, KEY)?,
            ca: read(&config.ca, CA)?,
        })
    }

    /// Whether certificate and key are the same. The CA may be another: it is read at the start only.
    pub fn are_of_one_identity(&self, other: &Self) -> bool {
        self.certificate == other.certificate && self.key == other.key
    }

    /// The certificate and its key, when nobody will refuse them who trusts the CA and calls one of `listeners`.
    pub fn identity(
        &self,
        config: &TlsConfig,
        listeners: &[SocketAddr],
        clock: &Clock,
    ) -> Result<CertifiedKey, TlsError> {
        let chain = parse_chain(&self.certificate, &config.certificate, CERTIFICATE)?;
        let key = parse_key(&self.key, &config.key)?;
        let (certificate, key_file) = (config.certificate.clone(), config.key.clone());
        let mismatch = |why| TlsError::Mismatch { certificate, key: key_file, why };
        let identity = CertifiedKey::from_der(chain, key, &provider()).map_err(mismatch)?;
        check(config, &identity.cert, &Arc::new(self.roots(config)?), listeners, clock)?;
        Ok(identity)
    }

    /// Whom this process trusts.
    pub fn roots(&self, config: &TlsConfig) -> Result<RootCertStore, TlsError> {
        let unusable = |why: rustls::Error| TlsError::Pem { file: config.ca.clone(), what: CA, why: why.to_string() };
        let mut roots = RootCertStore::empty();
        for certificate in parse_chain(&self.ca, &config.ca, CA)? {
            roots.add(certificate).map_err(unusable)?;
        }
        Ok(roots)
    }
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";
const CA: &str = "CA certificate";

/// Verifies clients by the CA.
pub(super) fn client_verifier(
    config: &TlsConfig,
    roots: &Arc<RootCertStore>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let built = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider()).build();
    built.map_err(|why| TlsError::Verifier { ca: config.ca.clone(), why: why.to_string() })
}

fn check(
    config: &TlsConfig,
    chain: &[CertificateDer<'static>],
    roots: &Arc<RootCertStore>,
    listeners: &[SocketAddr],
    clock: &Clock,
) -> Result<(), TlsError> {
    let refused = |role, why: rustls::Error| {
        let (certificate, ca) = (config.certificate.clone(), config.ca.clone());
        TlsError::Refused { certificate, ca, role, why: why.to_string() }
    };
    let [leaf, intermediates @ ..] = chain else {
        return Err(unusable(&config.certificate, CERTIFICATE, "it is empty"));
    };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(clock.machine().seconds()));
    let verified = client_verifier(config, roots)?.verify_client_cert(leaf, intermediates, now);
    verified.map_err(|why| refused("a client", why))?;
    if listeners.is_empty() {
        return Ok(());
    }
    let parsed = ParsedCertificate::try_from(leaf).map_err(|why| refused("a server", why))?;
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
        .map_err(|why| refused("a server", why))?;
    for address in listeners.iter().map(SocketAddr::ip).filter(|address| !address.is_unspecified()) {
        let named = verify_server_name(&parsed, &ServerName::from(address));
        named.map_err(|_| TlsError::Nameless { certificate: config.certificate.clone(), address })?;
    }
    Ok(())
}

/// The certificates in a file, at least one.
pub(super) fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    parse_chain(&read(file, CERTIFICATE)?, file, CERTIFICATE)
}

/// The private key in a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    parse_key(&read(file, KEY)?, file)
}

fn parse_chain(pem: &[u8], file: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| unusable(file, what, error))?;
    if chain.is_empty() { Err(unusable(file, what, "no CERTIFICATE section")) } else { Ok(chain) }
}

fn parse_key(pem: &[u8], file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| unusable(file, KEY, error))
}

fn read(file: &Path, what: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| unusable(file, what, error))
}

fn unusable(file: &Path, what: &'static str, why: impl ToString) -> TlsError {
    TlsError::Pem { file: file.to_owned(), what, why: why.to_string() }
}
