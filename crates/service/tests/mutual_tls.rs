//! Mutual TLS between our own processes: who is served, who is believed, and which files are refused at a start.

use axum::{Router, http::StatusCode, routing::get};
use bulkhead_model::Timestamp;
use bulkhead_service::{
    Env,
    client::{Client, ClientError},
    env::Clock,
    http::{Options, Running, serve},
    tls::{Mutual, TlsConfig, Wire},
};
use http::Method;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

const PATIENCE: Duration = Duration::from_secs(10);
const HERE: &str = "127.0.0.1";

/// A CA, and the directory in which it leaves what it signs.
struct Authority {
    dir: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("ca.pem"), ca.pem()).expect("writable");
        Self { dir, ca }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An identity for an address.
    fn identity(&self, name: &str, address: &str) -> TlsConfig {
        self.sign(name, CertificateParams::new(vec![address.to_owned()]).expect("parameters"))
    }

    fn sign(&self, name: &str, params: CertificateParams) -> TlsConfig {
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.ca).expect("a certificate");
        let (certificate, key_file) = (self.file(&format!("{name}.crt.pem")), self.file(&format!("{name}.key.pem")));
        fs::write(&certificate, leaf.pem()).expect("writable");
        fs::write(&key_file, key.serialize_pem()).expect("writable");
        TlsConfig { certificate, key: key_file, ca: self.file("ca.pem") }
    }
}

fn here() -> SocketAddr {
    format!("{HERE}:0").parse().expect("an address")
}

fn client(files: &TlsConfig) -> Client {
    Client::new(None, Some(Mutual::open(files, &[], &Clock::system()).expect("an identity").client()))
}

async fn start(wire: &Wire) -> Running {
    let routes = Router::new().route("/nothing", get(|| async { StatusCode::NO_CONTENT }));
    serve(&Env::for_tests(1), here(), Options::new("test").over(wire), routes).await.expect("a free port")
}

fn wire(files: &TlsConfig) -> Wire {
    Wire::open(Some(files), &[], &Env::for_tests(1)).expect("an identity")
}

async fn ask(client: Client, server: &Running) -> Result<(), ClientError> {
    client.json(Method::GET, server.address, "/nothing", None::<&()>, PATIENCE).await
}

#[tokio::test]
async fn only_a_client_with_a_certificate_of_the_ca_is_served() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = start(&wire(&ours.identity("server", HERE))).await;
    assert_eq!(ask(client(&ours.identity("client", HERE)), &server).await, Ok(()));
    // Each trusts the server, which is what the server must not rely on.
    let foreign = theirs.identity("client", HERE);
    for stranger in [Client::new(None, None), stranger(&ours, None), stranger(&ours, Some(&foreign))] {
        assert!(ask(stranger, &server).await.is_err());
    }
    let mixed = TlsConfig { ca: ours.file("ca.pem"), ..foreign };
    let refused = refusal(&mixed, &[]);
    assert!(refused.contains("client.crt.pem would be refused as a client by who trusts"), "{refused}");
}

/// Trusts the CA, and shows nothing or something foreign.
fn stranger(authority: &Authority, shown: Option<&TlsConfig>) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.ca.der().to_vec())).expect("a CA");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(files) => {
            let certificate = CertificateDer::from_pem_file(&files.certificate).expect("a certificate");
            let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
            config.with_client_auth_cert(vec![certificate], key).expect("an identity")
        }
    };
    Client::new(None, Some(config))
}

#[tokio::test]
async fn a_server_of_another_ca_or_with_another_name_is_not_believed() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let caller = client(&ours.identity("client", HERE));
    for files in [theirs.identity("server", HERE), ours.identity("server", "127.0.0.2")] {
        let server = start(&wire(&files)).await;
        let error = ask(caller.clone(), &server).await.expect_err("not the one that was called");
        assert!(error.certainly_not_sent(), "{error}");
    }
}

fn refusal(files: &TlsConfig, listeners: &[&str]) -> String {
    let listeners: Vec<SocketAddr> = listeners.iter().map(|address| address.parse().expect("an address")).collect();
    Mutual::open(files, &listeners, &Clock::system()).expect_err("unusable").to_string()
}

