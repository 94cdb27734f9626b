//! Certificates of a fleet on this machine: a CA of its own, and one identity that all its processes share.
//!
//! The CA's key is never written: nothing can be added to such a fleet's certificates, by nobody.

use super::{DevError, layout::Layout};
use crate::{
    cli::CliError,
    limits::DEV_CERTIFICATE_DAYS,
    provision::local::files::{private_dir, replace},
};
use bulkhead_service::{env::Clock, tls::TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(86_400);

/// Where a fleet's certificates are, below its data directory.
pub fn files(data: &Path) -> TlsConfig {
    let file = |name: &str| data.join("tls").join(name);
    TlsConfig { certificate: file("fleet.crt"), key: file("fleet.key"), ca: file("ca.crt") }
}

/// The certificates of the fleet below `data`, if it has any.
pub fn of(data: &Path) -> Option<TlsConfig> {
    let files = files(data);
    // It is written last: with it, everything is there.
    files.ca.is_file().then_some(files)
}

/// Makes certificates for every address of the fleet, unless it has some.
///
/// # Errors
/// When the fleet was set up without, or a file cannot be written.
pub fn make(layout: &Layout, clock: &Clock) -> Result<(), CliError> {
    if of(&layout.data).is_some() {
        return Ok(());
    }
    if layout.port_file().is_file() {
        return Err(DevError::Plain { data: layout.data.clone() }.into());
    }
    let (identity, key, ca) = identity(layout, clock).map_err(DevError::Certificates)?;
    let files = files(&layout.data);
    private_dir(&layout.data.join("tls"))?;
    replace(&files.key, &key)?;
    replace(&files.certificate, &identity)?;
    replace(&files.ca, &ca)?;
    Ok(())
}

/// Certificate, key, and the CA's certificate, in PEM.
fn identity(layout: &Layout, clock: &Clock) -> Result<(String, String, String), rcgen::Error> {
    let mut ca = params(Vec::new(), "Bulkhead local CA", clock)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let names: BTreeSet<String> =
        layout.node_hosts.iter().chain([&layout.host]).map(ToString::to_string).chain(["127.0.0.1".into()]).collect();
    let mut leaf = params(names.into_iter().collect(), "Bulkhead local fleet", clock)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &ca)?;
    Ok((leaf.pem(), key.serialize_pem(), ca.pem()))
}

fn params(names: Vec<String>, what: &str, clock: &Clock) -> Result<CertificateParams, rcgen::Error> {
    let now = SystemTime::from(clock.machine());
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, what);
    // Whoever reads it may have a clock that is somewhat behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * DEV_CERTIFICATE_DAYS).into();
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_service::tls::Mutual;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn certificates_are_made_once_and_hold_for_every_address_of_the_fleet() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let hosts = ["10.1.1.1", "10.1.1.2", "10.1.1.3"].map(|host| host.parse().expect("an address"));
        let layout = Layout::resolve(dir.path(), Some(9500)).expect("a new directory").on(&hosts);
        let clock = Clock::system();
        make(&layout, &clock).expect("writable");
        let files = of(&layout.data).expect("made");
        for address in ["127.0.0.1:1", "10.1.1.1:1", "10.1.1.2:1", "10.1.1.3:1"] {
            Mutual::open(&files, &[address.parse().expect("an address")], &clock).expect(address);
        }
        let before = std::fs::read(&files.certificate).expect("written");
        make(&layout, &clock).expect("there");
        assert_eq!(std::fs::read(&files.certificate).expect("written"), before);
        assert_eq!(std::fs::metadata(&files.key).expect("written").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_fleet_that_was_set_up_without_gets_none() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("port"), "9500\n").expect("writable");
        let layout = Layout::resolve(dir.path(), None).expect("known");
        let error = make(&layout, &Clock::system()).expect_err("it is plain").to_string();
        assert!(error.contains("without mutual TLS") && of(dir.path()).is_none(), "{error}");
    }
}
