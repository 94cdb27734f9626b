//! What listens where a node should be and does not speak as one.

use super::any;
use bulkhead_service::Env;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// How it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Babble {
    /// Takes everything and says nothing.
    Nothing,
    NotHttp,
    /// A status line that is none.
    BadStatus,
    EndlessHeaders,
    EndlessInterimAnswers,
    /// Fewer bytes than it announced.
    TooShort,
    /// Ends the connection in the middle of the head.
    HalfAHead,
}

impl Babble {
    fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Nothing => ("", None),
            Self::NotHttp => ("SSH-2.0-OpenSSH_9.6\r\n", None),
            Self::BadStatus => ("HTTP/1.1 abc\r\n\r\n", None),
            Self::EndlessHeaders => ("HTTP/1.1 200 OK\r\n", Some("X-Again: and again\r\n")),
            Self::EndlessInterimAnswers => ("", Some("HTTP/1.1 103 Early Hints\r\n\r\n")),
            Self::TooShort => ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ntoo short", None),
            Self::HalfAHead => ("HTTP/1.1 200 OK\r\nContent-", None),
        }
    }
}

pub struct RawNode {
    pub address: SocketAddr,
    said: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    env: Env,
}

impl RawNode {
    pub async fn start(babble: Babble) -> Self {
        let listener = TcpListener::bind(any()).await.expect("a free port");
        let (address, env) = (listener.local_addr().expect("bound"), Env::for_tests(4));
        let (said, requests) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, asked, tasks) = (Arc::clone(&said), Arc::clone(&requests), env.tasks.clone());
        env.tasks.spawn("raw node", async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn("raw connection", talk(stream, babble, Arc::clone(&counted), Arc::clone(&asked)));
            }
        });
        Self { address, said, requests, env }
    }

    /// Bytes it got rid of.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    /// Requests that came, probes not counted.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for RawNode {
    fn drop(&mut self) {
        self.env.tasks.stopping().cancel();
    }
}

async fn talk(mut stream: TcpStream, babble: Babble, said: Arc<AtomicU64>, requests: Arc<AtomicU64>) {
    let (first, again) = babble.words();
    let mut request = vec![0; 16 << 10];
    while let Ok(read) = stream.read(&mut request).await {
        if read == 0 {
            return;
        }
        let is_probe = request.starts_with(b"HEAD / ");
        requests.fetch_add(u64::from(!is_probe), Ordering::Relaxed);
        if babble == Babble::Nothing {
            continue;
        }
        let mut words = first;
        while stream.write_all(words.as_bytes()).await.is_ok() {
            said.fetch_add(words.len() as u64, Ordering::Relaxed);
            let Some(more) = again else { return };
            words = more;
        }
        return;
    }
}
