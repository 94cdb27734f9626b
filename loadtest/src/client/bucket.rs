//! Buckets.

use super::{
    call::Call,
    outcome::{Lost, Outcome},
    session::Session,
};
use crate::limits::ANSWER_BYTES_MAX;
use http::Method;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    buckets: Buckets,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Buckets {
    #[serde(default)]
    bucket: Vec<Bucket>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Bucket {
    name: String,
}

impl Session {
    /// Creates a bucket. The session's own bucket existing already is a success.
    pub async fn ensure_bucket(&mut self, bucket: &str) -> Outcome<()> {
        match self.create_bucket(bucket).await {
            Outcome::Refused(refusal) if refusal.code == "BucketAlreadyOwnedByYou" => Outcome::Ok(()),
            other => other,
        }
    }

    /// The names of the account's buckets.
    pub async fn list_buckets(&mut self) -> Outcome<Vec<String>> {
        let answer = self.call(Call::new(Method::GET, "", "")).await;
        let body = answer.and_then(async |answer| answer.read(ANSWER_BYTES_MAX).await).await;
        body.and_then(async |body| match quick_xml::de::from_str::<Document>(&String::from_utf8_lossy(&body)) {
            Ok(document) => Outcome::Ok(document.buckets.bucket.into_iter().map(|bucket| bucket.name).collect()),
            Err(error) => Outcome::Unknown(Lost::Malformed(format!("ListBuckets: {error}"))),
        })
        .await
    }

    /// Creates a bucket.
    pub async fn create_bucket(&mut self, bucket: &str) -> Outcome<()> {
        self.call(Call::new(Method::PUT, bucket, "")).await.map(|_| ())
    }

    /// Deletes an empty bucket.
    pub async fn delete_bucket(&mut self, bucket: &str) -> Outcome<()> {
        self.call(Call::new(Method::DELETE, bucket, "")).await.map(|_| ())
    }
}
