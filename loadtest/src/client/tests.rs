//! The client against a server that does exactly what a test tells it to.

use super::*;
use crate::workload::Content;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What the server does with the next request.
enum Reply {
    Answer(String),
    /// Closes the connection without an answer.
    Hangup,
    /// Answers and closes the connection, without saying so.
    AnswerAndHangup(String),
    /// Never answers.
    Silence,
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Serves `replies` in turn, over as many connections as the client opens. Answers what it received at the end.
struct Server {
    session: Session,
    received: JoinSet<Vec<String>>,
}

async fn server(replies: Vec<Reply>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let credentials = Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "secret".into(),
        region: "us-east-1".into(),
    };
    let target = Arc::new(Target::new(&endpoint, credentials).expect("an address and a port"));
    let mut received = JoinSet::new();
    received.spawn(serve(listener, replies.into()));
    Server { session: Session::new(target, PayloadHash::Signed).with_timeout(Duration::from_millis(500)), received }
}

async fn serve(listener: TcpListener, mut replies: VecDeque<Reply>) -> Vec<String> {
    let mut requests = Vec::new();
    while !replies.is_empty() {
        let (mut stream, _) = listener.accept().await.expect("the client connects");
        while let Some(request) = read_request(&mut stream).await {
            requests.push(request);
            match replies.pop_front() {
                Some(Reply::Answer(text)) => stream.write_all(text.as_bytes()).await.expect("the client reads"),
                Some(Reply::AnswerAndHangup(text)) => {
                    stream.write_all(text.as_bytes()).await.expect("the client reads");
                    break;
                }
                Some(Reply::Hangup) | None => break,
                Some(Reply::Silence) => {
                    let mut rest = [0];
                    let _ = stream.read(&mut rest).await;
                    break;
                }
            }
            if replies.is_empty() {
                break;
            }
        }
    }
    requests
}

/// Head and body of the next request; `None` when the client has closed.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().expect("a number"));
    while bytes.len() < head + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

impl Server {
    async fn received(mut self) -> Vec<String> {
        drop(self.session);
        self.received.join_next().await.expect("it was spawned").expect("it does not panic")
    }
}

fn put(condition: Condition) -> Put<'static> {
    Put { bucket: "b", key: "a key", version: 7, content: Content::of("a key", 7, 1000), condition }
}

#[tokio::test]
async fn a_put_sends_its_length_its_version_and_its_condition() {
    let mut server = server(vec![Reply::Answer(answer("200 OK", "ETag: \"e\"\r\n", ""))]).await;
    let stored = server.session.put(&put(Condition::Absent)).await.required("put").expect("answered 200");
    assert_eq!(stored.etag, "\"e\"");
    let request = server.received().await.remove(0);
    for part in
        ["PUT /b/a%20key HTTP/1.1\r\n", "content-length: 1000\r\n", "x-amz-meta-version: 7\r\n", "if-none-match: *\r\n"]
    {
        assert!(request.contains(part), "{part:?} is not in {request}");
    }
    assert!(request.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-meta-version,"), "{request}");
}

#[tokio::test]
async fn an_error_document_is_a_refusal_with_its_code() {
    let body = "<?xml version=\"1.0\"?><Error><Code>PreconditionFailed</Code><Message>no</Message><RequestId>x</RequestId></Error>";
    let mut server = server(vec![Reply::Answer(answer("412 Precondition Failed", "", body))]).await;
    match server.session.put(&put(Condition::Absent)).await {
        Outcome::Refused(refusal) => {
            assert_eq!((refusal.status, refusal.code.as_str(), refusal.certain()), (412, "PreconditionFailed", true));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lost_connection_leaves_the_outcome_unknown() {
    let mut server = server(vec![Reply::Hangup]).await;
    let outcome = server.session.put(&put(Condition::Always)).await;
    assert!(matches!(outcome, Outcome::Unknown(Lost::Disconnected(_))), "{outcome:?}");
    assert_eq!(server.received().await.len(), 1, "the request must not be repeated");
}

#[tokio::test]
async fn silence_leaves_the_outcome_unknown() {
    let mut server = server(vec![Reply::Silence]).await;
    let outcome = server.session.put(&put(Condition::Always)).await;
    assert!(matches!(outcome, Outcome::Unknown(Lost::TimedOut)), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_was_sent_nothing() {
    let mut server = server(Vec::new()).await;
    server.received.join_next().await;
    let outcome = server.session.put(&put(Condition::Always)).await;
    assert!(matches!(outcome, Outcome::Unsent(_)), "{outcome:?}");
}

#[tokio::test]
async fn after_silence_the_next_request_goes_over_a_new_connection() {
    let ok = answer("200 OK", "ETag: \"second\"\r\n", "");
    let mut server = server(vec![Reply::Silence, Reply::Answer(ok)]).await;
    assert!(matches!(server.session.put(&put(Condition::Always)).await, Outcome::Unknown(_)));
    let stored = server.session.put(&put(Condition::Always)).await.required("put").expect("answered 200");
    assert_eq!(stored.etag, "\"second\"");
}

#[tokio::test]
async fn a_download_is_checked_to_the_last_byte() {
    let content = Content::of("k", 1, 8);
    let mut bytes = [0; 8];
    content.fill(0, &mut bytes);
    let text: String = bytes.iter().map(|byte| char::from(byte % 26 + b'a')).collect();
    let headers = "ETag: \"e\"\r\nx-amz-meta-version: 1\r\n";
    let mut server = server(vec![Reply::Answer(answer("200 OK", headers, &text))]).await;
    let download = server.session.get("b", "k").await.required("get").expect("answered 200");
    assert_eq!((download.version, download.length), (Some(1), 8));
    let checked = download.verify(content, 0).await.required("reading").expect("the body is whole");
    assert!(checked.is_err(), "letters are not the content");
}

#[tokio::test]
async fn a_body_that_ends_early_is_unknown_and_not_wrong() {
    let head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 100\r\n\r\n".to_owned();
    let mut server = server(vec![Reply::AnswerAndHangup(head)]).await;
    let download = server.session.get("b", "k").await.required("get").expect("the head is whole");
    let outcome = download.verify(Content::of("k", 1, 100), 0).await;
    assert!(matches!(outcome, Outcome::Unknown(Lost::Disconnected(_))), "{outcome:?}");
}
