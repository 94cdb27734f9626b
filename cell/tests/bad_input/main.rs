//! Bad input, each with its S3 error: what a client gets wrong is told apart, and nothing of it is stored.

mod client;
mod cluster;
mod hostile;
mod refused;

use bulkhead_cell::limits::{DOCUMENT_BYTES_MAX, PART_BYTES_MAX};
use client::{Answer, Ask, Client};
use cluster::Cluster;
use time::Duration;

/// One cell for all of it: the cases are independent, and a cell takes seconds to form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_bad_input_has_its_s3_error() {
    let cluster = Cluster::start().await;
    let client = cluster.client(0);
    assert_eq!(client.send(Ask::new("PUT", "/bucket")).await.status, 200);
    assert_eq!(client.send(Ask::new("PUT", "/bucket/kept").body("kept")).await.status, 200);

    who_asks(&client).await;
    what_is_asked(&client).await;
    what_is_sent(&client).await;
    streamed_bodies(&client).await;
    multipart_uploads(&client).await;
    refused::before_the_body_is_read(&client).await;
    hostile::documents(&client).await;
    hostile::parts(&client).await;
    hostile::heads(&client).await;
    hostile::chunks(&client).await;
    hostile::over_the_limit(&cluster, &client).await;

    let listed = cluster.client(1).send(Ask::new("GET", "/bucket?list-type=2")).await;
    let text = String::from_utf8_lossy(&listed.body).into_owned();
    assert_eq!(text.matches("<Key>").count(), 1, "bad input has left something behind: {text}");
    assert!(text.contains("<Key>kept</Key>"), "{text}");
}

#[track_caller]
fn expect(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.error(), (status, code.to_owned()), "{}", String::from_utf8_lossy(&answer.body));
    assert!(answer.header("x-amz-request-id").is_some(), "no request id");
    assert_eq!(answer.element("RequestId").as_deref(), answer.header("x-amz-request-id"));
}

