//! Between signature and call: is the call built, is the request complete and consistent, is it anonymous.
//!
//! Runs before s3s reads a body, so what is not built answers `501` without one. Who may touch a bucket is decided by ops,
//! against the same state of the index as the call itself.

use super::{caller::RequestCx, calls::S3Op, front, stated::Stated, validate, when};
use bulkhead_service::env::Clock;
use s3s::{
    S3Error, S3Result,
    access::{S3Access, S3AccessContext},
    s3_error,
};
use std::sync::Arc;

/// Checks every request after its signature.
pub struct Access {
    pub clock: Clock,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let name = cx.s3_op().name().to_owned();
        let request = cx.extensions_mut().get::<Arc<RequestCx>>().cloned();
        let request = request.ok_or_else(|| s3_error!(InternalError, "The request has no context."))?;
        if let Some(bucket) = cx.s3_path().get_bucket_name() {
            // Set once: this runs once for each request.
            let _ = request.bucket.set(bucket.to_owned());
        }
        let (Some(_), Some(signer)) = (cx.credentials(), request.signer.get()) else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        when::check(cx.headers(), cx.uri(), self.clock.wall())?;
        let op = S3Op::parse(&name).ok_or_else(|| not_built(&name))?;
        let _ = request.call.set((op, self.clock.now()));
        let headers = front::effective_headers(cx.headers(), cx.uri())?;
        validate::names(cx.s3_path())?;
        validate::query(op, &front::query(cx.uri()))?;
        validate::headers(op, &headers)?;
        validate::expected_owner(*signer, &headers)?;
        if op.takes_document() {
            let stated = Stated::read(&headers)?;
            if op == S3Op::DeleteObjects && !stated.has_digest() {
                return Err(s3_error!(InvalidRequest, "Missing required header for this request: Content-MD5"));
            }
            request.body.read_document(&stated).await?;
        }
        Ok(())
    }
}

fn not_built(name: &str) -> S3Error {
    s3_error!(NotImplemented, "{name} is not implemented.")
}
