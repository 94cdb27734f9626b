//! When requests begin. Pure.

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How requests are spread over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent of each other, as those of many users are.
    #[default]
    Poisson,
    /// At equal distances.
    Constant,
}

impl Arrivals {
    /// From one request to the next, at `rate` per second, which is above zero.
    pub fn gap(self, rate: f64, rng: &mut impl Rng) -> Duration {
        let mean = 1.0 / rate;
        let gap = match self {
            // 1 - u is never zero, so its logarithm is finite.
            Self::Poisson => -(1.0 - rng.random::<f64>()).ln() * mean,
            Self::Constant => mean,
        };
        Duration::from_secs_f64(gap.min(3_600.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    fn gaps(arrivals: Arrivals, rate: f64) -> Vec<f64> {
        let mut rng = StdRng::seed_from_u64(1);
        (0..20_000).map(|_| arrivals.gap(rate, &mut rng).as_secs_f64()).collect()
    }

    #[test]
    fn both_keep_the_rate_and_only_poisson_s_gaps_differ_as_exponential_ones_do() {
        for (arrivals, deviation) in [(Arrivals::Poisson, 1.0), (Arrivals::Constant, 0.0)] {
            let gaps = gaps(arrivals, 250.0);
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            assert!((mean * 250.0 - 1.0).abs() < 0.03, "{mean}");
            assert!((variance.sqrt() / mean - deviation).abs() < 0.03, "{arrivals:?}: {}", variance.sqrt() / mean);
        }
    }
}
