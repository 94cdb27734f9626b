//! Mutual TLS, for calls of a fleet's own listeners where its processes speak it with each other. The router's S3 listener is not one.

use crate::{client::Line, limits::CONNECT_TIMEOUT};
use anyhow::Context as _;
use clap::Args;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde::Deserialize;
use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The `[tls]` table of a process' configuration: whom it trusts, and what it shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub ca: PathBuf,
}

/// The same on the command line: all of it or nothing.
#[derive(Debug, Clone, Args)]
pub struct TlsOptions {
    /// The CA of a fleet that speaks mutual TLS
    #[arg(long, value_name = "FILE", requires_all = ["tls_cert", "tls_key"])]
    tls_ca: Option<PathBuf>,
    /// The certificate to show to it
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_key"])]
    tls_cert: Option<PathBuf>,
    /// The certificate's key
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_cert"])]
    tls_key: Option<PathBuf>,
}

impl TlsOptions {
    /// The files, where they were named.
    pub fn files(&self) -> Option<TlsFiles> {
        let (ca, certificate, key) = (self.tls_ca.clone()?, self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { certificate, key, ca })
    }
}

/// How connections to a fleet's own listeners are made. Cheap to clone.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Trusts the CA of `files` and shows their certificate.
    ///
    /// # Errors
    /// Names the file that is of no use.
    pub fn open(files: &TlsFiles) -> anyhow::Result<Self> {
        let key = PrivateKeyDer::from_pem_file(&files.key);
        let key = key.with_context(|| format!("reading a private key from {}", files.key.display()))?;
        let config = trusting(&files.ca)?.with_client_auth_cert(certificates(&files.certificate)?, key);
        let config = config.with_context(|| format!("using the certificate in {}", files.certificate.display()))?;
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Trusts the CA in a file and shows nothing: whom no listener of a fleet may serve.
    ///
    /// # Errors
    /// When the file is of no use.
    pub fn nobody(ca: &Path) -> anyhow::Result<Self> {
        Ok(Self(TlsConnector::from(Arc::new(trusting(ca)?.with_no_client_auth()))))
    }

    /// Shakes hands on a connection to `to`, whose certificate must name that address, within [`CONNECT_TIMEOUT`].
    ///
    /// # Errors
    /// When either side does not accept the other's certificate. Nothing was sent.
    pub async fn over(&self, stream: TcpStream, to: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let shaken = timeout(CONNECT_TIMEOUT, self.0.connect(ServerName::from(to.ip()), stream)).await;
        shaken.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")))
    }
}

type Config = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn trusting(ca: &Path) -> anyhow::Result<Config> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).with_context(|| format!("using the CA in {}", ca.display()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots))
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.with_context(|| format!("reading certificates from {}", file.display()))?;
    anyhow::ensure!(!read.is_empty(), "{} holds no certificate", file.display());
    Ok(read)
}

/// Connects to a listener of a fleet's own, over TLS where it is spoken.
///
/// # Errors
/// When there is no connection: nothing was sent.
pub async fn connect(to: SocketAddr, tls: Option<&Tls>) -> io::Result<Box<dyn Line>> {
    let stream = TcpStream::connect(to).await?;
    match tls {
        None => Ok(Box::new(stream)),
        Some(tls) => Ok(Box::new(tls.over(stream, to).await?)),
    }
}
