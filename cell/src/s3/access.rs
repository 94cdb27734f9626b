//! Between signature and call: is the call built, is the request complete and consistent, is it anonymous; then its turn is waited for.
//!
//! Runs before s3s reads a body, so what is not built answers `501` without one. Who may touch a bucket is decided by ops,
//! against the same state of the index as the call itself.

use super::{
    caller::RequestCx, calls::S3Op, document::Documents, error::respond, front, gate::Gates, stated::Stated, validate,
    when,
};
use crate::{
    admit::{
        Admission, Ask, Pass,
        cost::{Class, Cost, Declared},
    },
    ops::OpError,
};
use bulkhead_model::AccountId;
use bulkhead_service::env::Clock;
use http::HeaderMap;
use s3s::{
    S3Error, S3Result,
    access::{S3Access, S3AccessContext},
    s3_error,
};
use std::sync::Arc;

/// Checks every request after its signature.
pub struct Access {
    pub clock: Clock,
    pub gates: Gates,
    pub documents: Documents,
    pub admission: Admission,
}

impl Access {
    /// Waits for the request's turn. Its body is not touched yet, so a refusal costs nobody the reading of it.
    async fn admit(
        &self,
        request: &RequestCx,
        op: S3Op,
        account: AccountId,
        declared: &Declared,
    ) -> S3Result<Arc<Pass>> {
        let (class, cost) = (Class::of(op), Cost::of(op, declared));
        let ask = Ask { account, weight: request.body.weight(), class, cost, deadline: request.deadline };
        let pass = Pass::enter(&self.admission, ask).await.map_err(|why| respond(OpError::from(why)))?;
        let _ = request.pass.set(Arc::clone(&pass));
        Ok(pass)
    }
}

/// What the head of a request says about its size. What is malformed counts as unsaid: it is refused where it is read.
fn declared(headers: &HeaderMap, query: &[(String, String)]) -> Declared {
    let length = |name| headers.get(name)?.to_str().ok()?.parse().ok();
    let names = ["max-keys", "max-uploads", "max-parts", "max-buckets"];
    let keys = query.iter().find(|(name, _)| names.contains(&name.as_str()));
    Declared {
        body: length("x-amz-decoded-content-length").or_else(|| length("content-length")),
        keys: keys.and_then(|(_, value)| value.parse().ok()),
    }
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
        self.gates.enter(&request, *signer, op, cx.uri(), cx.headers())?;
        let headers = front::effective_headers(cx.headers(), cx.uri())?;
        validate::names(cx.s3_path())?;
        let query = front::query(cx.uri());
        validate::query(op, &query)?;
        validate::headers(op, &headers)?;
        validate::expected_owner(*signer, &headers)?;
        let declared = declared(&headers, &query);
        if op.takes_document() {
            let stated = Stated::read(&headers)?;
            if op == S3Op::DeleteObjects && !stated.has_digest() {
                return Err(s3_error!(InvalidRequest, "Missing required header for this request: Content-MD5"));
            }
            let pass = self.admit(&request, op, *signer, &declared).await?;
            return pass.intake(false, request.body.read_document(op, &stated, *signer, &self.documents)).await;
        }
        self.admit(&request, op, *signer, &declared).await?;
        Ok(())
    }
}

fn not_built(name: &str) -> S3Error {
    s3_error!(NotImplemented, "{name} is not implemented.")
}
