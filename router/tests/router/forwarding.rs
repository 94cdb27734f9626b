//! There and back: what passes, what does not, and what the router answers by itself.

use crate::support::{Act, Fleet, KEY, account, connect, raw_head, router, send, talk, text};
use bulkhead_model::{headers, routing::Change};
use bulkhead_service::client::{Body, full};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use std::sync::Arc;
use tokio::{io::AsyncWriteExt as _, sync::Semaphore};

#[tokio::test]
async fn a_request_passes_as_it_came_with_what_the_router_believes() {
    let fleet = Fleet::start(3).await;
    let mut stream = connect(fleet.router.s3()).await;
    let lines = "x-bulkhead-account: 999999999999\r\nx-request-id: mine\r\nX-Amz-Meta-A: b\r\nKeep-Alive: 5\r\nContent-Length: 5\r\n";
    let head = raw_head("PUT", "/bucket/a%20b//c%2Fd?x-id=PutObject&empty=", lines);
    let answer = talk(&mut stream, format!("{head}hello").as_bytes(), "hello").await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("x-bulkhead"), "{answer}");

    let seen = fleet.seen().pop().expect("one request");
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PUT", "/bucket/a%20b//c%2Fd?x-id=PutObject&empty="));
    assert_eq!(seen.header("host"), Some("localhost"));
    assert_eq!(seen.header("authorization"), Some(format!("AWS {KEY}:0").as_str()));
    assert_eq!(seen.header("x-amz-meta-a"), Some("b"));
    assert_eq!(seen.header("keep-alive"), None);
    assert_eq!(seen.header(headers::ACCOUNT), Some(account().to_string().as_str()));
    assert_eq!(seen.header(headers::SIGNER), Some(account().to_string().as_str()));
    assert_eq!(seen.header(headers::EPOCH), Some("1"));
    assert_eq!(seen.header(headers::REQUEST_ID).map(str::len), Some(32));
    assert_eq!(seen.bytes, 5);
}

