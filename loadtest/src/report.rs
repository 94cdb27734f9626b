//! Figures for people (a table) and for programs (JSON).

use crate::driver::Sample;
use serde::Serialize;
use std::collections::BTreeMap;

/// One line of a benchmark: what was done, how fast, and what it cost.
#[derive(Debug, Clone, Serialize)]
pub struct Point {
    pub operation: &'static str,
    pub through: &'static str,
    pub object_bytes: u64,
    pub clients: usize,
    pub operations: u64,
    pub per_second: f64,
    pub mib_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub errors: BTreeMap<String, u64>,
    #[serde(flatten)]
    pub cost: Cost,
}

/// What the operations of a window cost, where the kernel could be asked.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Cost {
    /// Share of the whole machine that this program itself used, 0 to 1.
    pub client_cpu_share: f64,
    /// CPU time of router and nodes, all added up.
    pub server_cpu_ms_per_operation: Option<f64>,
    /// Flushes of the device below the cluster, whoever asked for them.
    pub flushes_per_operation: Option<f64>,
    pub bytes_written_per_operation: Option<f64>,
}

impl Point {
    /// From what was measured.
    pub fn new(
        operation: &'static str,
        through: &'static str,
        object_bytes: u64,
        clients: usize,
        sample: &Sample,
        cost: Cost,
    ) -> Self {
        let millis = |micros: u64| micros as f64 / 1000.0;
        Self {
            operation,
            through,
            object_bytes,
            clients,
            operations: sample.operations,
            per_second: sample.per_second(),
            mib_per_second: sample.bytes as f64 / sample.seconds / f64::from(1 << 20),
            p50_ms: millis(sample.latency.value_at_quantile(0.5)),
            p99_ms: millis(sample.latency.value_at_quantile(0.99)),
            max_ms: millis(sample.latency.max()),
            errors: sample.errors.clone(),
            cost,
        }
    }

    /// The table's head.
    pub fn head() -> String {
        format!(
            "{:<4} {:<7} {:>7} {:>7} {:>10} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9} {:>9}",
            "op",
            "via",
            "size",
            "clients",
            "op/s",
            "MiB/s",
            "p50 ms",
            "p99 ms",
            "errors",
            "cpu ms/op",
            "flush/op",
            "client"
        )
    }

    /// This line of the table.
    pub fn line(&self) -> String {
        let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let errors: u64 = self.errors.values().sum();
        format!(
            "{:<4} {:<7} {:>7} {:>7} {:>10.1} {:>9.1} {:>9.2} {:>9.2} {:>7} {:>9} {:>9} {:>8.0}%",
            self.operation,
            self.through,
            size(self.object_bytes),
            self.clients,
            self.per_second,
            self.mib_per_second,
            self.p50_ms,
            self.p99_ms,
            errors,
            optional(self.cost.server_cpu_ms_per_operation),
            optional(self.cost.flushes_per_operation),
            self.cost.client_cpu_share * 100.0
        )
    }
}

/// A size as people say it.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in UNITS {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// A size as people type it: `4KiB`, `1MiB`, `5GiB` or a number of bytes.
///
/// # Errors
/// Says what is allowed.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.trim().to_ascii_lowercase() {
        lower if lower.ends_with("kib") => (lower[..lower.len() - 3].to_owned(), 10),
        lower if lower.ends_with("mib") => (lower[..lower.len() - 3].to_owned(), 20),
        lower if lower.ends_with("gib") => (lower[..lower.len() - 3].to_owned(), 30),
        lower => (lower.trim_end_matches('b').to_owned(), 0),
    };
    let number: u64 =
        digits.trim().parse().map_err(|_| format!("{text:?} is not a size such as 4KiB, 1MiB or 4096"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_and_read_alike() {
        for bytes in [0, 1, 4096, 1 << 20, 16 << 20, 4 << 30, 1500] {
            assert_eq!(parse_size(&size(bytes)), Ok(bytes));
        }
        assert!(parse_size("4 Kib").is_ok());
        assert!(parse_size("4 furlongs").is_err());
        assert!(parse_size("18446744073709551615GiB").is_err());
    }
}
