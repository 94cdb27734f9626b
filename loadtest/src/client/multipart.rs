//! Multipart uploads.

use super::{
    body::Payload,
    call::Call,
    object::{Condition, Stored, stored},
    outcome::{Lost, Outcome},
    session::Session,
};
use crate::{limits::ERROR_BYTES_MAX, workload::Content};
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use std::{fmt::Write as _, ops::Range};

/// An upload under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub bucket: String,
    pub key: String,
    pub id: String,
}

/// A part that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub etag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    upload_id: String,
}

#[derive(Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    etag: String,
}

impl Session {
    /// Begins an upload of `version`.
    pub async fn create_upload(&mut self, bucket: &str, key: &str, version: u64) -> Outcome<Upload> {
        let call =
            Call::new(Method::POST, bucket, key).query("uploads", "").header("x-amz-meta-version", version.to_string());
        let body = self.call(call).await.and_then(async |answer| answer.read(ERROR_BYTES_MAX).await).await;
        body.and_then(async |body| match quick_xml::de::from_str::<Created>(&String::from_utf8_lossy(&body)) {
            Ok(created) => Outcome::Ok(Upload { bucket: bucket.into(), key: key.into(), id: created.upload_id }),
            Err(error) => Outcome::Unknown(Lost::Malformed(format!("CreateMultipartUpload: {error}"))),
        })
        .await
    }

    /// Stores the bytes `range` of `content` as part `number`.
    pub async fn upload_part(
        &mut self,
        upload: &Upload,
        number: u32,
        content: Content,
        range: Range<u64>,
    ) -> Outcome<Part> {
        let call = Call::new(Method::PUT, &upload.bucket, &upload.key)
            .query("partNumber", number.to_string())
            .query("uploadId", upload.id.clone())
            .payload(Payload::Generated { content, from: range.start, to: range.end });
        let answer = self.call(call).await.and_then(async |answer| stored(&answer)).await;
        answer.map(|stored| Part { number, etag: stored.etag })
    }

    /// Makes the object out of its parts, in order.
    pub async fn complete_upload(&mut self, upload: &Upload, parts: &[Part], condition: &Condition) -> Outcome<Stored> {
        let mut body = String::from("<CompleteMultipartUpload>");
        for Part { number, etag } in parts {
            write!(body, "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
                .expect("writing to a String cannot fail");
        }
        body.push_str("</CompleteMultipartUpload>");
        let call = Call::new(Method::POST, &upload.bucket, &upload.key)
            .query("uploadId", upload.id.clone())
            .payload(Payload::Bytes(Bytes::from(body)));
        let answer = self.call(condition.apply(call)).await;
        let body = answer.and_then(async |answer| answer.read(ERROR_BYTES_MAX).await).await;
        // A completion may answer 200 and then report an error: only a document with an ETag is a success.
        body.and_then(async |body| match quick_xml::de::from_str::<Completed>(&String::from_utf8_lossy(&body)) {
            Ok(completed) => Outcome::Ok(Stored { etag: completed.etag }),
            Err(error) => Outcome::Unknown(Lost::Malformed(format!("CompleteMultipartUpload: {error}"))),
        })
        .await
    }

    /// Gives an upload up.
    pub async fn abort_upload(&mut self, upload: &Upload) -> Outcome<()> {
        let call = Call::new(Method::DELETE, &upload.bucket, &upload.key).query("uploadId", upload.id.clone());
        self.call(call).await.map(|_| ())
    }
}
