//! Requests as bytes: shapes that two servers in a row may cut differently, and expectations.

use crate::support::{fleet::Fleet, suite::Verdict};
use anyhow::{Context, ensure};
use bulkhead_loadtest::faults::Role;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// What a smuggler hopes will be read as a request of its own.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";

pub async fn smuggling(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let hidden = HIDDEN.len();
    let shapes = [
        (
            "both length headers",
            format!("Content-Length: {hidden}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        (
            "both, the other way round",
            format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: {hidden}\r\n\r\n{HIDDEN}")),
        ("two lengths in one header", format!("Content-Length: 0, {hidden}\r\n\r\n{HIDDEN}")),
        ("a signed length", format!("Content-Length: +{hidden}\r\n\r\n{HIDDEN}")),
        ("a folded header", format!("X-A: b\r\n Content-Length: {hidden}\r\n\r\n{HIDDEN}")),
        ("a folded transfer coding", format!("Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n{HIDDEN}")),
        ("a space before the colon", format!("Content-Length : {hidden}\r\n\r\n{HIDDEN}")),
        ("an unknown transfer coding", format!("Transfer-Encoding: xchunked\r\n\r\n{HIDDEN}")),
        ("chunked is not the last coding", format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}")),
        ("a zero byte in a header", format!("X-A: b\0c\r\nContent-Length: 0\r\n\r\n{HIDDEN}")),
        ("a chunk size that is none", "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n".to_owned()),
    ];
    for (name, rest) in shapes {
        let request = format!("PUT /smuggled/key HTTP/1.1\r\nHost: 127.0.0.1\r\n{rest}");
        let answer = exchange(router(fleet).await?, &request).await?;
        let answers = answer.matches("HTTP/1.1 ").count();
        ensure!(answers <= 1, "{name}: answered {answers} times: {answer}");
        let status = answer.split_ascii_whitespace().nth(1).unwrap_or("closed");
        ensure!(status == "closed" || status.starts_with('4') || status == "501", "{name}: answered {answer}");
    }
    Ok(Verdict::Passed)
}

/// `Expect: 100-continue` is answered with `100`, or with a final answer; and the connection is then either closed or
/// good for another request.
pub async fn expectations(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let address = router(fleet).await?;
    for length in [0, 100_000] {
        let mut stream = TcpStream::connect(address).await?;
        let head = format!(
            "PUT /nobody-has-this/key HTTP/1.1\r\nHost: {address}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = vec![0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut answer)).await.context("no answer before the body")??;
        let status = String::from_utf8_lossy(&answer[..read]).into_owned();
        ensure!(status.starts_with("HTTP/1.1 100") || status.starts_with("HTTP/1.1 4"), "{length}: {status}");
    }
    Ok(Verdict::Passed)
}

async fn router(fleet: &Fleet) -> anyhow::Result<SocketAddr> {
    let rows = fleet.cluster().of(Role::Router, None).await?;
    rows.first().context("no router runs")?.address("s3")
}

/// Sends bytes and reads until the server closes, or has nothing more to say.
async fn exchange(address: SocketAddr, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while let Ok(Ok(read)) = timeout(Duration::from_millis(700), stream.read_buf(&mut answer)).await {
        if read == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
