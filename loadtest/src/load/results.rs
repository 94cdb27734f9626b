//! What a run found, for people and for programs.

use super::workload::Kind;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Write as _};

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub workload: String,
    pub seed: u64,
    pub phases: Vec<PhaseResult>,
    /// How long each of the following is.
    pub tick_seconds: f64,
    /// By the second, or the tick, in which requests were due.
    pub seconds: Vec<SecondResult>,
    pub client: ClientFigures,
    /// Answers that no correct store gives; a few of them.
    pub wrong: Vec<String>,
    /// Keys with a write of unknown outcome: of these only the bytes were judged, not which version is there.
    pub doubtful_keys: u64,
}

/// Part of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseResult {
    pub name: String,
    pub seconds: f64,
    /// Times the workload's rate.
    pub scale: f64,
    pub groups: BTreeMap<String, GroupResult>,
}

/// What one group of accounts saw in a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupResult {
    /// Requests that were due.
    pub offered: u64,
    pub total: KindResult,
    pub kinds: BTreeMap<Kind, KindResult>,
}

/// What became of requests of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KindResult {
    pub done: u64,
    pub per_second: f64,
    pub bytes: u64,
    /// Answered `503 SlowDown`.
    pub shed: u64,
    /// Never sent, since all connections were busy.
    pub unsent: u64,
    /// Never sent, since the load test had no key to write to.
    #[serde(default)]
    pub without_key: u64,
    /// Everything else that went wrong.
    pub failures: BTreeMap<String, u64>,
    /// Of what was done, from when it was due.
    pub latency: Quantiles,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub p9999_ms: f64,
    pub max_ms: f64,
    pub mean_ms: f64,
}

/// One second of a run, or one tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondResult {
    pub second: u32,
    pub phase: usize,
    pub done: u64,
    /// Requests whose answer came in this second, whenever they were due. Of those after the last that was due, none.
    #[serde(default)]
    pub answered: u64,
    pub bytes: u64,
    pub shed: u64,
    pub failed: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Whether it was the load test itself that could not go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientFigures {
    /// Share of the whole machine that this program used, 0 to 1.
    pub cpu_share: f64,
    /// How late requests were handed to a connection by this program itself.
    pub late_p99_ms: f64,
    pub late_max_ms: f64,
    /// Share of requests that found all connections of their account busy.
    pub waited: f64,
    /// Share of requests that were not sent because a write was under way to every key of their account.
    #[serde(default)]
    pub without_key: f64,
}

/// From here on the load test measures itself. Milliseconds at the 99th percentile.
const LATE_MS_MAX: f64 = 5.0;
/// As above, of the whole machine.
const CPU_SHARE_MAX: f64 = 0.85;
/// As above, of all requests: fewer do not change what was offered.
const WITHOUT_KEY_MAX: f64 = 0.01;

impl Quantiles {
    pub fn of(latency: &Histogram<u64>) -> Self {
        if latency.is_empty() {
            return Self::default();
        }
        let at = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            p9999_ms: at(0.9999),
            max_ms: latency.max() as f64 / 1_000.0,
            mean_ms: latency.mean() / 1_000.0,
        }
    }
}

impl KindResult {
    /// Requests that ended badly, other than by a `503 SlowDown`.
    pub fn failed(&self) -> u64 {
        self.unsent + self.failures.values().sum::<u64>()
    }
}

impl ClientFigures {
    /// Why the figures are those of the load test and not of the service, if they are.
    pub fn bottleneck(&self) -> Option<String> {
        self.bottleneck_beyond(LATE_MS_MAX)
    }

    /// As [`Self::bottleneck`], where being so late is nothing beside what is measured.
    pub fn bottleneck_beyond(&self, late_ms_max: f64) -> Option<String> {
        if self.late_p99_ms > late_ms_max {
            return Some(format!(
                "this program was {:.1} ms late at the 99th percentile, {late_ms_max} ms are allowed",
                self.late_p99_ms
            ));
        }
        if self.without_key > WITHOUT_KEY_MAX {
            return Some(format!(
                "{:.1}% of the requests were not sent, since a write was under way to every key: the workload needs more keys",
                self.without_key * 100.0
            ));
        }
        (self.cpu_share > CPU_SHARE_MAX)
            .then(|| format!("this program used {:.0}% of the machine's CPU", self.cpu_share * 100.0))
    }
}

impl Report {
    /// A table for people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:<12} {:<12} {:<13} {:>9} {:>9} {:>8} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
            "phase",
            "group",
            "kind",
            "offered",
            "done/s",
            "MiB/s",
            "shed",
            "failed",
            "p50 ms",
            "p99 ms",
            "p99.9",
            "p99.99",
            "max ms"
        );
        for phase in &self.phases {
            for (name, group) in &phase.groups {
                let mut line = |kind: &str, offered: Option<u64>, result: &KindResult| {
                    let offered = offered.map(|offered| offered.to_string()).unwrap_or_default();
                    let mib = result.bytes as f64 / f64::from(1 << 20) / phase.seconds.max(f64::MIN_POSITIVE);
                    let Quantiles { p50_ms, p99_ms, p999_ms, p9999_ms, max_ms, .. } = result.latency;
                    let _infallible = writeln!(
                        text,
                        "{:<12} {name:<12} {kind:<13} {offered:>9} {:>9.1} {mib:>8.1} {:>7} {:>7} {p50_ms:>8.2} {p99_ms:>8.2} \
                         {p999_ms:>8.2} {p9999_ms:>8.2} {max_ms:>8.2}",
                        phase.name,
                        result.per_second,
                        result.shed,
                        result.failed(),
                    );
                };
                line("all", Some(group.offered), &group.total);
                group.kinds.iter().for_each(|(kind, result)| line(&kind.to_string(), None, result));
                for (what, count) in &group.total.failures {
                    let _infallible = writeln!(text, "{:<12} {name:<12} {count} times: {what}", phase.name);
                }
            }
        }
        let client = &self.client;
        let _infallible = writeln!(
            text,
            "client: {:.0}% of the machine's CPU; handed over {:.2} ms late at p99, {:.1} ms at most; {:.1}% of requests found all connections busy",
            client.cpu_share * 100.0,
            client.late_p99_ms,
            client.late_max_ms,
            client.waited * 100.0
        );
        if let Some(why) = client.bottleneck() {
            let _infallible = writeln!(text, "NOT A MEASURE OF THE SERVICE: {why}");
        }
        if self.doubtful_keys > 0 {
            let keys = self.doubtful_keys;
            let _infallible =
                writeln!(text, "{keys} keys had a write of unknown outcome: which version they hold was not judged");
        }
        for wrong in &self.wrong {
            let _infallible = writeln!(text, "WRONG: {wrong}");
        }
        text
    }
}
