//! The accept loop, seen from raw sockets.

use axum::{
    Router,
    body::Body,
    extract::Extension,
    http::{Request, StatusCode},
    routing::{get, put},
};
use bulkhead_service::{
    Env,
    http::{Options, Peer, Running, serve},
};
use http_body_util::BodyExt as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Notify,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn options() -> Options {
    Options::new("test")
}

async fn store(request: Request<Body>) -> (StatusCode, String) {
    match request.into_body().collect().await {
        Ok(body) => (StatusCode::OK, format!("stored {}", body.to_bytes().len())),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn routes() -> Router {
    Router::new()
        .route("/store", put(store))
        .route("/refuse", put(|| async { StatusCode::FORBIDDEN }))
        .route("/peer", get(|Extension(peer): Extension<Peer>| async move { peer.0.to_string() }))
}

async fn start(options: Options, routes: Router) -> Running {
    let any = "127.0.0.1:0".parse().expect("an address");
    serve(&Env::for_tests(1), any, options, routes).await.expect("a free port")
}

/// Sends `bytes` and reads until `until` has been answered, or the server closes.
async fn talk(stream: &mut TcpStream, bytes: &str, until: &str) -> String {
    stream.write_all(bytes.as_bytes()).await.expect("connected");
    read_until(stream, until).await
}

async fn read_until(stream: &mut TcpStream, until: &str) -> String {
    let mut answer = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&answer).contains(until) {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(n) => answer.extend_from_slice(&buffer[..n]),
            }
        }
    };
    timeout(PATIENCE, read).await.expect("an answer in time");
    String::from_utf8(answer).expect("text")
}

async fn connect(server: &Running) -> TcpStream {
    TcpStream::connect(server.address).await.expect("a connection")
}

/// Nothing comes any more and the connection is closed.
async fn closes(stream: &mut TcpStream) -> bool {
    matches!(timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("an end in time"), Ok(0) | Err(_))
}

#[tokio::test]
async fn requests_that_two_parsers_read_differently_are_refused_and_end_the_connection() {
    let server = start(options(), routes()).await;
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: -5",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "X-Folded: a\r\n b\r\nContent-Length: 5",
        "Bad Name: a\r\nContent-Length: 5",
    ] {
        let mut stream = connect(&server).await;
        let request = format!("PUT /store HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n0\r\n\r\n");
        let answer = talk(&mut stream, &request, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        assert!(closes(&mut stream).await, "{head:?}");
    }
}

#[tokio::test]
async fn a_chunk_size_that_is_no_number_is_refused() {
    let server = start(options(), routes()).await;
    for chunk in ["zz\r\nabc\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "3\r\nabcd\r\n0\r\n\r\n"] {
        let mut stream = connect(&server).await;
        let request = format!("PUT /store HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        let answer = talk(&mut stream, &request, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunk:?}: {answer}");
        assert!(closes(&mut stream).await, "{chunk:?}");
    }
}

#[tokio::test]
async fn a_body_is_asked_for_only_when_the_handler_reads_it() {
    let server = start(options(), routes()).await;
    let mut stream = connect(&server).await;
    let head = "PUT /store HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(talk(&mut stream, head, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    let answer = talk(&mut stream, "abc", "stored").await;
    assert!(answer.contains("stored 3") && !answer.contains("connection: close"), "{answer}");
    let again = talk(&mut stream, "GET /peer HTTP/1.1\r\nHost: h\r\n\r\n", "127.0.0.1").await;
    assert!(again.starts_with("HTTP/1.1 200"), "the connection stays usable: {again}");
}

