//! What stands in front of a request's execution, once it is known whose it is and what it asks for, and before its body is read:
//! the account's limits first, and poison last.

use super::{
    caller::RequestCx,
    calls::{Action, S3Op},
};
use crate::{
    admit::{Admission, Begun},
    limit::{Dimension, Limiter, Over, Refused},
    limits::PART_BYTES_MAX,
    poison::{self, Poison, Scope, Shape},
};
use bulkhead_model::{AccountId, headers};
use bulkhead_service::fail_point::FailPoint;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use s3s::{S3Error, S3ErrorCode, S3Result};
use std::{borrow::Cow, time::Duration};

/// The gates of a node. Cheap to clone.
#[derive(Clone)]
pub struct Gates {
    pub limiter: Limiter,
    pub poison: Poison,
}

/// A request with this header ends a process in which the fail point `poison-request` is armed, and means nothing to any other.
const POISON: &str = "x-amz-meta-bulkhead-poison";

impl Gates {
    /// Lets a request pass, or refuses it, and tells `admission` of whom it refuses. What it holds while it is executed is given back when the
    /// request is over.
    ///
    /// # Errors
    /// The S3 error that says why, and what the client may do.
    pub fn enter(
        &self,
        admission: &Admission,
        request: &RequestCx,
        account: AccountId,
        op: S3Op,
        headers: &HeaderMap,
    ) -> S3Result<()> {
        let class = class(op);
        let body = body_length(headers);
        let entered = match request.begun {
            Begun::Yes => self.limiter.readmit(account, class, body),
            Begun::No => self.limiter.enter(account, class, body),
        };
        let permit = entered.map_err(|refused| {
            let why = match refused {
                Refused::Over(Over { dimension, .. }) => dimension.limit().name(),
                Refused::TooManyAccounts => "accounts_active",
            };
            metrics::counter!("account_limit_refusals_total", "limit" => why, "class" => class.limit().name())
                .increment(1);
            admission.over_limit(account, why);
            slow_down(refused)
        })?;
        request.body.meter(permit);
        Ok(())
    }

