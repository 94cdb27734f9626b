//! What is compared: the cases, in the order in which they are run. Pure.

use crate::report::size;
use serde::Serialize;
use std::fmt;

/// A family of cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Operation {
    Put,
    Get,
    Head,
    /// As warp's mix: 45% GET, 30% HEAD, 15% PUT, 10% DELETE.
    Mixed,
    /// All pages, again and again: keys per second.
    List,
    /// As above with a delimiter: prefixes per second.
    Prefixes,
    Delete,
}

/// One thing that is measured on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    Put { bytes: u64, clients: usize },
    Get { bytes: u64, clients: usize },
    Head { bytes: u64, clients: usize },
    Mixed { bytes: u64, clients: usize },
    List { keys: u64, delimiter: bool },
    Delete { clients: usize },
}

/// What cases are made of.
#[derive(Debug, Clone)]
pub struct Axes {
    pub operations: Vec<Operation>,
    pub sizes: Vec<u64>,
    pub clients: Vec<usize>,
    pub list_keys: Vec<u64>,
    pub mixed_bytes: u64,
}

impl Axes {
    /// All cases: HEAD of the smallest size only, since no bytes move.
    pub fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for operation in &self.operations {
            match operation {
                Operation::Put => cases.extend(self.sized().map(|(bytes, clients)| Case::Put { bytes, clients })),
                Operation::Get => cases.extend(self.sized().map(|(bytes, clients)| Case::Get { bytes, clients })),
                Operation::Head => {
                    let smallest = self.sizes.iter().min().copied();
                    let sized = smallest.into_iter().flat_map(|bytes| self.clients.iter().map(move |c| (bytes, *c)));
                    cases.extend(sized.map(|(bytes, clients)| Case::Head { bytes, clients }));
                }
                Operation::Mixed => {
                    let bytes = self.mixed_bytes;
                    cases.extend(self.clients.iter().map(|clients| Case::Mixed { bytes, clients: *clients }));
                }
                Operation::List | Operation::Prefixes => {
                    let delimiter = *operation == Operation::Prefixes;
                    cases.extend(self.list_keys.iter().map(|keys| Case::List { keys: *keys, delimiter }));
                }
                Operation::Delete => {
                    cases.extend(self.clients.iter().map(|clients| Case::Delete { clients: *clients }))
                }
            }
        }
        cases
    }

    fn sized(&self) -> impl Iterator<Item = (u64, usize)> {
        self.sizes.iter().flat_map(|bytes| self.clients.iter().map(move |clients| (*bytes, *clients)))
    }
}

impl Case {
    /// Clients at a time.
    pub fn clients(self) -> usize {
        match self {
            Self::Put { clients, .. }
            | Self::Get { clients, .. }
            | Self::Head { clients, .. }
            | Self::Mixed { clients, .. }
            | Self::Delete { clients } => clients,
            Self::List { .. } => 1,
        }
    }

    /// What is counted in a second.
    pub fn unit(self) -> &'static str {
        match self {
            Self::List { delimiter: false, .. } => "keys",
            Self::List { delimiter: true, .. } => "prefixes",
            Self::Put { .. } | Self::Get { .. } | Self::Head { .. } | Self::Mixed { .. } | Self::Delete { .. } => {
                "requests"
            }
        }
    }

    /// Bytes of an object that is moved, for rates of bytes; none where that says nothing.
    pub fn object_bytes(self) -> Option<u64> {
        match self {
            Self::Put { bytes, .. } | Self::Get { bytes, .. } => Some(bytes),
            Self::Head { .. } | Self::Mixed { .. } | Self::List { .. } | Self::Delete { .. } => None,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Put { bytes, clients } => format!("PUT {} x{clients}", size(*bytes)),
            Self::Get { bytes, clients } => format!("GET {} x{clients}", size(*bytes)),
            Self::Head { clients, .. } => format!("HEAD x{clients}"),
            Self::Mixed { bytes, clients } => format!("mixed {} x{clients}", size(*bytes)),
            Self::List { keys, delimiter: false } => format!("LIST of {keys}"),
            Self::List { keys, delimiter: true } => format!("LIST / of {keys}"),
            Self::Delete { clients } => format!("DELETE x{clients}"),
        };
        f.pad(&text)
    }
}

impl Serialize for Case {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_meets_every_number_of_clients_and_heads_only_one_size() {
        use Operation::{Delete, Get, Head, List, Mixed, Prefixes, Put};
        let axes = Axes {
            operations: vec![Put, Get, Head, Mixed, List, Prefixes, Delete],
            sizes: vec![4096, 1 << 20],
            clients: vec![1, 16],
            list_keys: vec![10_000],
            mixed_bytes: 65_536,
        };
        let names: Vec<String> = axes.cases().iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 4 + 4 + 2 + 2 + 1 + 1 + 2);
        assert_eq!((names[0].as_str(), names[3].as_str()), ("PUT 4KiB x1", "PUT 1MiB x16"));
        assert!(names.contains(&"LIST / of 10000".to_owned()), "{names:?}");
    }
}