#[test]
fn files_that_cannot_work_are_refused_at_the_start_with_file_and_reason() {
    let authority = Authority::new();
    let good = || authority.identity("node", HERE);
    let other = authority.identity("other", HERE);
    let with = |change: &dyn Fn(&mut TlsConfig)| {
        let mut files = good();
        change(&mut files);
        files
    };
    let empty = authority.file("empty.pem");
    fs::write(&empty, "").expect("writable");
    let expired = || {
        let mut params = CertificateParams::new(vec![HERE.to_owned()]).expect("parameters");
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
        authority.sign("expired", params)
    };
    let clients_only = || {
        let mut params = CertificateParams::new(vec![HERE.to_owned()]).expect("parameters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        authority.sign("clients", params)
    };
    let gone = PathBuf::from("/nowhere/x.pem");
    for (files, file, reason) in [
        (with(&|files| files.key = gone.clone()), "/nowhere/x.pem", "private key"),
        (with(&|files| files.key = files.certificate.clone()), "node.crt.pem", "private key"),
        (with(&|files| files.certificate = empty.clone()), "empty.pem", "no CERTIFICATE section"),
        (with(&|files| files.ca = empty.clone()), "empty.pem", "CA certificate"),
        (with(&|files| files.key = other.key.clone()), "other.key.pem", "is not the key of"),
        (expired(), "expired.crt.pem", "expired"),
        (clients_only(), "clients.crt.pem", "would be refused as a server"),
        (good(), "node.crt.pem", "does not name 10.0.0.1"),
    ] {
        let error = refusal(&files, &["127.0.0.1:1", "10.0.0.1:2"]);
        assert!(error.contains(file) && error.contains(reason), "{error}");
    }
    let listeners = ["127.0.0.1:1", "0.0.0.0:2"].map(|address| address.parse().expect("an address"));
    Mutual::open(&good(), &listeners, &Clock::system()).expect("nobody calls 0.0.0.0");
    Mutual::open(&clients_only(), &[], &Clock::system()).expect("it only calls");
    let past = Clock::manual(Timestamp(1_560_000_000_000));
    Mutual::open(&expired(), &[], &past).expect("it held then");
}

/// The certificate that a server shows.
async fn shown(server: &Running, files: &TlsConfig) -> Vec<u8> {
    let config = Mutual::open(files, &[], &Clock::system()).expect("an identity").client();
    let stream = TcpStream::connect(server.address).await.expect("it listens");
    let name = ServerName::from(server.address.ip());
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("one of us");
    stream.get_ref().1.peer_certificates().expect("a server shows one")[0].to_vec()
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_one_that_is_no_good_is_not() {
    let authority = Authority::new();
    let (files, caller) = (authority.identity("server", HERE), authority.identity("client", HERE));
    let mutual = Mutual::open(&files, &[here()], &Clock::system()).expect("an identity");
    let server = start(&Wire::Mutual(Box::new(mutual.clone()))).await;
    let first = shown(&server, &caller).await;
    assert!(matches!(mutual.renew(), Ok(false)));

    // The certificate has come, and its key not yet.
    let old_key = fs::read(&files.key).expect("written");
    authority.identity("server", HERE);
    let new_key = fs::read(&files.key).expect("written");
    fs::write(&files.key, old_key).expect("writable");
    let error = mutual.renew().expect_err("half of a renewal").to_string();
    assert!(error.contains("is not the key of"), "{error}");
    assert!(matches!(mutual.renew(), Ok(false)), "told once");
    assert_eq!(shown(&server, &caller).await, first);

    fs::write(&files.key, new_key).expect("writable");
    assert!(matches!(mutual.renew(), Ok(true)));
    let second = shown(&server, &caller).await;
    assert!(second != first && is_in(&second, &files.certificate));
}

fn is_in(der: &[u8], file: &Path) -> bool {
    CertificateDer::from_pem_file(file).is_ok_and(|certificate| certificate.as_ref() == der)
}
