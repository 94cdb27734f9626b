//! Certificates that are renewed while a process runs: what is presented is looked up for each connection.

use super::{Mutual, identity::Files};
use crate::{Env, limits::RENEWAL_POLL};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{fmt, sync::Arc};
use tokio::time::sleep;

/// What is presented now, and the files of it that were looked at last, whether they were usable or not.
pub(super) struct Current {
    key: ArcSwap<CertifiedKey>,
    seen: Mutex<Files>,
}

impl Current {
    pub fn new(key: CertifiedKey, files: Files) -> Self {
        Self { key: ArcSwap::from_pointee(key), seen: Mutex::new(files) }
    }

    /// Whether these files were not looked at yet. They are from now on.
    pub fn is_news(&self, files: &Files) -> bool {
        let mut seen = self.seen.lock();
        let is_news = !seen.are_of_one_identity(files);
        if is_news {
            *seen = files.clone();
        }
        is_news
    }

    pub fn replace(&self, key: CertifiedKey) {
        self.key.store(Arc::new(key));
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Looks for renewed files until the process stops.
pub(super) async fn follow(mutual: Mutual, env: Env) {
    let stopping = env.tasks.stopping();
    while stopping.run_until_cancelled(sleep(RENEWAL_POLL)).await.is_some() {
        let looked = mutual.clone();
        match env.tasks.blocking(move || looked.renew()).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!(file = %mutual.config.certificate.display(), "the certificate was renewed"),
            Ok(Err(error)) => {
                tracing::error!(%error, "the certificate that is in use stays: the one in its file is no good")
            }
            Err(error) => tracing::error!(%error, "the certificate could not be looked at"),
        }
    }
}
