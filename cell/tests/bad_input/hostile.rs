//! Input made to exhaust its reader: deep, wide, long, boastful. Each is answered, nothing is stored, and the node goes on.

use crate::{
    client::{Ask, Client},
    cluster::Cluster,
    expect, md5_of,
};
use bulkhead_cell::limits::{CHUNK_HEADER_BYTES_MAX, PART_NUMBER_MAX, TRAILER_BYTES_MAX, USER_METADATA_BYTES_MAX};
use bulkhead_model::AccountLimits;
use bulkhead_service::limits::HEAD_BYTES_MAX;

pub async fn documents(client: &Client) {
    let delete = |body: String| Ask::new("POST", "/bucket?delete").header("content-md5", &md5_of(&body)).body(body);
    let deep = 1_000_000;
    let nested = |inner: &str| format!("{}{inner}{}", "<a>".repeat(deep), "</a>".repeat(deep));
    let entities = "<!DOCTYPE d [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
    for document in [
        nested(""),
        "<a>".repeat(2 * deep),
        format!("<Delete>{}</Delete>", nested("")),
        format!("<Delete><Object><Key>{}</Key></Object></Delete>", nested("k")),
        "<Delete>".repeat(500_000),
        "<Delete><Object>".repeat(300_000),
        format!("<Delete {}></Delete>", (0..300_000).map(|at| format!("a{at}='b' ")).collect::<String>()),
        format!("{entities}<Delete><Object><Key>&b;</Key></Object></Delete>"),
        format!("<Delete><Object><Key>{}</Key></Object></Delete>", "&#x6b;".repeat(1_000_000)),
        format!("<Delete>{}</Delete>", "<!-- -->".repeat(700_000)),
    ] {
        let begun = document.chars().take(60).collect::<String>();
        let answer = client.send(delete(document)).await;
        assert!((200..500).contains(&answer.status), "{begun}: {}", answer.status);
    }
}

pub async fn parts(client: &Client) {
    let created = client.send(Ask::new("POST", "/bucket/many?uploads")).await;
    let id = created.element("UploadId").expect("an upload");
    let complete = |body: String| Ask::new("POST", &format!("/bucket/many?uploadId={id}")).body(body);
    let part = |number: u32| format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", "0".repeat(32));
    let listed = |count: u32| (1..=count).map(part).collect::<String>();
    let too_many = listed(u32::from(PART_NUMBER_MAX) + 1);
    let answer = client.send(complete(format!("<CompleteMultipartUpload>{too_many}</CompleteMultipartUpload>"))).await;
    expect(&answer, 400, "MalformedXML");
    let million = "<Part></Part>".repeat(600_000);
    let answer = client.send(complete(format!("<CompleteMultipartUpload>{million}</CompleteMultipartUpload>"))).await;
    expect(&answer, 400, "MalformedXML");
    assert_eq!(client.send(Ask::new("DELETE", &format!("/bucket/many?uploadId={id}"))).await.status, 204);
}

pub async fn heads(client: &Client) {
    let put = || Ask::new("PUT", "/bucket/bad").body("abc");
    let beyond = put().header("x-amz-meta-a", &"m".repeat(USER_METADATA_BYTES_MAX + 1));
    expect(&client.send(beyond).await, 400, "MetadataTooLarge");
    // A head beyond its bound is cut off by the connection, before anybody parses it.
    let long = client.send(put().header("x-amz-meta-a", &"m".repeat(HEAD_BYTES_MAX))).await;
    assert!((400..500).contains(&long.status), "{}", long.status);
    let parameters: String = (0..2_000).map(|at| format!("&p{at}")).collect();
    let wide = client.send(Ask::new("GET", &format!("/bucket?list-type=2{parameters}"))).await;
    assert!((200..500).contains(&wide.status), "{}", wide.status);
    let mut many = String::from("GET /bucket HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    (0..1_000).for_each(|at| many.push_str(&format!("h{at}: v\r\n")));
    many.push_str("\r\n");
    let many = client.raw(many.as_bytes()).await;
    assert!((400..500).contains(&many.status), "{}", many.status);
}

pub async fn chunks(client: &Client) {
    let streamed = |wire: String| {
        Ask::new("PUT", "/bucket/bad")
            .body(wire)
            .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header("x-amz-decoded-content-length", "9")
            .header("x-amz-trailer", "x-amz-checksum-crc32")
    };
    for wire in [
        format!("9;{}\r\n123456789\r\n0\r\n\r\n", "x".repeat(CHUNK_HEADER_BYTES_MAX)),
        "f".repeat(CHUNK_HEADER_BYTES_MAX * 2),
        "ffffffffffffffff\r\n123456789\r\n".to_owned(),
        format!(
            "9\r\n123456789\r\n0\r\n{}\r\n\r\n",
            "x-amz-checksum-crc32:y/Q5Jg==\r\n".repeat(TRAILER_BYTES_MAX / 16)
        ),
    ] {
        let begun = wire.chars().take(40).collect::<String>();
        let answer = client.send(streamed(wire)).await;
        assert_eq!(answer.status, 400, "{begun}: {:?}", answer.error());
    }
}

/// Over its limit, an account is told so before its body is read, and its connection goes on.
pub async fn over_the_limit(cluster: &Cluster, client: &Client) {
    let limited = AccountLimits { write_requests: Some(3), ..AccountLimits::default() };
    cluster.put_limits(limited, 1).await;
    let mut connection = client.connect().await;
    let deadline = client.env.clock.now() + std::time::Duration::from_secs(30);
    let refused = loop {
        let answer = connection.send(Ask::new("PUT", "/bucket/often").body("x".repeat(4_096))).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(client.env.clock.now() < deadline, "50 times the limit, and never refused");
    };
    expect(&refused, 503, "SlowDown");
    let wait = refused.header("retry-after").and_then(|wait| wait.parse().ok());
    assert!(wait.is_some_and(|wait: u64| (1..=60).contains(&wait)), "{refused:?}");
    assert_eq!(refused.header("connection"), None, "the connection is of no more use");
    for _ in 0..20 {
        let again = Ask::new("PUT", "/bucket/often").header("x-bulkhead-unsettled", "1").body("x".repeat(4_096));
        assert_eq!(connection.send(again).await.status, 200, "what may have been done already is let in");
    }
    for _ in 0..20 {
        let read = connection.send(Ask::new("HEAD", "/bucket/kept")).await;
        assert_eq!(read.status, 200, "reads are counted by themselves");
    }
    cluster.put_limits(AccountLimits::default(), 2).await;
    let deadline = client.env.clock.now() + std::time::Duration::from_secs(30);
    loop {
        match connection.send(Ask::new("DELETE", "/bucket/often")).await.status {
            204 => break,
            status => assert_eq!(status, 503),
        }
        assert!(client.env.clock.now() < deadline, "the limits are lifted, and it is still refused");
    }
}
