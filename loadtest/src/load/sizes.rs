//! How large objects are. Pure.

use crate::{report::parse_size, workload::Content};
use serde::{Deserialize, Serialize};

/// A distribution of object sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizes {
    /// All alike: `{ fixed = "4KiB" }`.
    Fixed(Size),
    /// Each doubling as likely as any other: `{ log_uniform = ["1KiB", "4MiB"] }`, both ends included.
    LogUniform(Size, Size),
    /// Some sizes with their weights: `{ histogram = [["4KiB", 7.0], ["1MiB", 3.0]] }`.
    Histogram(Vec<(Size, f64)>),
}

/// Bytes, written as people do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_size(&text).map(Self)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        crate::report::size(size.0)
    }
}

impl Sizes {
    /// What is wrong with it, if anything.
    pub fn flaw(&self) -> Option<String> {
        match self {
            Self::Fixed(_) => None,
            Self::LogUniform(from, to) if from.0 >= 1 && from <= to => None,
            Self::LogUniform(from, to) => Some(format!(
                "log_uniform goes from 1B or more up to something not smaller, not from {from:?} to {to:?}"
            )),
            Self::Histogram(parts) if parts.is_empty() => Some("a histogram of sizes has at least one".into()),
            Self::Histogram(parts) if parts.iter().any(|(_, weight)| !weight.is_finite() || *weight <= 0.0) => {
                Some("the weights of a histogram are above zero".into())
            }
            Self::Histogram(_) => None,
        }
    }

    /// The content of one version of one object. Its length follows from key and version, so that a reader knows it.
    pub fn content(&self, key: &str, version: u64) -> Content {
        let mut dice = [0; 8];
        Content::of(key, version, 0).fill(0, &mut dice);
        // 53 bits are what a float between 0 and 1 holds.
        let dice = (u64::from_le_bytes(dice) >> 11) as f64 / (1_u64 << 53) as f64;
        Content::of(key, version, self.at(dice))
    }

    /// The size at a place between 0 and 1.
    fn at(&self, place: f64) -> u64 {
        match self {
            Self::Fixed(size) => size.0,
            Self::LogUniform(from, to) => {
                let (low, high) = ((from.0 as f64).ln(), (to.0 as f64).ln());
                ((low + (high - low) * place).exp().round() as u64).clamp(from.0, to.0)
            }
            Self::Histogram(parts) => {
                let mut left = place * parts.iter().map(|(_, weight)| weight).sum::<f64>();
                for (size, weight) in parts {
                    if left < *weight {
                        return size.0;
                    }
                    left -= weight;
                }
                parts.last().map_or(0, |(size, _)| size.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_their_distribution_and_a_reader_knows_them() {
        let log = Sizes::LogUniform(Size(1 << 10), Size(1 << 20));
        let sizes: Vec<u64> = (0..4_000).map(|key| log.content(&format!("k{key}"), 1).len()).collect();
        assert!(sizes.iter().all(|size| (1 << 10..=1 << 20).contains(size)));
        let below = sizes.iter().filter(|size| **size < 32 << 10).count();
        assert!((1_800..2_200).contains(&below), "half of the doublings lie below 32 KiB: {below} of 4,000 do");
        assert_eq!(log.content("k", 7), log.content("k", 7));

        let parts = Sizes::Histogram(vec![(Size(10), 3.0), (Size(1_000), 1.0)]);
        let small = (0..4_000).filter(|key| parts.content(&format!("k{key}"), 1).len() == 10).count();
        assert!((2_850..3_150).contains(&small), "{small}");
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        assert!(Sizes::LogUniform(Size(0), Size(4)).flaw().is_some());
        assert!(Sizes::LogUniform(Size(8), Size(4)).flaw().is_some());
        assert!(Sizes::Histogram(Vec::new()).flaw().is_some());
        assert!(Sizes::Histogram(vec![(Size(1), 0.0)]).flaw().is_some());
        assert!(Sizes::Fixed(Size(0)).flaw().is_none());
    }
}
