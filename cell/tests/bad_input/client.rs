//! An S3 client that signs as told and sends exactly the bytes it is given, so that a test can be wrong on purpose.

use bulkhead_service::Env;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::{net::SocketAddr, time::SystemTime};
use time::{Duration, OffsetDateTime, macros::format_description};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What a client sends in `x-amz-content-sha256`.
pub enum Payload {
    /// The digest of the body.
    Digest,
    /// Whatever the test says.
    Stated(&'static str),
}

/// A request to be signed.
pub struct Ask {
    pub method: &'static str,
    /// Path and query, encoded.
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub payload: Payload,
}

impl Ask {
    pub fn new(method: &'static str, target: &str) -> Self {
        Self { method, target: target.to_owned(), headers: Vec::new(), body: Vec::new(), payload: Payload::Digest }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn payload(mut self, stated: &'static str) -> Self {
        self.payload = Payload::Stated(stated);
        self
    }
}

/// An answer, read to the end of its connection.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The text of the first element of this name in the body.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once('<').map(|(text, _)| text.to_owned())
    }

    /// Status and S3 error code.
    pub fn error(&self) -> (u16, String) {
        (self.status, self.element("Code").unwrap_or_default())
    }

    /// An answer out of its bytes.
    pub fn parse(bytes: &[u8]) -> Self {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let head_end = head_end.unwrap_or_else(|| panic!("no answer but {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        if head.starts_with("HTTP/1.1 100") {
            return Self::parse(&bytes[head_end + 4..]);
        }
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let body = bytes[head_end + 4..].to_vec();
        Self { status: status.expect("a status line"), headers, body }
    }
}

/// Whose key signs, and how.
#[derive(Clone)]
pub struct Client {
    pub env: Env,
    pub address: SocketAddr,
    pub access_key: String,
    pub secret: String,
    /// How wrong this client's clock is.
    pub skew: Duration,
}

impl Client {
    /// Signs and sends.
    pub async fn send(&self, ask: Ask) -> Answer {
        let head = self.signed_head(&ask, ask.body.len());
        self.raw(&[head.as_bytes(), &ask.body].concat()).await
    }

    /// Sends bytes and reads until the connection ends.
    pub async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("the node listens");
        // A node may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Answer::parse(&answer)
    }

    /// A connection that is kept.
    pub async fn connect(&self) -> Connection {
        Connection { client: self.clone(), stream: TcpStream::connect(self.address).await.expect("the node listens") }
    }

    /// Sends less than announced, and ends there.
    pub async fn raw_cut(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.address).await.expect("the node listens");
        stream.write_all(bytes).await.expect("the node reads");
        stream.shutdown().await.expect("half a connection can be closed");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        (!answer.is_empty()).then(|| Answer::parse(&answer))
    }

    fn date(&self) -> String {
        let now = OffsetDateTime::from(SystemTime::from(self.env.clock.wall())) + self.skew;
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        now.format(format).expect("a date of this century")
    }

    /// The head of a signed request that announces `content_length` bytes.
    pub fn signed_head(&self, ask: &Ask, content_length: usize) -> String {
        let date = self.date();
        let payload = match ask.payload {
            Payload::Digest => hex::encode(Sha256::digest(&ask.body)),
            Payload::Stated(stated) => stated.to_owned(),
        };
        let mut headers = ask.headers.clone();
        headers.push(("host", self.address.to_string()));
        headers.push(("x-amz-date", date.clone()));
        headers.push(("x-amz-content-sha256", payload.clone()));
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let (path, query) = ask.target.split_once('?').unwrap_or((&ask.target, ""));
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{}\n{path}\n{}\n{lines}\n{names}\n{payload}", ask.method, canonical_query(query));
        let signature = self.signature(&date, &canonical);
        let scope = scope(&date);
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "{} {} HTTP/1.1\r\n{lines}authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, \
             Signature={signature}\r\ncontent-length: {content_length}\r\nconnection: close\r\n\r\n",
            ask.method, ask.target, self.access_key
        )
    }

    /// A presigned target, valid for `seconds`.
    pub fn presign(&self, method: &str, path: &str, seconds: i64) -> String {
        let date = self.date();
        let credential = format!("{}/{}", self.access_key, scope(&date)).replace('/', "%2F");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={seconds}\
             &X-Amz-SignedHeaders=host"
        );
        let canonical = format!("{method}\n{path}\n{query}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD", self.address);
        format!("{path}?{query}&X-Amz-Signature={}", self.signature(&date, &canonical))
    }

    fn signature(&self, date: &str, canonical: &str) -> String {
        let scope = scope(date);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/') {
            key = hmac(&key, part);
        }
        hex::encode(hmac(&key, &text))
    }
}

/// One connection for several requests.
pub struct Connection {
    client: Client,
    stream: TcpStream,
}

impl Connection {
    /// Signs, sends and reads one answer, on the same connection as the one before.
    pub async fn send(&mut self, ask: Ask) -> Answer {
        let head = self.client.signed_head(&ask, ask.body.len()).replace("connection: close\r\n", "");
        let bodiless = ask.method == "HEAD";
        self.stream.write_all(&[head.as_bytes(), &ask.body].concat()).await.expect("the connection is open");
        let mut answer = Vec::new();
        while !is_whole(&answer, bodiless) {
            let read = self.stream.read_buf(&mut answer).await.expect("the connection is open");
            assert!(read > 0, "the connection was closed after {:?}", String::from_utf8_lossy(&answer));
        }
        Answer::parse(&answer)
    }
}

/// A head, and as much of a body as it announces.
fn is_whole(bytes: &[u8], bodiless: bool) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    bodiless || bytes.len() >= end + 4 + length.unwrap_or(0)
}

fn scope(date: &str) -> String {
    format!("{}/us-east-1/s3/aws4_request", &date[..8])
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
