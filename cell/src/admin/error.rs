//! What the admin API answers when it does not do what was asked: one JSON body, and a status that says what to conclude.

use crate::{
    drill::DrillError,
    meta::{command::Refusal, index::SubmitError},
};
use axum::{Json, response::IntoResponse};
use bulkhead_model::{api::error::ApiError, headers};
use bulkhead_replica::{FormError, MembershipError, ReadError, StoreError};
use http::StatusCode;

/// Why an admin call was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error("{0}")]
    Invalid(String),
    #[error("no such account")]
    NotFound,
    #[error("no such shape is refused here")]
    NoSuchShape,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    Drill(#[from] DrillError),
    #[error("the change of the membership is not confirmed yet")]
    Unconfirmed,
    #[error("the index cannot be read")]
    Store(#[from] StoreError),
    #[error("the index answered what was not asked")]
    Unexpected,
}

impl AdminError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
            Self::NotFound | Self::NoSuchShape => (StatusCode::NOT_FOUND, "not_found"),
            Self::Refused(refusal) => refused(refusal),
            Self::Submit(SubmitError::NotExecuted(_)) | Self::Read(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Self::Submit(SubmitError::Unknown(_)) => (StatusCode::GATEWAY_TIMEOUT, "unknown_outcome"),
            Self::Submit(SubmitError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "invalid"),
            Self::Form(_) | Self::Membership(_) => (StatusCode::CONFLICT, "conflict"),
            Self::Drill(error) => drill(error),
            Self::Unconfirmed => (StatusCode::GATEWAY_TIMEOUT, "unknown_outcome"),
            Self::Store(_) | Self::Unexpected => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// Whether the call certainly did nothing and may be sent to another node.
    fn is_not_executed(&self) -> bool {
        match self {
            Self::Submit(SubmitError::NotExecuted(_)) | Self::Read(_) => true,
            Self::Invalid(_)
            | Self::NotFound
            | Self::NoSuchShape
            | Self::Refused(_)
            | Self::Submit(SubmitError::Unknown(_) | SubmitError::TooLarge { .. })
            | Self::Form(_)
            | Self::Membership(_)
            | Self::Drill(_)
            | Self::Unconfirmed
            | Self::Store(_)
            | Self::Unexpected => false,
        }
    }
}

fn drill(error: &DrillError) -> (StatusCode, &'static str) {
    match error {
        DrillError::NotMarked
        | DrillError::NotCertifying
        | DrillError::HasBuckets { .. }
        | DrillError::NoDrillsHere => (StatusCode::CONFLICT, "conflict"),
        DrillError::Seconds(_) | DrillError::NoSuchNode(_) => (StatusCode::BAD_REQUEST, "invalid"),
        DrillError::Disk(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

fn refused(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::NoSuchAccount | Refusal::NoSuchBucket | Refusal::NoSuchKey | Refusal::NoSuchUpload => {
            (StatusCode::NOT_FOUND, "not_found")
        }
        Refusal::CellFull { .. } | Refusal::AccountFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "full"),
        Refusal::TooManyRecent { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Refusal::Moved { .. }
        | Refusal::AccountNotEmpty { .. }
        | Refusal::KeyOfAnotherAccount
        | Refusal::BucketAlreadyOwnedByYou
        | Refusal::BucketAlreadyExists
        | Refusal::ClaimFenced
        | Refusal::BucketNotEmpty
        | Refusal::PreconditionFailed
        | Refusal::EpochClosed { .. }
        | Refusal::InvalidPart { .. }
        | Refusal::InvalidPartOrder
        | Refusal::EntityTooSmall { .. }
        | Refusal::EntityTooLarge { .. }
        | Refusal::BadDigest
        | Refusal::TooManyBuckets { .. }
        | Refusal::TooManyKeys { .. }
        | Refusal::TooManyUploads { .. }
        | Refusal::TooManyDeletes { .. } => (StatusCode::CONFLICT, "conflict"),
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> axum::response::Response {
        let (status, code) = self.status_and_code();
        if status.is_server_error() {
            tracing::warn!(error = ?self, %status, "an admin call failed");
        }
        let body = Json(ApiError { code: code.into(), message: self.to_string() });
        if self.is_not_executed() {
            return (status, [(headers::NOT_EXECUTED, "1")], body).into_response();
        }
        (status, body).into_response()
    }
}
