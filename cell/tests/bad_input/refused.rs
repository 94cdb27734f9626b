//! A request that is not let in: refused before its body is read, and its connection goes on where that is possible.
//!
//! A deadline that has passed refuses a request without any load.

use crate::client::{Answer, Ask, Client};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Nobody waits any more for a request with this header.
const OVER: (&str, &str) = ("x-bulkhead-deadline-ms", "0");
const LARGE: usize = 32 << 20;

fn put(body: &[u8]) -> Ask {
    Ask::new("PUT", "/bucket/refused").header(OVER.0, OVER.1).body(body)
}

/// The head of a request after which the connection goes on.
fn head(client: &Client, ask: &Ask, length: usize) -> String {
    client.signed_head(ask, length).replace("connection: close\r\n", "")
}

/// One answer of a connection that stays open.
async fn read_one(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.expect("the connection is whole"), 0, "it was closed");
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= length.expect("the answer has a length") {
            return Answer::parse(&bytes);
        }
    }
}

fn slow_down(answer: &Answer) {
    super::expect(answer, 503, "SlowDown");
    assert!(answer.header("retry-after").is_some());
    assert!(
        answer.header("x-bulkhead-not-executed").is_none(),
        "the router would try it elsewhere, at its neighbours' cost"
    );
}

pub async fn before_the_body_is_read(client: &Client) {
    // The body of a small one is thrown away, and the next request is understood.
    let mut stream = TcpStream::connect(client.address).await.expect("the node listens");
    let small = put(&[7; 4_096]);
    for _ in 0..3 {
        let request = [head(client, &small, 4_096).as_bytes(), &small.body].concat();
        stream.write_all(&request).await.expect("open");
        let answer = read_one(&mut stream).await;
        slow_down(&answer);
        assert_eq!(answer.header("connection"), None);
    }
    stream.write_all(head(client, &Ask::new("GET", "/bucket/kept"), 0).as_bytes()).await.expect("open");
    let answer = read_one(&mut stream).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"kept"[..]));

    // One that waits to be asked for its body is refused without being asked, and the connection ends: nobody could say where the
    // next request begins.
    let expecting = put(b"body").header("expect", "100-continue");
    let answer = client.raw(client.signed_head(&expecting, 4).as_bytes()).await;
    slow_down(&answer);
    assert_eq!(answer.header("connection"), Some("close"));

    // Of a large one nothing is waited for.
    let mut large = put(b"");
    large.payload = crate::client::Payload::Stated("UNSIGNED-PAYLOAD");
    let answer = client.raw(head(client, &large, LARGE).as_bytes()).await;
    slow_down(&answer);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(client.send(Ask::new("HEAD", "/bucket/refused")).await.status, 404);
}
