//! Limits of an account on the command line: options, and how they are shown.

use bulkhead_model::{
    AccountLimits, Limit,
    api::control_plane::{Account, Quota},
};
use clap::Args;
use std::str::FromStr;

/// What is to be set. An option that is not given changes nothing.
#[derive(Debug, Clone, Default, Args)]
pub struct Wanted {
    /// Reads per second, or `default`.
    #[arg(long, value_name = "N|default")]
    read_requests: Option<Setting>,
    /// Writes per second, or `default`.
    #[arg(long, value_name = "N|default")]
    write_requests: Option<Setting>,
    /// Listings per second, or `default`.
    #[arg(long, value_name = "N|default")]
    list_requests: Option<Setting>,
    /// Deletions per second, or `default`.
    #[arg(long, value_name = "N|default")]
    delete_requests: Option<Setting>,
    /// Bytes of request bodies per second, or `default`.
    #[arg(long, value_name = "N|default")]
    bytes_in: Option<Setting>,
    /// Bytes of answers per second, or `default`.
    #[arg(long, value_name = "N|default")]
    bytes_out: Option<Setting>,
    /// Requests at a time, or `default`.
    #[arg(long, value_name = "N|default")]
    concurrent_requests: Option<Setting>,
    /// Share of a busy cell, relative to other accounts, or `default`.
    #[arg(long, value_name = "N|default")]
    weight: Option<Setting>,
}

/// A figure, or the cell's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting(Option<u64>);

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self(None));
        }
        text.parse().map(|figure| Self(Some(figure))).map_err(|_| "a whole number, or `default`".to_owned())
    }
}

impl Wanted {
    /// What is set afterwards.
    pub fn over(&self, mut limits: AccountLimits) -> AccountLimits {
        for limit in Limit::ALL {
            if let Some(Setting(to)) = self.of(limit) {
                limits.set(limit, to);
            }
        }
        limits
    }

    fn of(&self, limit: Limit) -> Option<Setting> {
        match limit {
            Limit::ReadRequests => self.read_requests,
            Limit::WriteRequests => self.write_requests,
            Limit::ListRequests => self.list_requests,
            Limit::DeleteRequests => self.delete_requests,
            Limit::BytesIn => self.bytes_in,
            Limit::BytesOut => self.bytes_out,
            Limit::ConcurrentRequests => self.concurrent_requests,
            Limit::Weight => self.weight,
        }
    }
}

/// What an account is to hold at most. An option that is not given changes nothing.
#[derive(Debug, Clone, Default, Args)]
pub struct WantedQuota {
    /// Bytes of objects it may hold, or `none` for as many as its cell has.
    #[arg(long, value_name = "N|none")]
    bytes: Option<Bound>,
    /// Objects it may hold, or `none`.
    #[arg(long, value_name = "N|none")]
    objects: Option<Bound>,
    /// Buckets it may have, or `none`.
    #[arg(long, value_name = "N|none")]
    buckets: Option<Bound>,
}

/// A figure, or no bound but the cell's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound(Option<u64>);

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        text.parse().map(|figure| Self(Some(figure))).map_err(|_| "a whole number, or `none`".to_owned())
    }
}

impl WantedQuota {
    /// What is set afterwards.
    pub fn over(&self, quota: Quota) -> Quota {
        let over = |wanted: Option<Bound>, now| wanted.map_or(now, |Bound(to)| to);
        Quota {
            bytes: over(self.bytes, quota.bytes),
            objects: over(self.objects, quota.objects),
            buckets: over(self.buckets, quota.buckets),
        }
    }
}

/// `bytes 1024; buckets 2; the rest as its cell has it`
pub fn quota_text(quota: &Quota) -> String {
    let all = [("bytes", quota.bytes), ("objects", quota.objects), ("buckets", quota.buckets)];
    let mut said: Vec<String> = all.iter().filter_map(|(name, to)| to.map(|to| format!("{name} {to}"))).collect();
    said.push(if said.is_empty() { "none but its cell's" } else { "the rest as its cell has it" }.to_owned());
    said.join("; ")
}

/// `write_requests 50 requests/s; the rest as its cell has it`
pub fn text(account: &Account) -> String {
    let set = |limit: Limit| account.limits.get(limit).map(|to| format!("{limit} {to} {}", limit.unit()));
    let mut said: Vec<String> = Limit::ALL.into_iter().filter_map(set).collect();
    said.push(if said.is_empty() { "all as its cell has them" } else { "the rest as its cell has them" }.to_owned());
    if !account.limits_in_force {
        said.push("the cell has not confirmed them yet".to_owned());
    }
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_set_or_given_back_and_the_rest_stays() {
        let wanted = Wanted {
            write_requests: Some("50".parse().expect("a number")),
            bytes_in: Some("default".parse().expect("a word")),
            ..Wanted::default()
        };
        let before = AccountLimits { bytes_in: Some(1 << 20), list_requests: Some(3), ..AccountLimits::default() };
        let after = AccountLimits { write_requests: Some(50), list_requests: Some(3), ..AccountLimits::default() };
        assert_eq!(wanted.over(before), after);
        assert!("many".parse::<Setting>().is_err() && "-1".parse::<Setting>().is_err());
    }
}
