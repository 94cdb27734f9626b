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
    limits::DOCUMENT_BYTES_MAX,
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
        let RequestCx { begun, deadline, .. } = *request;
        let ask = Ask { account, weight: request.body.weight(), class, cost, begun, deadline };
        let pass = Pass::enter(&self.admission, ask).await.map_err(|why| respond(OpError::from(why)))?;
        let _ = request.pass.set(Arc::clone(&pass));
        Ok(pass)
    }
}

/// What the head of a request says about its size, never less than what will be read. What is malformed counts as unsaid: it is refused where
/// it is read.
fn declared(op: S3Op, headers: &HeaderMap, query: &[(String, String)]) -> Declared {
    let length = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let body = if op.takes_document() {
        Some(length("content-length").unwrap_or(DOCUMENT_BYTES_MAX as u64))
    } else {
        length("x-amz-decoded-content-length").or_else(|| length("content-length"))
    };
    let said = query.iter().filter(|(name, _)| op.page_size_parameter() == Some(name.as_str()));
    let said: Option<Vec<u64>> = said.map(|(_, value)| value.parse().ok()).collect();
    Declared { body, keys: said.and_then(|said| said.into_iter().max()) }
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
        when::check(cx.headers(), cx.uri(), self.clock.wall()).map_err(|why| untimely(why, self.clock.is_doubted()))?;
        let op = S3Op::parse(&name).ok_or_else(|| not_built(&name))?;
        let _ = request.call.set((op, self.clock.now()));
        self.gates.enter(&self.admission, &request, *signer, op, cx.headers())?;
        let headers = front::effective_headers(cx.headers(), cx.uri())?;
        validate::names(cx.s3_path())?;
        let query = front::query(cx.uri());
        validate::query(op, &query)?;
        validate::headers(op, &headers)?;
        validate::expected_owner(*signer, &headers)?;
        let declared = declared(op, &headers, &query);
        if op.takes_document() {
            let stated = Stated::read(&headers)?;
            if op == S3Op::DeleteObjects && !stated.has_digest() {
                return Err(s3_error!(InvalidRequest, "Missing required header for this request: Content-MD5"));
            }
            let pass = self.admit(&request, op, *signer, &declared).await?;
            self.gates.note(&request, *signer, op, cx.uri(), cx.headers())?;
            return pass.intake(request.body.read_document(op, &stated, *signer, &self.documents)).await;
        }
        self.admit(&request, op, *signer, &declared).await?;
        self.gates.note(&request, *signer, op, cx.uri(), cx.headers())
    }
}

/// What to say to a request whose time is not ours. A node that does not know yet what time it is in its cell says that it did nothing, so
/// that the router tries one that does.
fn untimely(why: S3Error, is_doubted: bool) -> S3Error {
    if is_doubted { respond(OpError::NotExecuted("the time of the cell is not known here yet".into())) } else { why }
}

fn not_built(name: &str) -> S3Error {
    s3_error!(NotImplemented, "{name} is not implemented.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn of(op: S3Op, headers: &[(&'static str, &'static str)], query: &[(&str, &str)]) -> (Option<u64>, Option<u64>) {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let query: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let Declared { body, keys } = declared(op, &headers.collect(), &query);
        (body, keys)
    }

    #[test]
    fn nobody_is_refused_for_the_time_by_a_node_that_does_not_know_it() {
        let skewed = || s3_error!(RequestTimeTooSkewed, "The time differs.");
        assert_eq!(untimely(skewed(), false).code().as_str(), "RequestTimeTooSkewed");
        let told = untimely(skewed(), true);
        assert_eq!(told.status_code(), Some(http::StatusCode::SERVICE_UNAVAILABLE));
        assert!(told.headers().is_some_and(|all| all.contains_key(bulkhead_model::headers::NOT_EXECUTED)));
    }

    #[test]
    fn a_page_costs_what_its_own_parameter_says_and_the_most_when_that_cannot_be_read() {
        for (query, expected) in [
            (vec![("max-parts", "5")], Some(5)),
            (vec![], None),
            (vec![("max-keys", "1")], None),
            (vec![("max-parts", "1"), ("max-parts", "900")], Some(900)),
            (vec![("max-parts", "1"), ("max-parts", "many")], None),
            (vec![("max-parts", "-1")], None),
        ] {
            assert_eq!(of(S3Op::ListParts, &[], &query).1, expected, "{query:?}");
        }
        assert_eq!(of(S3Op::ListObjectsV2, &[], &[("max-keys", "1")]).1, Some(1));
        assert_eq!(of(S3Op::GetObject, &[], &[("max-keys", "1")]).1, None);
    }

    #[test]
    fn a_document_is_as_long_as_its_connection_says_and_an_objects_bytes_as_what_is_decoded() {
        let both = [("content-length", "900"), ("x-amz-decoded-content-length", "1")];
        assert_eq!(of(S3Op::DeleteObjects, &both, &[]).0, Some(900));
        assert_eq!(of(S3Op::DeleteObjects, &both[1..], &[]).0, Some(DOCUMENT_BYTES_MAX as u64));
        assert_eq!(of(S3Op::PutObject, &both, &[]).0, Some(1));
        assert_eq!(of(S3Op::PutObject, &both[..1], &[]).0, Some(900));
    }
}
