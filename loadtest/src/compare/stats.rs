//! What paired windows say: a ratio, how far it may be off, and whether the machine drifted meanwhile. Pure.
//!
//! Windows are run A B B A. Each A is paired with the B beside it, once before and once after it, so that a machine that gets steadily faster
//! or slower shifts both sides alike. The ratio is the geometric mean of the pairs' ratios; its interval is Student's, of their logarithms.

use serde::Serialize;

/// Two-sided 95% quantiles of Student's t, for 1 to 30 degrees of freedom.
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// For more degrees of freedom.
const T95_MANY: f64 = 1.96;
/// A side whose later windows differ from its earlier ones by more than this was measured on a machine that changed.
const DRIFT_MAX: f64 = 0.15;

/// A against B.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// A divided by B.
    pub ratio: f64,
    /// With 95% confidence it lies between these. Infinitely far apart when there is but one pair.
    pub low: f64,
    pub high: f64,
    pub pairs: usize,
    /// By which the later half of a side's windows differs from the earlier half; of the side that changed more.
    pub drift: f64,
}

impl Ratio {
    /// Of rates in the order in which they were measured: A and B of each pair.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        if pairs.is_empty() || pairs.iter().any(|(a, b)| *a <= 0.0 || *b <= 0.0) {
            return None;
        }
        let logs: Vec<f64> = pairs.iter().map(|(a, b)| (a / b).ln()).collect();
        let mean = mean(&logs);
        let half = half_width(&logs, mean);
        let sides: [Vec<f64>; 2] =
            [pairs.iter().map(|pair| pair.0).collect(), pairs.iter().map(|pair| pair.1).collect()];
        let drift = sides.iter().map(|rates| drift(rates)).fold(0.0, f64::max);
        Some(Self { ratio: mean.exp(), low: (mean - half).exp(), high: (mean + half).exp(), pairs: pairs.len(), drift })
    }

    /// Whether the machine changed so much that the figures say little.
    pub fn drifted(&self) -> bool {
        self.drift > DRIFT_MAX
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn half_width(values: &[f64], mean: f64) -> f64 {
    let freedom = values.len() - 1;
    if freedom == 0 {
        return f64::INFINITY;
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / freedom as f64;
    let t = T95.get(freedom - 1).copied().unwrap_or(T95_MANY);
    t * (variance / values.len() as f64).sqrt()
}

/// Relative difference of the later half to the earlier one.
fn drift(rates: &[f64]) -> f64 {
    let half = rates.len() / 2;
    if half == 0 {
        return 0.0;
    }
    let (early, late) = (mean(&rates[..half]), mean(&rates[rates.len() - half..]));
    (late / early - 1.0).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3
    }

    #[test]
    fn equal_pairs_give_their_ratio_with_no_doubt_and_different_ones_an_interval_that_holds_it() {
        let sure = Ratio::of(&[(200.0, 100.0), (100.0, 50.0), (50.0, 25.0)]).expect("rates");
        assert!(close(sure.ratio, 2.0) && close(sure.low, 2.0) && close(sure.high, 2.0));
        let doubtful = Ratio::of(&[(100.0, 100.0), (121.0, 100.0)]).expect("rates");
        assert!(close(doubtful.ratio, 1.1));
        // One degree of freedom: 12.706 times the standard error of the logarithms.
        assert!(close(doubtful.high, 1.1 * (12.706_f64 * 1.21_f64.ln() / 2.0).exp()), "{doubtful:?}");
        assert!(doubtful.low < 1.1 && doubtful.low * doubtful.high - 1.21 < 1e-6);
    }

    #[test]
    fn one_pair_says_nothing_of_its_error_and_no_rate_no_ratio() {
        assert_eq!(Ratio::of(&[(2.0, 1.0)]).map(|ratio| ratio.high), Some(f64::INFINITY));
        assert_eq!(Ratio::of(&[]), None);
        assert_eq!(Ratio::of(&[(0.0, 1.0)]), None);
    }

    #[test]
    fn a_machine_that_changes_is_noticed_although_the_ratio_stays() {
        let pairs = [(200.0, 100.0), (200.0, 100.0), (100.0, 50.0), (100.0, 50.0)];
        let ratio = Ratio::of(&pairs).expect("rates");
        assert!(close(ratio.ratio, 2.0) && close(ratio.drift, 0.5) && ratio.drifted());
        let steady = Ratio::of(&[(100.0, 50.0), (105.0, 51.0)]).expect("rates");
        assert!(!steady.drifted(), "{steady:?}");
    }
}
