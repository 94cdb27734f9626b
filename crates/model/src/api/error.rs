//! The one error body of the admin and control-plane APIs.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, for programs (`code`) and for people (`message`: what was wrong and what is allowed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, JsonSchema)]
#[error("{message} ({code})")]
pub struct ApiError {
    /// Stable, for example `not_found`, `conflict`, `invalid`, `unauthorized`, `unavailable`.
    pub code: String,
    pub message: String,
}