/// 16 MiB in pieces, of known or unknown length.
fn large(pieces: usize) -> Body {
    let piece = Bytes::from(vec![b'x'; 64 << 10]);
    let frames = (0..pieces).map(move |_| Ok(hyper::body::Frame::data(piece.clone())));
    StreamBody::new(futures::stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    let fleet = Fleet::start(3).await;
    let known = send(fleet.router.s3(), Method::PUT, "/bucket/k", full(vec![b'y'; 16 << 20])).await;
    assert_eq!((known.status(), known.body().len()), (StatusCode::OK, 16 << 20));
    let chunked = send(fleet.router.s3(), Method::PUT, "/bucket/k", large(256)).await;
    assert_eq!((chunked.status(), chunked.body().len()), (StatusCode::OK, 16 << 20));
}

#[tokio::test]
async fn a_client_is_held_back_while_the_cell_does_not_read() {
    let fleet = Fleet::start(1).await;
    let permits = Arc::new(Semaphore::new(0));
    fleet.nodes[0].next(Act::Wait(Arc::clone(&permits)));
    let mut stream = connect(fleet.router.s3()).await;
    stream.write_all(raw_head("PUT", "/bucket/k", "Content-Length: 67108864\r\n").as_bytes()).await.expect("connected");
    let body = vec![0; 64 << 20];
    let mut sent = 0;
    // The cell asks for nothing, so the router reads nothing, and the kernel's buffers fill.
    while let Ok(written) =
        tokio::time::timeout(std::time::Duration::from_millis(300), stream.write(&body[sent..])).await
    {
        sent += written.expect("connected");
    }
    assert!(sent < 32 << 20, "{sent} bytes were taken from a client whose cell reads nothing");
    permits.add_permits(1);
    let answer = talk(&mut stream, &body[sent..], "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_waits_for_100_continue() {
    let fleet = Fleet::start(3).await;
    fleet.all_next(&Act::Refuse(StatusCode::FORBIDDEN));
    let mut stream = connect(fleet.router.s3()).await;
    let head = raw_head("PUT", "/bucket/k", "Expect: 100-continue\r\nContent-Length: 1000000\r\n");
    let answer = talk(&mut stream, head.as_bytes(), "refused by the cell").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn the_body_is_asked_for_when_the_cell_wants_it() {
    let fleet = Fleet::start(3).await;
    for length in [5, 100_000] {
        let mut stream = connect(fleet.router.s3()).await;
        let head = raw_head("PUT", "/bucket/k", &format!("Expect: 100-continue\r\nContent-Length: {length}\r\n"));
        let asked = talk(&mut stream, head.as_bytes(), "\r\n\r\n").await;
        assert_eq!(asked, "HTTP/1.1 100 Continue\r\n\r\n", "{length}");
        let answer = talk(&mut stream, &vec![b'x'; length], "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn an_empty_put_that_expects_100_ends_its_connection() {
    let fleet = Fleet::start(3).await;
    let mut stream = connect(fleet.router.s3()).await;
    let head = raw_head("PUT", "/bucket/k", "Expect: 100-continue\r\nContent-Length: 0\r\n");
    let answer = talk(&mut stream, head.as_bytes(), "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn what_leads_nowhere_is_answered_in_s3s_words() {
    let fleet = Fleet::start(1).await;
    let stranger = "Authorization: AWS AKIAZZZZZZZZZZZZZZZZ:0\r\n";
    for (request, status, code) in [
        (format!("GET /nowhere/k HTTP/1.1\r\nHost: h\r\n{stranger}\r\n"), 403, "InvalidAccessKeyId"),
        ("GET /nowhere/k HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 404, "NoSuchBucket"),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 403, "AccessDenied"),
        ("GET /bucket/k HTTP/1.1\r\n\r\n".to_owned(), 400, "InvalidRequest"),
        ("PATCH /bucket/k HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 405, "MethodNotAllowed"),
        (raw_head("PUT", "/bucket/k", "Content-Length: 9000000000\r\n"), 400, "EntityTooLarge"),
    ] {
        let answer = talk(&mut connect(fleet.router.s3()).await, request.as_bytes(), "</Error>").await;
        let expected = format!("<Code>{code}</Code>");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(&expected), "{request}\n{answer}");
        assert!(answer.contains("x-amz-request-id: ") && answer.contains("<RequestId>"), "{answer}");
    }
    assert!(fleet.seen().is_empty(), "a cell was bothered");
}

#[tokio::test]
async fn a_bucket_of_another_account_goes_to_its_owners_cell_and_an_unknown_one_to_the_signers() {
    let fleet = Fleet::start(1).await;
    for target in ["/bucket/k", "/unheard-of/k", "/"] {
        assert_eq!(fleet.send(Method::GET, target, "").await.status(), StatusCode::OK, "{target}");
    }
    assert_eq!(fleet.seen().len(), 3);
}

#[tokio::test]
async fn requests_that_two_parsers_read_differently_never_reach_a_cell() {
    let fleet = Fleet::start(1).await;
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "X-Folded: a\r\n b\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Host: other\r\n",
    ] {
        let request =
            format!("{}0\r\n\r\nGET /bucket/smuggled HTTP/1.1\r\nHost: h\r\n\r\n", raw_head("PUT", "/bucket/k", lines));
        let answer = talk(&mut connect(fleet.router.s3()).await, request.as_bytes(), "never").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{lines:?}: {answer}");
    }
    assert!(fleet.seen().iter().all(|seen| seen.target != "/bucket/k"), "{:?}", fleet.seen());
}

#[tokio::test]
async fn a_bad_chunk_size_is_the_clients_fault() {
    let fleet = Fleet::start(1).await;
    let request = format!("{}zz\r\nabc\r\n", raw_head("PUT", "/bucket/k", "Transfer-Encoding: chunked\r\n"));
    let answer = talk(&mut connect(fleet.router.s3()).await, request.as_bytes(), "</Error>").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("IncompleteBody"), "{answer}");
}

#[tokio::test]
async fn a_key_that_is_on_its_way_is_waited_for() {
    let fleet = Fleet::start(1).await;
    let key = "AKIANEWNEWNEWNEWNEWN";
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: AWS {key}:0\r\n\r\n");
    let mut stream = connect(fleet.router.s3()).await;
    stream.write_all(request.as_bytes()).await.expect("connected");
    fleet.control_plane.change(Change::Key { key: key.parse().expect("a key id"), account: account() });
    let answer = talk(&mut stream, b"", "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_router_starts_and_serves_from_its_saved_table_while_the_control_plane_is_down() {
    let Fleet { nodes, control_plane, router: first, dir } = Fleet::start(1).await;
    let address = control_plane.address();
    assert!(first.stop().await);
    control_plane.stop().await;

    let second = router(dir.path(), address).await;
    let response = send(second.s3(), Method::PUT, "/bucket/k", full("hello")).await;
    assert_eq!((response.status(), text(&response)), (StatusCode::OK, "hello".to_owned()));
    assert_eq!(nodes[0].seen().len(), 1);
}

#[tokio::test]
async fn a_router_takes_the_table_of_an_older_control_plane_as_json() {
    let Fleet { nodes, control_plane, router: first, dir: _dir } = Fleet::start(1).await;
    control_plane.grow_old();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let second = router(dir.path(), control_plane.address()).await;
    assert_eq!(*second.table.load(), *first.table.load());
    let response = send(second.s3(), Method::PUT, "/bucket/k", full("hello")).await;
    assert_eq!((response.status(), nodes[0].seen().len()), (StatusCode::OK, 1));
}

#[tokio::test]
async fn a_table_that_may_be_old_does_not_say_that_a_key_or_a_bucket_does_not_exist() {
    let Fleet { nodes, control_plane, router: first, dir } = Fleet::start(1).await;
    let address = control_plane.address();
    assert!(first.stop().await);
    control_plane.stop().await;

    let second = router(dir.path(), address).await;
    for credential in ["Authorization: AWS AKIAZZZZZZZZZZZZZZZZ:0\r\n", ""] {
        let request = format!("GET /nowhere/k HTTP/1.1\r\nHost: h\r\n{credential}\r\n");
        let answer = talk(&mut connect(second.s3()).await, request.as_bytes(), "</Error>").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("<Code>ServiceUnavailable</Code>"), "{answer}");
    }
    assert!(nodes[0].seen().is_empty());
}

#[tokio::test]
async fn a_stopping_router_lets_the_upload_in_flight_end() {
    let Fleet { nodes, router, .. } = Fleet::start(1).await;
    let permits = Arc::new(Semaphore::new(0));
    nodes[0].next(Act::Wait(Arc::clone(&permits)));
    let address = router.s3();
    let upload = send(address, Method::PUT, "/bucket/k", full(vec![0; 200_000]));
    let stop = async {
        while nodes[0].seen().is_empty() {
            tokio::task::yield_now().await;
        }
        let stopped = router.stop();
        permits.add_permits(1);
        stopped.await
    };
    let (response, stopped) = tokio::join!(upload, stop);
    assert_eq!((response.status(), response.body().len(), stopped), (StatusCode::OK, 200_000, true));
}
