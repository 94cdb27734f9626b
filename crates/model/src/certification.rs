//! What a blueprint demands of a cell before it may take tenants: its objectives, and how they are tried.
//!
//! The load test reads these figures, measures, and writes a [`crate::certificate::Certificate`]. A blueprint without them cannot be certified.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest a phase may take. Milliseconds.
pub const PHASE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// What clients may expect of a cell that is asked for no more than it declares: the 99th percentile from when a request was due to
/// the end of its answer, at the cell's own doors. Milliseconds; 0 is not declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    pub put_p99_ms: u64,
    pub get_p99_ms: u64,
    pub list_p99_ms: u64,
}

/// How thoroughly a cell was tried. A later one includes what an earlier one shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Every phase for a second or two: says that nothing is broken, and little about figures.
    #[default]
    Quick,
    /// As long as the blueprint says.
    Full,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Quick => "quick",
            Self::Full => "full",
        })
    }
}

/// A part of a certification, in the order in which they are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Fill to the stated level, and a little load.
    WarmUp,
    /// More and more load, to find the knee.
    Ramp,
    /// Declared capacity, within the objectives.
    Hold,
    /// Half as much again as the cell can do.
    Overload,
    /// Less than capacity again: all is well soon, without help.
    Recovery,
    /// Declared capacity with an AZ gone, and its return.
    AzLoss,
    /// Leaders end one after the other.
    Failover,
    /// One node's disk takes long for every flush.
    SlowDisk,
    /// One account asks for ten times its limit.
    Isolation,
    /// Much is deleted and overwritten, so that compaction and scrub have work.
    Background,
    /// The maxima: refusals are clear, and deletions make room.
    Full,
    /// Every acknowledged object is read back.
    Verify,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 12] = [
        Self::WarmUp,
        Self::Ramp,
        Self::Hold,
        Self::Overload,
        Self::Recovery,
        Self::AzLoss,
        Self::Failover,
        Self::SlowDisk,
        Self::Isolation,
        Self::Background,
        Self::Full,
        Self::Verify,
    ];

    /// Its name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::WarmUp => "warm_up",
            Self::Ramp => "ramp",
            Self::Hold => "hold",
            Self::Overload => "overload",
            Self::Recovery => "recovery",
            Self::AzLoss => "az_loss",
            Self::Failover => "failover",
            Self::SlowDisk => "slow_disk",
            Self::Isolation => "isolation",
            Self::Background => "background",
            Self::Full => "full",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How long the phases of a profile take, and how full the cell is meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Course {
    /// Of the declared bytes, in thousandths. At least [`Certification::keys_min`] objects are written whatever it says.
    pub fill_permille: u64,
    pub warm_up_ms: u64,
    pub ramp_ms: u64,
    pub hold_ms: u64,
    pub overload_ms: u64,
    pub recovery_ms: u64,
    /// While the AZ is away. Its return is waited for besides.
    pub az_loss_ms: u64,
    /// For each leader that ends.
    pub failover_ms: u64,
    pub failovers: u64,
    pub slow_disk_ms: u64,
    pub isolation_ms: u64,
    pub background_ms: u64,
    pub full_ms: u64,
}

impl Course {
    /// A second or two for each phase: 20 s in all, with what lies between them.
    pub const QUICK: Self = Self {
        fill_permille: 0,
        warm_up_ms: 700,
        ramp_ms: 2_000,
        hold_ms: 1_500,
        overload_ms: 1_500,
        recovery_ms: 1_500,
        az_loss_ms: 1_000,
        failover_ms: 2_000,
        failovers: 1,
        slow_disk_ms: 800,
        isolation_ms: 1_200,
        background_ms: 1_000,
        full_ms: 1_000,
    };

    /// What is run where a blueprint names no other times.
    pub const FULL: Self = Self {
        fill_permille: 100,
        warm_up_ms: 60_000,
        ramp_ms: 120_000,
        hold_ms: 600_000,
        overload_ms: 60_000,
        recovery_ms: 60_000,
        az_loss_ms: 120_000,
        failover_ms: 15_000,
        failovers: 5,
        slow_disk_ms: 60_000,
        isolation_ms: 60_000,
        background_ms: 120_000,
        full_ms: 30_000,
    };

    /// How long a phase is to take. Milliseconds; `Verify` takes what it takes.
    pub fn lasts_ms(&self, phase: Phase) -> u64 {
        match phase {
            Phase::WarmUp => self.warm_up_ms,
            Phase::Ramp => self.ramp_ms,
            Phase::Hold => self.hold_ms,
            Phase::Overload => self.overload_ms,
            Phase::Recovery => self.recovery_ms,
            Phase::AzLoss => self.az_loss_ms,
            Phase::Failover => self.failover_ms * self.failovers,
            Phase::SlowDisk => self.slow_disk_ms,
            Phase::Isolation => self.isolation_ms,
            Phase::Background => self.background_ms,
            Phase::Full => self.full_ms,
            Phase::Verify => 0,
        }
    }
}

