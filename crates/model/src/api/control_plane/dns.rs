//! The names under which accounts find their routers.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use crate::AccountId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Some of the names, in the order of the accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsPage {
    pub zone: String,
    /// For how long a resolver may keep an answer.
    pub ttl_seconds: u32,
    pub names: Vec<DnsName>,
    /// Say it as `after` for the next ones; absent behind the last.
    pub next: Option<AccountId>,
}

/// An account's name, and its hand of routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsName {
    pub account: AccountId,
    pub name: String,
    /// The preferred one first.
    pub addresses: Vec<IpAddr>,
}