#[tokio::test]
async fn an_answer_that_comes_instead_of_100_continue_ends_the_connection() {
    let server = start(options(), routes()).await;
    for (path, length) in [("/refuse", 3), ("/refuse", 0), ("/store", 0)] {
        let mut stream = connect(&server).await;
        let head =
            format!("PUT {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n");
        let answer = talk(&mut stream, &head, "\r\n\r\n").await;
        assert!(!answer.contains("100 Continue") && answer.contains("connection: close"), "{path} {length}: {answer}");
    }
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let server = start(options(), routes()).await;
    let mut stream = connect(&server).await;
    let head = "PUT /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("connected");
    stream.write_all(&vec![b'x'; 1_500_000]).await.expect("the server goes on reading");
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_while_idle_connections_live() {
    let options = Options { head_patience: Duration::from_millis(100), ..options() };
    let server = start(options, routes()).await;
    let (mut idle, mut slow) = (connect(&server).await, connect(&server).await);
    slow.write_all(b"GET /peer HTTP/1.1\r\nX-Slow: ").await.expect("connected");
    assert!(closes(&mut slow).await);
    let answer = talk(&mut idle, "GET /peer HTTP/1.1\r\nHost: h\r\n\r\n", "127.0.0.1").await;
    assert!(answer.contains(&idle.local_addr().expect("bound").to_string()), "the peer is named: {answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let options = Options { idle_patience: Duration::from_millis(100), ..options() };
    let server = start(options, routes()).await;
    assert!(closes(&mut connect(&server).await).await);
}

#[tokio::test]
async fn a_body_that_stops_is_an_error_for_the_handler() {
    let options = Options { stall_patience: Duration::from_millis(100), ..options() };
    let server = start(options, routes()).await;
    let mut stream = connect(&server).await;
    let request = "PUT /store HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
    let answer = talk(&mut stream, request, "sent nothing").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off_and_little_was_made_for_it() {
    let options = Options { stall_patience: Duration::from_millis(100), ..options() };
    let gone = Arc::new(Notify::new());
    let made = Arc::new(AtomicUsize::new(0));
    let (end, count) = (Arc::clone(&gone), Arc::clone(&made));
    let endless = get(move || {
        let (guard, count) = (NotifyOnDrop(Arc::clone(&end)), Arc::clone(&count));
        async move {
            Body::from_stream(futures::stream::repeat_with(move || {
                let _alive = &guard;
                count.fetch_add(64 << 10, Ordering::Relaxed);
                Ok::<_, std::io::Error>(vec![0; 64 << 10])
            }))
        }
    });
    let server = start(options, Router::new().route("/endless", endless)).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("connected");
    timeout(PATIENCE, gone.notified()).await.expect("the answer is dropped");
    // What its window takes, what is kept for it, and what a connection buffers.
    let made = made.load(Ordering::Relaxed);
    assert!(made <= 1 << 20, "{made} bytes were made");
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_cut_off_though_it_never_stalls() {
    let options = Options { slow_grace: Duration::from_millis(200), bytes_per_second_min: 1 << 40, ..options() };
    let gone = Arc::new(Notify::new());
    let end = Arc::clone(&gone);
    let endless = get(move || {
        let guard = NotifyOnDrop(Arc::clone(&end));
        async move {
            Body::from_stream(futures::stream::repeat_with(move || {
                let _alive = &guard;
                Ok::<_, std::io::Error>(vec![0; 64 << 10])
            }))
        }
    });
    let server = start(options, Router::new().route("/endless", endless)).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("connected");
    let mut piece = vec![0; 16 << 10];
    let reading = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {
            beat.tick().await;
        }
    };
    timeout(PATIENCE, async { tokio::join!(reading, gone.notified()) }).await.expect("the answer is cut off");
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off_though_it_never_stalls() {
    let options = Options { slow_grace: Duration::from_millis(200), ..options() };
    let server = start(options, routes()).await;
    let (mut reader, mut writer) = connect(&server).await.into_split();
    writer.write_all(b"PUT /store HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n").await.expect("connected");
    let trickle = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while writer.write_all(b"x").await.is_ok() {
            beat.tick().await;
        }
    };
    let mut answer = Vec::new();
    let answered = timeout(PATIENCE, async {
        tokio::select! {
            read = reader.read_to_end(&mut answer) => drop(read),
            () = trickle => {}
        }
    });
    answered.await.expect("an end in time");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("too slowly"), "{answer}");
}

#[tokio::test]
async fn a_source_has_its_share_of_connections_and_others_are_served() {
    let server = start(Options { connections_per_source_max: 2, ..options() }, routes()).await;
    let ask = "GET /peer HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&server).await;
        talk(&mut stream, ask, "127.0.0.1").await;
        held.push(stream);
    }
    assert!(closes(&mut connect(&server).await).await, "a third");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("loopback is a whole network");
    let mut other = socket.connect(server.address).await.expect("a connection");
    assert!(talk(&mut other, ask, "127.0.0.2").await.starts_with("HTTP/1.1 200"));
    drop(held);
    let served = async {
        // The server hears of the end a moment later.
        while !talk_or_nothing(&server, ask).await.starts_with("HTTP/1.1 200") {}
    };
    timeout(PATIENCE, served).await.expect("a place is free again");
}

async fn talk_or_nothing(server: &Running, ask: &str) -> String {
    let mut stream = connect(server).await;
    // A connection that is refused may be gone before anything is written.
    if stream.write_all(ask.as_bytes()).await.is_err() {
        return String::new();
    }
    read_until(&mut stream, "127.0.0.1").await
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = start(options(), routes()).await;
    let long = format!("X-Long: {}\r\n", "a".repeat(40 << 10));
    let many = (0..101).map(|n| format!("X-{n}: a\r\n")).collect::<String>();
    for headers in [long, many] {
        let mut stream = connect(&server).await;
        let answer = talk(&mut stream, &format!("GET /peer HTTP/1.1\r\n{headers}\r\n"), "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_a_slot() {
    let server = start(Options { connections_max: 1, ..options() }, routes()).await;
    let ask = "GET /peer HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut first = connect(&server).await;
    talk(&mut first, ask, "127.0.0.1").await;
    let mut second = connect(&server).await;
    second.write_all(ask.as_bytes()).await.expect("accepted by the kernel");
    assert!(timeout(Duration::from_millis(100), second.readable()).await.is_err(), "served beyond the limit");
    drop(first);
    assert!(read_until(&mut second, "127.0.0.1").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stopping_server_lets_the_request_in_flight_end() {
    let (arrived, proceed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (there, go) = (Arc::clone(&arrived), Arc::clone(&proceed));
    let slow = get(move || async move {
        there.notify_one();
        go.notified().await;
        "done"
    });
    let server = start(options(), Router::new().route("/slow", slow)).await;
    let (mut stream, mut idle) = (connect(&server).await, connect(&server).await);
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("connected");
    arrived.notified().await;
    let address = server.address;
    let release = async {
        assert!(closes(&mut idle).await, "idle connections close at once");
        assert!(TcpStream::connect(address).await.is_err(), "nothing new is accepted");
        proceed.notify_one();
        read_until(&mut stream, "done").await
    };
    let ((), answer) = tokio::join!(server.stop(), release);
    assert!(answer.contains("done") && answer.contains("connection: close"), "{answer}");
}