async fn who_asks(client: &Client) {
    let get = || Ask::new("GET", "/bucket/kept");
    let wrong_secret = Client { secret: "another".to_owned(), ..client.clone() };
    expect(&wrong_secret.send(get()).await, 403, "SignatureDoesNotMatch");
    let nobody = Client { access_key: "AKIAAAAAAAAAAAAAAAAA".to_owned(), ..client.clone() };
    expect(&nobody.send(get()).await, 403, "InvalidAccessKeyId");
    let elsewhere = nobody.send(get().header("x-bulkhead-signer", "123456789012")).await;
    expect(&elsewhere, 403, "AccessDenied");
    for skew in [Duration::minutes(16), Duration::minutes(-16)] {
        let skewed = Client { skew, ..client.clone() };
        expect(&skewed.send(get()).await, 403, "RequestTimeTooSkewed");
    }
    let anonymous = client.raw(b"GET /bucket/kept HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    expect(&anonymous, 403, "AccessDenied");

    let presigned = |client: &Client, seconds| {
        let target = client.presign("GET", "/bucket/kept", seconds);
        format!("GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", client.address)
    };
    let fresh = client.raw(presigned(client, 60).as_bytes()).await;
    assert_eq!((fresh.status, fresh.body.as_slice()), (200, &b"kept"[..]));
    let early = Client { skew: Duration::minutes(-10), ..client.clone() };
    expect(&client.raw(presigned(&early, 60).as_bytes()).await, 403, "AccessDenied");
    expect(&client.raw(presigned(client, 604_801).as_bytes()).await, 400, "AuthorizationQueryParametersError");
    let forged = presigned(client, 60).replace("/bucket/kept", "/bucket/other");
    expect(&client.raw(forged.as_bytes()).await, 403, "SignatureDoesNotMatch");
}

async fn what_is_asked(client: &Client) {
    for (method, target, status, code) in [
        ("GET", "/no-such-bucket", 404, "NoSuchBucket"),
        ("GET", "/bucket/no-such-key", 404, "NoSuchKey"),
        ("PUT", "/Upper", 400, "InvalidBucketName"),
        ("PUT", "/ab", 400, "InvalidBucketName"),
        ("PUT", "/192.168.1.1", 400, "InvalidBucketName"),
        ("PUT", "/bucket", 409, "BucketAlreadyOwnedByYou"),
        ("DELETE", "/bucket", 409, "BucketNotEmpty"),
        ("GET", "/bucket?cors", 404, "NoSuchCORSConfiguration"),
        ("GET", "/bucket?inventory", 501, "NotImplemented"),
        ("PUT", "/bucket?policy", 501, "NotImplemented"),
        ("PUT", "/bucket/key?tagging", 501, "NotImplemented"),
        ("PUT", "/bucket/key?renameObject", 501, "NotImplemented"),
        ("PUT", "/bucket/key?uploadId=abc", 400, "InvalidArgument"),
        ("PUT", "/bucket/key?partNumber=1", 400, "InvalidArgument"),
        ("GET", "/bucket/kept?versionId=abc", 400, "InvalidArgument"),
        ("GET", "/bucket/kept?partNumber=2", 416, "InvalidPartNumber"),
        ("GET", "/bucket?list-type=2&max-keys=-1", 400, "InvalidArgument"),
        ("GET", "/bucket?list-type=2&max-keys=many", 400, "InvalidArgument"),
        ("GET", "/bucket?list-type=2&continuation-token=%21", 400, "InvalidArgument"),
        ("GET", "/bucket?list-type=3", 400, "InvalidArgument"),
        ("GET", "/bucket?encoding-type=base64", 400, "InvalidArgument"),
        ("GET", "/bucket/key?uploadId=abc", 404, "NoSuchUpload"),
    ] {
        let answer = client.send(Ask::new(method, target)).await;
        assert_eq!(answer.error(), (status, code.to_owned()), "{method} {target}");
    }
    assert_eq!(client.send(Ask::new("GET", "/bucket?nothing-s3-knows=1")).await.status, 200);
    let long = "k".repeat(1_025);
    expect(&client.send(Ask::new("PUT", &format!("/bucket/{long}"))).await, 400, "KeyTooLongError");
    let range = client.send(Ask::new("GET", "/bucket/kept").header("range", "bytes=9-")).await;
    expect(&range, 416, "InvalidRange");
    assert_eq!(range.header("content-range"), Some("bytes */4"));
    let head = client.send(Ask::new("HEAD", "/bucket/no-such-key")).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    let named = client.send(Ask::new("GET", "/bucket?inventory")).await.element("Message").unwrap_or_default();
    assert!(named.contains("ListBucketInventoryConfigurations"), "{named}");
}

async fn what_is_sent(client: &Client) {
    let put = || Ask::new("PUT", "/bucket/bad").body("abc");
    for (ask, status, code) in [
        (put().header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="), 400, "BadDigest"),
        (put().header("content-md5", "nonsense"), 400, "InvalidDigest"),
        (put().header("x-amz-checksum-crc32", "AAAAAA=="), 400, "BadDigest"),
        (put().header("x-amz-checksum-sha256", "AAAAAA=="), 400, "InvalidRequest"),
        (
            put().payload("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            400,
            "XAmzContentSHA256Mismatch",
        ),
        (put().header("x-amz-server-side-encryption", "AES256"), 501, "NotImplemented"),
        (put().header("x-amz-acl", "public-read"), 501, "NotImplemented"),
        (put().header("if-match", "\"00000000000000000000000000000000\""), 404, "NoSuchKey"),
        (Ask::new("PUT", "/bucket/kept").body("abc").header("if-none-match", "*"), 412, "PreconditionFailed"),
        (put().header("x-amz-meta-large", &"m".repeat(2_100)), 400, "MetadataTooLarge"),
        (put().header("x-amz-expected-bucket-owner", "123456789012"), 403, "AccessDenied"),
    ] {
        expect(&client.send(ask).await, status, code);
    }
    let huge = Ask::new("PUT", "/bucket/bad").payload("UNSIGNED-PAYLOAD");
    let too_large = client.signed_head(&huge, usize::try_from(PART_BYTES_MAX).expect("64 bits") + 1);
    expect(&client.raw(too_large.as_bytes()).await, 400, "EntityTooLarge");
    let cut = client.signed_head(&put().payload("UNSIGNED-PAYLOAD"), 10);
    if let Some(answer) = client.raw_cut(format!("{cut}abc").as_bytes()).await {
        expect(&answer, 400, "IncompleteBody");
    }

    let delete = |body: &str| Ask::new("POST", "/bucket?delete").body(body);
    expect(&client.send(delete("<Delete>")).await, 400, "InvalidRequest");
    let with_sum = |body: &str| delete(body).header("content-md5", &md5_of(body));
    expect(&client.send(with_sum("<Delete><Object>")).await, 400, "MalformedXML");
    expect(&client.send(with_sum("<Delete></Delete>")).await, 400, "MalformedXML");
    let keys: String = (0..1_001).map(|at| format!("<Object><Key>{at}</Key></Object>")).collect();
    expect(&client.send(with_sum(&format!("<Delete>{keys}</Delete>"))).await, 400, "MalformedXML");
    let one = "<Delete><Object><Key>kept</Key></Object></Delete>";
    expect(&client.send(delete(one).header("content-md5", &md5_of("other"))).await, 400, "BadDigest");
    let documents = client.signed_head(
        &delete("").payload("UNSIGNED-PAYLOAD").header("content-md5", &md5_of("")),
        DOCUMENT_BYTES_MAX + 1,
    );
    expect(&client.raw(documents.as_bytes()).await, 400, "MaxMessageLengthExceeded");
}

fn md5_of(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use md5::Digest as _;
    STANDARD.encode(md5::Md5::digest(text))
}

/// `123456789` has the CRC32 `cbf43926`.
async fn streamed_bodies(client: &Client) {
    const UNSIGNED: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let streamed = |wire: &str, declared: &str| {
        Ask::new("PUT", "/bucket/bad")
            .body(wire)
            .payload(UNSIGNED)
            .header("x-amz-decoded-content-length", declared)
            .header("x-amz-trailer", "x-amz-checksum-crc32")
    };
    for (wire, declared, code) in [
        ("9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "9", "BadDigest"),
        ("9\r\n123456789\r\n0\r\n\r\n", "9", "InvalidRequest"),
        ("9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n", "8", "IncompleteBody"),
        ("9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n", "10", "IncompleteBody"),
        ("9\r\n123456789\r\n", "9", "IncompleteBody"),
        ("z\r\n123456789\r\n0\r\n\r\n", "9", "InvalidRequest"),
    ] {
        let answer = client.send(streamed(wire, declared)).await;
        assert_eq!(answer.error(), (400, code.to_owned()), "{wire:?}");
    }
    let good = streamed("9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n", "9");
    let stored = client.send(good).await;
    assert_eq!((stored.status, stored.header("x-amz-checksum-crc32")), (200, Some("y/Q5Jg==")));
    let read = client.send(Ask::new("GET", "/bucket/bad").header("x-amz-checksum-mode", "ENABLED")).await;
    assert_eq!((read.body.as_slice(), read.header("x-amz-checksum-crc32")), (&b"123456789"[..], Some("y/Q5Jg==")));
    assert_eq!(client.send(Ask::new("DELETE", "/bucket/bad")).await.status, 204);

    let signed = Ask::new("PUT", "/bucket/bad")
        .payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        .header("x-amz-decoded-content-length", "3")
        .body(format!("3;chunk-signature={0}\r\nabc\r\n0;chunk-signature={0}\r\n\r\n", "0".repeat(64)));
    expect(&client.send(signed).await, 403, "SignatureDoesNotMatch");
}

async fn multipart_uploads(client: &Client) {
    let created = client.send(Ask::new("POST", "/bucket/parts?uploads")).await;
    let id = created.element("UploadId").expect("an upload");
    let part = |number: u32| Ask::new("PUT", &format!("/bucket/parts?partNumber={number}&uploadId={id}"));
    let mut tags = Vec::new();
    for number in [1, 2] {
        let put = client.send(part(number).body("small")).await;
        tags.push(put.header("etag").expect("stored").trim_matches('"').to_owned());
    }
    expect(&client.send(part(0).body("x")).await, 400, "InvalidArgument");
    expect(&client.send(part(10_001).body("x")).await, 400, "InvalidArgument");
    let unknown = format!("/bucket/parts?partNumber=1&uploadId={}", "0".repeat(32));
    expect(&client.send(Ask::new("PUT", &unknown).body("x")).await, 404, "NoSuchUpload");

    let listed = |parts: &[(u32, &str)]| {
        let parts: String = parts
            .iter()
            .map(|(number, tag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"))
            .collect();
        format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
    };
    let complete = |body: String| Ask::new("POST", &format!("/bucket/parts?uploadId={id}")).body(body);
    for (body, code) in [
        (listed(&[(1, &tags[0]), (2, &tags[1])]), "EntityTooSmall"),
        (listed(&[(2, &tags[1]), (1, &tags[0])]), "InvalidPartOrder"),
        (listed(&[(1, &tags[0]), (3, &tags[1])]), "InvalidPart"),
        (listed(&[(1, &"0".repeat(32))]), "InvalidPart"),
        (listed(&[]), "MalformedXML"),
        ("<CompleteMultipartUpload><Part>".to_owned(), "MalformedXML"),
        ("not xml".to_owned(), "MalformedXML"),
        (String::new(), "MalformedXML"),
    ] {
        let answer = client.send(complete(body.clone())).await;
        assert_eq!(answer.error(), (400, code.to_owned()), "{body}");
    }
    assert_eq!(client.send(Ask::new("DELETE", &format!("/bucket/parts?uploadId={id}"))).await.status, 204);
}
