//! What is known after a call that failed.

use bulkhead_model::api::error::ApiError;
use http::StatusCode;
use hyper_util::client::legacy;
use std::{error::Error, time::Duration};

/// Why a call has no usable answer, and by that whether it may have been executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The request could not be built.
    #[error("the request cannot be sent: {0}")]
    Unusable(String),
    /// No connection: nothing was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The connection was lost: the call may have been executed.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// No answer in time: the call may have been executed, or may still be.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The peer refused, and says why.
    #[error("{error} [{status}]")]
    Refused { status: StatusCode, error: ApiError },
    /// The call was executed, but its answer cannot be read.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
}

impl ClientError {
    /// Nothing was sent, so that the call may be repeated elsewhere whatever it does.
    pub fn certainly_not_sent(&self) -> bool {
        match self {
            Self::Unusable(_) | Self::Unreachable(_) => true,
            Self::Lost(_) | Self::TimedOut(_) | Self::Refused { .. } | Self::Malformed(_) => false,
        }
    }

    /// The status, when the peer refused.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unusable(_) | Self::Unreachable(_) | Self::Lost(_) | Self::TimedOut(_) | Self::Malformed(_) => None,
        }
    }

    pub(super) fn from_pool(error: &legacy::Error) -> Self {
        let text = with_causes(error);
        if error.is_connect() { Self::Unreachable(text) } else { Self::Lost(text) }
    }
}

/// The error and what caused it, on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
