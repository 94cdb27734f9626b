//! What a caller is told when something is not done: a status, a stable code, and what would be accepted.

use crate::{
    cells::CellError,
    domain::account::InvalidAccount,
    store::{DirectoryError, command::Refusal},
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use bulkhead_model::{account_limits::LimitError, api::error::ApiError};
use http::StatusCode;

/// An answer that is not a success.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    error: ApiError,
}

impl Failure {
    fn new(status: StatusCode, code: &str, message: impl ToString) -> Self {
        Self { status, error: ApiError { code: code.into(), message: message.to_string() } }
    }

    /// The request is not one this API understands.
    pub fn invalid(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub fn unauthorized() -> Self {
        let message = "send a valid token as Authorization: Bearer <token>";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub fn forbidden(message: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub fn not_found(message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the resource has no such method; see Allow")
    }

    pub fn conflict(message: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// It is understood, and does not hold.
    pub fn refused(message: impl ToString) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", message)
    }

    /// Nothing was done, and nothing is left behind.
    pub fn unavailable(message: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// It may have been done, or may still be: the caller has to look.
    pub fn unknown(message: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", message)
    }

    /// The work was taken up and failed.
    pub fn failed(message: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    }

    fn internal(message: impl std::fmt::Display) -> Self {
        tracing::error!(error = %message, "a request met a fault of this node");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this node has a fault; its log says which")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.error)).into_response()
    }
}

impl From<InvalidAccount> for Failure {
    fn from(error: InvalidAccount) -> Self {
        Self::invalid(error)
    }
}

impl From<bulkhead_replica::StoreError> for Failure {
    fn from(error: bulkhead_replica::StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<LimitError> for Failure {
    fn from(error: LimitError) -> Self {
        Self::invalid(error)
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Unavailable(_) => Self::unavailable(error),
            DirectoryError::Unknown(_) => Self::unknown(error),
            DirectoryError::Refused(refusal) => refusal.into(),
            DirectoryError::Store(error) => Self::internal(error),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match &refusal {
            Refusal::NoSuchAccount(_)
            | Refusal::NoSuchKey { .. }
            | Refusal::KeyGone(_)
            | Refusal::NoSuchCell(_)
            | Refusal::NoSuchOperation(_)
            | Refusal::NoSuchToken(_)
            | Refusal::NoSuchNode { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::AccountIdTaken(_)
            | Refusal::KeyIdTaken
            | Refusal::EmailTaken { .. }
            | Refusal::AccountNotActive { .. }
            | Refusal::AccountNotDeleting { .. }
            | Refusal::AccountNotEmpty { .. }
            | Refusal::KeyNotDeleting(_)
            | Refusal::CellExists { .. }
            | Refusal::IllegalCellMove { .. }
            | Refusal::CellPlanned(_)
            | Refusal::CellNotActive { .. }
            | Refusal::ReplacementUnderWay { .. }
            | Refusal::NoSuchReplacement { .. }
            | Refusal::CellMoved { .. }
            | Refusal::CellHasAccounts { .. }
            | Refusal::CellCannot { .. }
            | Refusal::CellUnvouched { .. }
            | Refusal::TokenExists(_)
            | Refusal::IllegalAccountMove { .. }
            | Refusal::SettingStale { .. }
            | Refusal::SettingUnderWay { .. }
            | Refusal::NoRollout(_)
            | Refusal::NothingToRollBack(_)
            | Refusal::BucketTaken => (StatusCode::CONFLICT, "conflict"),
            Refusal::TooManyKeys { .. }
            | Refusal::TooManyCells { .. }
            | Refusal::TooManyTokens { .. }
            | Refusal::TooManyTargets { .. }
            | Refusal::TooManyBuckets { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "limit"),
            Refusal::IdempotencyMismatch(_) => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch"),
            Refusal::NoRoom | Refusal::NoCellFits { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_room"),
        };
        Self::new(status, code, refusal)
    }
}

impl From<CellError> for Failure {
    fn from(error: CellError) -> Self {
        match error {
            CellError::Unreachable { .. } => Self::unavailable(error),
            CellError::Unknown { .. } => Self::unknown(error),
            CellError::Refused { status: StatusCode::CONFLICT, .. } => Self::conflict(error),
            CellError::Refused { .. } | CellError::Token(_) => Self::internal(error),
            CellError::Directory(error) => error.into(),
        }
    }
}
