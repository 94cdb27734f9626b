//! What cells hold against what they may hold, why an account lives where it does, and what the fleet will do next.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use super::{CellState, ClosedBy};
use crate::{AccountId, CellId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something of which a cell has only so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Accounts,
    Bytes,
    Objects,
    /// Requests per second.
    Requests,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Accounts, Self::Bytes, Self::Objects, Self::Requests];

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Bytes => "bytes",
            Self::Objects => "objects",
            Self::Requests => "requests",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A figure for each dimension: declared, held or reserved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Figures {
    pub accounts: u64,
    /// Bytes of object data, before replication.
    pub bytes: u64,
    pub objects: u64,
    /// Requests per second; 0 as a capacity means that none is declared.
    pub requests: u64,
}

impl Figures {
    /// One of them.
    pub fn get(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Accounts => self.accounts,
            Dimension::Bytes => self.bytes,
            Dimension::Objects => self.objects,
            Dimension::Requests => self.requests,
        }
    }

    /// Each combined with its counterpart.
    #[must_use]
    pub fn zip(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            accounts: combine(self.accounts, other.accounts),
            bytes: combine(self.bytes, other.bytes),
            objects: combine(self.objects, other.objects),
            requests: combine(self.requests, other.requests),
        }
    }
}

/// What an account may hold at most. What is set is reserved in its cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Bytes of objects and parts.
    pub bytes: Option<u64>,
    /// Objects, and parts of uploads that are not completed.
    pub objects: Option<u64>,
    pub buckets: Option<u64>,
}

impl Quota {
    /// Nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it, if anything is: what is reserved in a cell is added up, and a typing error must not close the cell to others.
    ///
    /// # Errors
    /// Names the figure, what it is and what it may be at most.
    pub fn validate(&self) -> Result<(), String> {
        const MOST: [(&str, u64); 3] = [("bytes", 1 << 55), ("objects", 1 << 40), ("buckets", 1_000_000)];
        let wrong = MOST.into_iter().zip([self.bytes, self.objects, self.buckets]);
        let mut wrong = wrong.filter_map(|((name, most), set)| Some((name, most, set.filter(|set| *set > most)?)));
        wrong.next().map_or(Ok(()), |(name, most, set)| {
            Err(format!("quota.{name} is {set}, but must be at most {most}, which no cell holds"))
        })
    }
}

/// What vouches for a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellCertificate {
    /// Nothing: it takes no account.
    #[default]
    None,
    /// Nothing, and the control plane's configuration says that it need not be: for tests, of cells of the blueprint `dev`.
    Waived,
    Held {
        build: String,
        /// Hex SHA-256 of the document, which `GET /v1/cells/{cell}/certificate` gives.
        digest: String,
        issued_at: Timestamp,
        expires_at: Timestamp,
    },
}

/// One cell that was looked at when an account was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Considered {
    pub cell: CellId,
    /// The dimension of which the least was left, and how much of its soft limit that was, in thousandths.
    pub scarcest: Dimension,
    pub free_permille: u64,
    /// Why it was out of the question, if it was.
    pub refused: Option<String>,
}

/// Why an account lives where it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    pub at: Timestamp,
    /// In the order of the ring; the first of those with the most headroom won.
    pub considered: Vec<Considered>,
    /// Cells that were no candidates, and why: closed, without a certificate, elsewhere, or not near on the ring.
    pub left_out: Vec<(CellId, String)>,
}

/// An account's place, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explained {
    pub account_id: AccountId,
    pub cell: CellId,
    pub regions: Vec<String>,
    pub apart: Option<String>,
    /// `None` of an account that is older than this record.
    pub placed: Option<Placed>,
}

/// The whole fleet at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fleet {
    pub cells: Vec<FleetCell>,
    /// Headroom of all open cells together, in hundredths of a cell; cells being stamped count whole.
    pub headroom_percent: u64,
    /// Below it the next cell is stamped; `None` when the control plane does not stamp by itself.
    pub floor_percent: Option<u64>,
    /// What the control plane will do next, or waits for.
    pub next: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetCell {
    pub cell: CellId,
    pub region: String,
    pub blueprint: String,
    pub state: CellState,
    pub certificate: CellCertificate,
    /// What its nodes run; `None` when none answered lately.
    pub build: Option<String>,
    /// Nodes that are ready, of all.
    pub ready: u64,
    pub nodes: u64,
    pub dimensions: Vec<FleetDimension>,
    /// What it will do next, or waits for.
    pub next: String,
}

/// One dimension of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FleetDimension {
    pub dimension: Dimension,
    /// The larger of what is held and what is reserved.
    pub used: u64,
    pub capacity: u64,
    /// Above it the cell takes no new account.
    pub soft_limit: u64,
}

impl fmt::Display for ClosedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("an operator closed it"),
            Self::SoftLimit { why } | Self::Certificate { why } => f.write_str(why),
        }
    }
}
