//! Buckets.

use super::{call::Call, outcome::Outcome, session::Session};
use http::Method;

impl Session {
    /// Creates a bucket. The session's own bucket existing already is a success.
    pub async fn ensure_bucket(&mut self, bucket: &str) -> Outcome<()> {
        match self.create_bucket(bucket).await {
            Outcome::Refused(refusal) if refusal.code == "BucketAlreadyOwnedByYou" => Outcome::Ok(()),
            other => other,
        }
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