    /// Notes a request that is to be executed now, or refuses it as poison. The last before the execution: what is refused for another reason
    /// cannot do harm, and is not worth a note.
    ///
    /// # Errors
    /// The S3 error that says until when it is refused.
    pub fn note(
        &self,
        request: &RequestCx,
        account: AccountId,
        op: S3Op,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> S3Result<()> {
        let shape = Shape::of(account, op.name(), uri, headers);
        let ticket = self.poison.enter(&shape).map_err(|refused| {
            let scope = match refused.scope {
                Scope::Here => "node",
                Scope::Alone => "alone",
                Scope::Cell => "cell",
            };
            metrics::counter!("poison_refusals_total", "scope" => scope).increment(1);
            quarantined(&refused)
        })?;
        let _ = request.ticket.set(ticket);
        if headers.contains_key(POISON) {
            FailPoint::PoisonRequest.pass();
        }
        Ok(())
    }
}

/// Bytes of the body as it comes, with its framing, as far as the head says.
fn body_length(headers: &HeaderMap) -> u64 {
    let length = |name| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let stated = length("content-length").or_else(|| length("x-amz-decoded-content-length"));
    // Nothing longer is read.
    stated.unwrap_or_default().min(PART_BYTES_MAX)
}

/// The rate that a call counts against. No `_` arm: a new action must state it before it compiles.
fn class(op: S3Op) -> Dimension {
    match op.action() {
        Action::ListAccount | Action::ListBucket | Action::ReadUploads => Dimension::Lists,
        Action::ReadBucketSettings | Action::ReadObject => Dimension::Reads,
        Action::CreateBucket | Action::WriteObject => Dimension::Writes,
        Action::DeleteBucket | Action::DeleteObject => Dimension::Deletes,
    }
}

/// Another node would refuse it too, so the router is not asked to try one.
fn slow_down(refused: Refused) -> S3Error {
    let (message, wait): (Cow<'static, str>, _) = match refused {
        Refused::Over(Over { dimension, retry_after }) => {
            let limit = dimension.limit();
            (
                format!("Please reduce your request rate. The account is over its limit {limit} ({}).", limit.unit())
                    .into(),
                retry_after,
            )
        }
        Refused::TooManyAccounts => ("Please reduce your request rate.".into(), Duration::from_secs(1)),
    };
    let mut error = S3Error::with_message(S3ErrorCode::SlowDown, message);
    let seconds = wait.as_millis().div_ceil(1_000).max(1);
    let retry_after = HeaderValue::try_from(seconds.to_string()).expect("digits");
    error.set_headers(HeaderMap::from_iter([(header::RETRY_AFTER, retry_after)]));
    error
}

/// On the node that died, and where another suspect is being executed: `503`, and the router tries another node. Everywhere: `403`, which clients and routers do not repeat.
fn quarantined(refused: &poison::Refused) -> S3Error {
    match refused.scope {
        Scope::Here | Scope::Alone => {
            let mut error =
                S3Error::with_message(S3ErrorCode::ServiceUnavailable, "Service is unable to handle request.");
            let name = HeaderName::from_static(headers::NOT_EXECUTED);
            error.set_headers(HeaderMap::from_iter([(name, HeaderValue::from_static("1"))]));
            error
        }
        Scope::Cell => {
            let message = format!(
                "Requests like this one have ended the servers that executed them. They are refused until {} (shape {:016x}).",
                super::convert::http_date(refused.until),
                refused.hash
            );
            let mut error = S3Error::with_message(S3ErrorCode::Custom("RequestQuarantined".into()), message);
            error.set_status_code(StatusCode::FORBIDDEN);
            error
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Timestamp;

    #[test]
    fn every_call_counts_against_the_rate_of_what_it_does() {
        for (op, expected) in [
            (S3Op::GetObject, Dimension::Reads),
            (S3Op::UploadPart, Dimension::Writes),
            (S3Op::ListParts, Dimension::Lists),
            (S3Op::DeleteObjects, Dimension::Deletes),
        ] {
            assert_eq!(class(op), expected, "{}", op.name());
        }
        for op in S3Op::ALL {
            let writes = matches!(class(*op), Dimension::Writes | Dimension::Deletes);
            assert_eq!(writes, op.action().writes(), "{}", op.name());
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_is_not_tried_on_another_node() {
        let over = Over { dimension: Dimension::Writes, retry_after: Duration::from_millis(1_200) };
        let error = slow_down(Refused::Over(over));
        assert_eq!((error.code().as_str(), error.status_code()), ("SlowDown", Some(StatusCode::SERVICE_UNAVAILABLE)));
        let headers = error.headers().expect("set");
        assert_eq!(headers[header::RETRY_AFTER], "2");
        assert!(!headers.contains_key(headers::NOT_EXECUTED));
        assert!(error.message().is_some_and(|message| message.contains("write_requests")));
    }

    #[test]
    fn a_suspect_is_sent_to_another_node_and_a_quarantined_request_is_not_repeated() {
        let refused = |scope| poison::Refused {
            hash: 0xAB,
            account: AccountId::new(AccountId::FIRST).expect("in range"),
            operation: "PutObject".into(),
            deaths: 2,
            until: Timestamp(1_750_000_000_000),
            scope,
        };
        for here in [Scope::Here, Scope::Alone].map(|scope| quarantined(&refused(scope))) {
            assert_eq!(here.status_code(), Some(StatusCode::SERVICE_UNAVAILABLE));
            assert!(here.headers().is_some_and(|all| all.contains_key(headers::NOT_EXECUTED)));
        }
        let cell = quarantined(&refused(Scope::Cell));
        assert_eq!((cell.code().as_str(), cell.status_code()), ("RequestQuarantined", Some(StatusCode::FORBIDDEN)));
        assert!(cell.headers().is_none_or(|all| !all.contains_key(headers::NOT_EXECUTED)));
    }
}