impl Default for Course {
    fn default() -> Self {
        Self::FULL
    }
}

/// How a cell is tried, and by how much it may miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Certification {
    /// The least that admits a cell to tenants.
    pub profile: Profile,
    /// A certificate is good for so long. Days.
    pub valid_days: u64,
    /// Objects of the working set, at least.
    pub keys_min: u64,
    /// What is offered in the overload, of the larger of knee and declared capacity. Percent.
    pub overload_percent: u64,
    /// What is done of the declared capacity in the overload, at least. Percent.
    pub goodput_percent: u64,
    /// What is offered in the recovery, of the declared capacity. Percent.
    pub recovery_percent: u64,
    /// Within which the objectives hold again after an overload, by themselves. Seconds.
    pub recovery_seconds: u64,
    /// By which the objectives may be missed while an AZ is gone, a disk is slow or compaction runs. Percent of them.
    pub degraded_percent: u64,
    /// By which one account that asks for ten times its limit may lengthen the p99 of the others. Percent of what it is without; an
    /// objective that is met all the same is good enough.
    pub neighbour_percent: u64,
    /// No write is acknowledged for so long when a leader ends, at most. Milliseconds.
    pub failover_gap_ms: u64,
    /// By which figures may differ from those of the reference certificate, to either side. Percent.
    pub band_percent: u64,
    /// Times of the quick profile.
    pub quick: Course,
    /// Times of the full one.
    pub full: Course,
}

impl Default for Certification {
    fn default() -> Self {
        Self {
            profile: Profile::Full,
            valid_days: 90,
            keys_min: 200,
            overload_percent: 150,
            goodput_percent: 90,
            recovery_percent: 80,
            recovery_seconds: 60,
            degraded_percent: 200,
            neighbour_percent: 150,
            failover_gap_ms: 3_000,
            band_percent: 10,
            quick: Course::QUICK,
            full: Course::FULL,
        }
    }
}

/// One of the figures above, and what it may be.
pub(crate) struct Bound {
    pub what: &'static str,
    pub found: u64,
    pub min: u64,
    pub max: u64,
    pub why: &'static str,
}

impl Certification {
    /// The times of a profile.
    pub fn course(&self, profile: Profile) -> &Course {
        match profile {
            Profile::Quick => &self.quick,
            Profile::Full => &self.full,
        }
    }

    /// Every figure with its bounds.
    pub(crate) fn bounds(&self) -> Vec<Bound> {
        let bound = |what, found, min, max, why| Bound { what, found, min, max, why };
        let mut bounds = vec![
            bound("certification.valid_days", self.valid_days, 1, 3_660, "machines age, and so does what they showed"),
            bound("certification.keys_min", self.keys_min, 10, 100_000_000, "one key shows nothing of a cell"),
            bound(
                "certification.overload_percent",
                self.overload_percent,
                110,
                1_000,
                "an overload is more than capacity",
            ),
            bound(
                "certification.goodput_percent",
                self.goodput_percent,
                50,
                100,
                "a cell that does less has collapsed",
            ),
            bound("certification.recovery_percent", self.recovery_percent, 10, 100, "recovery is seen below capacity"),
            bound(
                "certification.recovery_seconds",
                self.recovery_seconds,
                1,
                600,
                "a cell recovers without help, and soon",
            ),
            bound(
                "certification.degraded_percent",
                self.degraded_percent,
                100,
                1_000,
                "a loss may lengthen, never shorten",
            ),
            bound(
                "certification.neighbour_percent",
                self.neighbour_percent,
                100,
                1_000,
                "a neighbour may lengthen, never shorten",
            ),
            bound(
                "certification.failover_gap_ms",
                self.failover_gap_ms,
                500,
                60_000,
                "an election takes its time, and no more",
            ),
            bound(
                "certification.band_percent",
                self.band_percent,
                1,
                100,
                "no two machines are one, and twice as fast is another",
            ),
        ];
        for course in [&self.quick, &self.full] {
            bounds.push(bound("fill_permille", course.fill_permille, 0, 900, "the rest of the phases needs room"));
            bounds.push(bound("failovers", course.failovers, 1, 1_000, "one leader ends at least"));
            for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Verify) {
                bounds.push(bound(
                    phase.name(),
                    course.lasts_ms(phase),
                    200,
                    PHASE_MS_MAX,
                    "milliseconds in which something shows",
                ));
            }
        }
        bounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_default_is_within_its_bounds() {
        for bound in Certification::default().bounds() {
            assert!((bound.min..=bound.max).contains(&bound.found), "{}", bound.what);
        }
    }

    #[test]
    fn the_phases_of_a_quick_run_leave_a_fifth_of_twenty_seconds_for_what_lies_between() {
        let all: u64 = Phase::ALL.into_iter().map(|phase| Course::QUICK.lasts_ms(phase)).sum();
        assert!(all <= 16_000, "{all} ms");
    }

    #[test]
    fn a_phase_is_named_alike_everywhere() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).expect("plain"), phase.name());
        }
    }
}
