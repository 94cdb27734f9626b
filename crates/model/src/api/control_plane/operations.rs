//! Long work that is watched, who may do what, and what was done.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use crate::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Work that goes on whether or not anybody waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    pub id: u64,
    pub kind: OperationKind,
    /// The cell or account it is about.
    pub target: String,
    pub state: OperationState,
    /// What was done so far, oldest first.
    pub steps: Vec<OperationStep>,
    pub began_at: Timestamp,
    /// Who asked for it.
    pub by: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    StampCell,
    /// A cell that failed is removed, or one without accounts retired.
    DismantleCell,
    ReplaceNode,
    PurgeAccount,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    Running,
    Succeeded,
    Failed { why: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationStep {
    pub at: Timestamp,
    pub what: String,
}

/// What a token lets its holder do. Each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks, and changes nothing.
    ReadOnly,
    /// Changes accounts, keys and cells.
    Operator,
    /// Makes and revokes tokens too, and removes what cannot be had back.
    Admin,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "read-only",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::ReadOnly, Self::Operator, Self::Admin];
        let found = all.into_iter().find(|role| role.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is not a role: read-only, operator or admin"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// 1 to 32 of a-z, 0-9 and '-'. It stands in the audit log.
    pub name: String,
    pub role: Role,
}

/// A new token: the only time it is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedToken {
    pub name: String,
    pub role: Role,
    pub token: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    pub name: String,
    pub role: Role,
    pub created_at: Timestamp,
}

/// One change, as it was made. No secret is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    pub sequence: u64,
    pub at: Timestamp,
    /// A token's name, or `control-plane` when it acted by itself.
    pub who: String,
    /// The command.
    pub what: String,
    /// `account 123456789012`, `cell c1`, `key BK...`, `token ci`.
    pub target: String,
    /// The record before and after, in JSON; `None` when there was or is none.
    pub before: Option<String>,
    pub after: Option<String>,
}
