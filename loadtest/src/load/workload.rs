//! A workload as data: who asks, how often, for what.

use super::{arrivals::Arrivals, sizes::Sizes};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest exponent of Zipf that makes sense; beyond it one key gets nearly everything.
const ZIPF_MAX: f64 = 5.0;

/// What all accounts of a run do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    pub name: String,
    /// Accounts that behave alike. Several groups make neighbours of different manners.
    #[serde(rename = "group")]
    pub groups: Vec<Group>,
}

/// Accounts that behave alike, each with its own bucket, keys and arrivals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: String,
    #[serde(default = "one")]
    pub accounts: u32,
    /// Requests per second of each account.
    pub rate: f64,
    #[serde(default)]
    pub arrivals: Arrivals,
    /// Connections of each account: so many of its requests are under way at most.
    #[serde(default = "connections")]
    pub connections: u16,
    /// Keys of each account. All but those of `put_if_absent` and `multipart` exist before the run begins.
    #[serde(default = "keys")]
    pub keys: u32,
    #[serde(default)]
    pub popularity: Popularity,
    pub sizes: Sizes,
    #[serde(rename = "operation")]
    pub operations: Vec<Operation>,
}

/// A share of the requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    pub kind: Kind,
    /// Against the sum of all weights of the group.
    pub weight: f64,
}

/// Which keys are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Popularity {
    #[default]
    Uniform,
    /// The *n*th most popular key as often as `1 / n^exponent` of the first.
    Zipf(f64),
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Put,
    /// `If-None-Match: *` on a key that may be there: `412` is an answer, not an error.
    PutIfAbsent,
    Get,
    /// A tenth of the object, from somewhere in it.
    GetRange,
    Head,
    Delete,
    /// A page of 1,000 keys.
    List,
    /// A page of common prefixes.
    ListPrefixes,
    /// Three parts of 5 MiB, and complete.
    Multipart,
}

/// What is wrong with a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    #[error("the workload is not understood: {0}")]
    Toml(String),
    #[error("the workload has no group")]
    Empty,
    #[error("group {group:?}: {what}")]
    Group { group: String, what: String },
    #[error("there is no workload {name:?}: give a file, or one of {known}")]
    Unknown { name: String, known: String },
}

/// Workloads that come with the program.
const KNOWN: [(&str, &str); 6] = [
    ("mixed", include_str!("../../workloads/mixed.toml")),
    ("small", include_str!("../../workloads/small.toml")),
    ("large", include_str!("../../workloads/large.toml")),
    ("neighbours", include_str!("../../workloads/neighbours.toml")),
    ("aggressor", include_str!("../../workloads/aggressor.toml")),
    ("cold", include_str!("../../workloads/cold.toml")),
];

impl Workload {
    /// Reads and checks a workload.
    ///
    /// # Errors
    /// Says what is wrong and what is allowed.
    pub fn parse(text: &str) -> Result<Self, WorkloadError> {
        let workload: Self = toml::from_str(text).map_err(|error| WorkloadError::Toml(error.to_string()))?;
        if workload.groups.is_empty() {
            return Err(WorkloadError::Empty);
        }
        for group in &workload.groups {
            if let Some(what) = group.flaw() {
                return Err(WorkloadError::Group { group: group.name.clone(), what });
            }
        }
        Ok(workload)
    }

    /// One that comes with the program.
    ///
    /// # Errors
    /// Names those that do.
    pub fn known(name: &str) -> Result<Self, WorkloadError> {
        match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::parse(text),
            None => Err(WorkloadError::Unknown { name: name.into(), known: KNOWN.map(|(known, _)| known).join(", ") }),
        }
    }
}

impl Group {
    fn flaw(&self) -> Option<String> {
        if self.accounts == 0 || self.connections == 0 || self.keys == 0 {
            return Some("accounts, connections and keys are at least 1".into());
        }
        if !self.rate.is_finite() || self.rate <= 0.0 {
            return Some(format!("rate is requests per second, above zero, not {}", self.rate));
        }
        if self.operations.iter().any(|operation| !operation.weight.is_finite() || operation.weight <= 0.0) {
            return Some("the weights of operations are above zero".into());
        }
        if self.operations.is_empty() {
            return Some("there is no operation".into());
        }
        match self.popularity {
            Popularity::Zipf(exponent) if !(0.0..=ZIPF_MAX).contains(&exponent) => {
                Some(format!("an exponent of Zipf lies between 0 and {ZIPF_MAX}, not at {exponent}"))
            }
            Popularity::Uniform | Popularity::Zipf(_) => self.sizes.flaw(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Put => "put",
            Self::PutIfAbsent => "put_if_absent",
            Self::Get => "get",
            Self::GetRange => "get_range",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
            Self::ListPrefixes => "list_prefixes",
            Self::Multipart => "multipart",
        })
    }
}

fn one() -> u32 {
    1
}

fn connections() -> u16 {
    16
}

fn keys() -> u32 {
    1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workloads_that_come_along_are_sound() {
        for (name, _) in KNOWN {
            let workload = Workload::known(name).expect("sound");
            assert_eq!(workload.name, name);
            assert!(!workload.groups.is_empty());
        }
        let error = Workload::known("nothing").expect_err("unknown");
        assert!(error.to_string().contains("mixed"), "{error}");
    }

    #[test]
    fn a_flaw_is_named_with_its_group() {
        let text = "name = \"x\"\n[[group]]\nname = \"g\"\nrate = 0\nsizes = { fixed = \"4KiB\" }\noperation = [{ kind = \"put\", weight = 1 }]";
        let error = Workload::parse(text).expect_err("a rate of zero");
        assert_eq!(error.to_string(), "group \"g\": rate is requests per second, above zero, not 0");
        let misspelt = text.replace("rate = 0", "rate = 5\nrat = 1");
        assert!(matches!(Workload::parse(&misspelt), Err(WorkloadError::Toml(_))));
        assert!(Workload::parse(&text.replace("rate = 0", "rate = 5")).is_ok());
        let zipf = text.replace("rate = 0", "rate = 5\npopularity = { zipf = 9.0 }");
        assert!(Workload::parse(&zipf).is_err());
    }
}
