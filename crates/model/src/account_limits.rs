//! What one account may ask of its cell: rates by class, bandwidth, concurrency, and its weight among its neighbours.
//!
//! An account's own figures are optional, each by itself: what is not set is the cell's default, out of its blueprint. The bounds
//! keep a typing error from locking an account out or from setting it free. Knows nothing of how limits are enforced.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a limit is refused: both numbers, and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} is {found}, but must be {min} to {max}: {why}")]
pub struct LimitError {
    pub limit: Limit,
    pub found: u64,
    pub min: u64,
    pub max: u64,
    pub why: &'static str,
}

/// One of an account's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    ReadRequests,
    WriteRequests,
    ListRequests,
    DeleteRequests,
    BytesIn,
    BytesOut,
    ConcurrentRequests,
    Weight,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ReadRequests,
        Self::WriteRequests,
        Self::ListRequests,
        Self::DeleteRequests,
        Self::BytesIn,
        Self::BytesOut,
        Self::ConcurrentRequests,
        Self::Weight,
    ];

    /// Its name in files, in the API and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadRequests => "read_requests",
            Self::WriteRequests => "write_requests",
            Self::ListRequests => "list_requests",
            Self::DeleteRequests => "delete_requests",
            Self::BytesIn => "bytes_in",
            Self::BytesOut => "bytes_out",
            Self::ConcurrentRequests => "concurrent_requests",
            Self::Weight => "weight",
        }
    }

    /// What it counts, for people.
    pub fn unit(self) -> &'static str {
        match self {
            Self::ReadRequests | Self::WriteRequests | Self::ListRequests | Self::DeleteRequests => "requests/s",
            Self::BytesIn | Self::BytesOut => "bytes/s",
            Self::ConcurrentRequests => "requests at a time",
            Self::Weight => "shares",
        }
    }

    /// The least and the most it may be, and why.
    fn bounds(self) -> (u64, u64, &'static str) {
        match self {
            Self::ReadRequests | Self::WriteRequests | Self::ListRequests | Self::DeleteRequests => {
                (1, 1_000_000, "an account is closed by deleting it, and no cell serves more")
            }
            Self::BytesIn | Self::BytesOut => {
                (64 << 10, 1 << 40, "less than 64 KiB/s serves nobody, and no cell moves more")
            }
            Self::ConcurrentRequests => (1, 100_000, "an account is closed by deleting it, and no cell holds more"),
            Self::Weight => (1, 1_000, "a neighbour's share must stay a share"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was set for one account. `None` is the default of its cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountLimits {
    /// Reads of objects and settings, per second.
    pub read_requests: Option<u64>,
    /// Writes of objects, parts and buckets, per second.
    pub write_requests: Option<u64>,
    /// Listings, per second.
    pub list_requests: Option<u64>,
    /// Deletions, per second.
    pub delete_requests: Option<u64>,
    /// Bytes of request bodies, per second.
    pub bytes_in: Option<u64>,
    /// Bytes of answers, per second.
    pub bytes_out: Option<u64>,
    /// Requests being served at a time.
    pub concurrent_requests: Option<u64>,
    /// Its share of a busy cell, relative to its neighbours'.
    pub weight: Option<u64>,
}

impl AccountLimits {
    /// The figure of one limit, if it is set.
    pub fn get(&self, limit: Limit) -> Option<u64> {
        let mut all = *self;
        *all.slot(limit)
    }

    /// Sets a limit, or with `None` gives it back to the cell's default.
    pub fn set(&mut self, limit: Limit, to: Option<u64>) {
        *self.slot(limit) = to;
    }

    /// Nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks every figure that is set.
    ///
    /// # Errors
    /// The first one that is out of its bounds.
    pub fn validate(&self) -> Result<(), LimitError> {
        Limit::ALL.into_iter().try_for_each(|limit| self.get(limit).map_or(Ok(()), |found| check(limit, found)))
    }

    /// With the cell's defaults for what is not set.
    pub fn over(&self, defaults: &Limits) -> Limits {
        let mut limits = *defaults;
        for limit in Limit::ALL {
            if let Some(figure) = self.get(limit) {
                *limits.slot(limit) = figure;
            }
        }
        limits
    }

    fn slot(&mut self, limit: Limit) -> &mut Option<u64> {
        match limit {
            Limit::ReadRequests => &mut self.read_requests,
            Limit::WriteRequests => &mut self.write_requests,
            Limit::ListRequests => &mut self.list_requests,
            Limit::DeleteRequests => &mut self.delete_requests,
            Limit::BytesIn => &mut self.bytes_in,
            Limit::BytesOut => &mut self.bytes_out,
            Limit::ConcurrentRequests => &mut self.concurrent_requests,
            Limit::Weight => &mut self.weight,
        }
    }
}

/// What holds for an account: all figures. In a blueprint, the defaults of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub read_requests: u64,
    pub write_requests: u64,
    pub list_requests: u64,
    pub delete_requests: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub concurrent_requests: u64,
    pub weight: u64,
}

impl Default for Limits {
    /// More than one small cell does: one account may use all of a quiet cell until its operator says otherwise.
    fn default() -> Self {
        Self {
            read_requests: 50_000,
            write_requests: 20_000,
            list_requests: 5_000,
            delete_requests: 20_000,
            bytes_in: 4 << 30,
            bytes_out: 4 << 30,
            concurrent_requests: 4_096,
            weight: 100,
        }
    }
}

impl Limits {
    /// The figure of one limit.
    pub fn get(&self, limit: Limit) -> u64 {
        let mut all = *self;
        *all.slot(limit)
    }

    /// Checks every figure.
    ///
    /// # Errors
    /// The first one that is out of its bounds.
    pub fn validate(&self) -> Result<(), LimitError> {
        Limit::ALL.into_iter().try_for_each(|limit| check(limit, self.get(limit)))
    }

    fn slot(&mut self, limit: Limit) -> &mut u64 {
        match limit {
            Limit::ReadRequests => &mut self.read_requests,
            Limit::WriteRequests => &mut self.write_requests,
            Limit::ListRequests => &mut self.list_requests,
            Limit::DeleteRequests => &mut self.delete_requests,
            Limit::BytesIn => &mut self.bytes_in,
            Limit::BytesOut => &mut self.bytes_out,
            Limit::ConcurrentRequests => &mut self.concurrent_requests,
            Limit::Weight => &mut self.weight,
        }
    }
}

fn check(limit: Limit, found: u64) -> Result<(), LimitError> {
    let (min, max, why) = limit.bounds();
    if (min..=max).contains(&found) { Ok(()) } else { Err(LimitError { limit, found, min, max, why }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_the_cell_s_default() {
        let mut own = AccountLimits::default();
        assert!(own.is_default());
        own.set(Limit::WriteRequests, Some(50));
        let limits = own.over(&Limits::default());
        assert_eq!((limits.write_requests, limits.read_requests), (50, Limits::default().read_requests));
        own.set(Limit::WriteRequests, None);
        assert_eq!(own.over(&Limits::default()), Limits::default());
    }

    #[test]
    fn a_figure_out_of_its_bounds_is_refused_with_both_numbers() {
        let own = AccountLimits { bytes_in: Some(1_000), ..AccountLimits::default() };
        let error = own.validate().expect_err("too little").to_string();
        assert_eq!(
            error,
            "bytes_in is 1000, but must be 65536 to 1099511627776: less than 64 KiB/s serves nobody, and no cell moves more"
        );
        for limit in Limit::ALL {
            for wrong in [0, u64::MAX] {
                let mut own = AccountLimits::default();
                own.set(limit, Some(wrong));
                assert!(own.validate().is_err(), "{limit} {wrong}");
            }
        }
        assert_eq!(Limits::default().validate(), Ok(()));
    }

    #[test]
    fn every_limit_has_its_own_place_and_name() {
        for limit in Limit::ALL {
            let mut own = AccountLimits::default();
            own.set(limit, Some(7));
            let text = serde_json::to_value(own).expect("plain");
            assert_eq!(text[limit.name()], 7, "{limit}");
            assert_eq!(Limit::ALL.iter().filter(|other| own.get(**other).is_some()).count(), 1);
        }
    }
}
