//! A fleet whose processes speak mutual TLS: tenants notice nothing, and strangers are served by nobody.

use crate::support::{
    fleet::Fleet,
    suite::{Case, Verdict},
};
use anyhow::{Context, ensure};
use bulkhead_loadtest::{
    certify::Subject,
    client::{Condition, PayloadHash, Put, Session},
    faults::{ListedProcess, Listener, Role},
    scenario::first_bucket,
    tls::{Tls, TlsFiles},
    workload::Content,
};
use futures::FutureExt;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;

pub const CASES: &[Case] =
    &[("between_processes_only_certificates_of_the_fleets_ca_are_heard", |fleet| strangers(fleet).boxed_local())];

/// A control plane's two listeners, a router's one, and three of each of six nodes.
const LISTENERS: usize = 2 + 1 + 3 * 6;

async fn strangers(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let (site, scratch) = (&fleet.site, fleet.scratch());
    let (target, cell) = site.new_account("mutual").await?;
    first_bucket(&target, "mutual").await?;
    let mut session = Session::new(target, PayloadHash::Signed);
    // One in the index alone, and one with chunks on three nodes.
    for (key, bytes) in [("small", 1_000), ("large", 1_000_000)] {
        let content = Content::of(key, 1, bytes);
        let put = Put { bucket: "mutual", key, version: 1, content, condition: Condition::Always };
        session.put(&put).await.required("a write")?;
        session.get("mutual", key).await.required("a read")?.verify(content, 0).await.required("a read")??;
    }
    // The nodes' admin API, with its token: who is called names the cell.
    Subject::local(&site.cluster, &cell).await.context("the admin API")?;

    let processes = site.cluster.list().await?;
    let mut refused = 0;
    for process in &processes {
        for name in process.addresses.keys() {
            refused += refuses_strangers(process, name, scratch).await?;
        }
    }
    ensure!(refused == LISTENERS, "{refused} listeners of {LISTENERS} were tried");
    let control_plane = processes.iter().find(|process| process.role == Role::ControlPlane);
    let api = control_plane.context("there is a control plane")?.address("api")?;
    let plain = site.cluster.command(&["status", "--endpoint", &format!("http://{api}")]).await;
    ensure!(plain.is_err(), "a plain command was answered: {plain:?}");
    site.cluster.command(&["status", "--endpoint", &format!("https://{api}")]).await?;
    Ok(Verdict::Passed)
}

/// Answers how many listeners were tried: one, or none when it is for tenants.
async fn refuses_strangers(process: &ListedProcess, name: &str, scratch: &Path) -> anyhow::Result<usize> {
    let ours = process.listener(name)?;
    let what = format!("{} of {}", name, process.name);
    ensure!(is_heard(&ours).await, "{what} does not serve the fleet itself");
    if ours.tls.is_none() {
        ensure!(process.role == Role::Router && name == "s3", "{what} is plain");
        return Ok(0);
    }
    let files = process.tls_files()?.context("it has an identity")?;
    let foreign = Tls::open(&foreign(scratch, &files)?)?;
    for (who, tls) in [("plain", None), ("nameless", Some(Tls::nobody(&files.ca)?)), ("foreign", Some(foreign))] {
        let stranger = Listener { address: ours.address, tls };
        ensure!(!is_heard(&stranger).await, "{what} serves a {who} client");
    }
    Ok(1)
}

/// Whether a listener answers in HTTP, whatever it says.
async fn is_heard(listener: &Listener) -> bool {
    listener.get("/livez").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 "))
}

/// Trusts the fleet, and has a certificate like the fleet's from a CA of its own.
fn foreign(scratch: &Path, fleet: &TlsFiles) -> anyhow::Result<TlsFiles> {
    let (certificate, key) = (scratch.join("foreign.crt"), scratch.join("foreign.key"));
    if !key.exists() {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let own = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&own, &ca)?;
        std::fs::write(&certificate, leaf.pem())?;
        std::fs::write(&key, own.serialize_pem())?;
    }
    Ok(TlsFiles { certificate, key, ca: fleet.ca.clone() })
}
