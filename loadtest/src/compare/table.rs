//! A comparison for people.

use super::run::{Compared, Window};

/// The table's head.
pub fn head(a: &str, b: &str) -> String {
    let first = format!(
        "{:<18} {:>12} {:>12} {:>22} {:>6} {:>17} {:>17} {:>15} {:>15} {:>19}",
        "case", a, b, "A/B (95% interval)", "drift", "p50 ms", "p99 ms", "cpu ms/op", "flush/op", "KiB written/op"
    );
    let pair = "A       B";
    let second = format!(
        "{:<18} {:>12} {:>12} {:>22} {:>6} {pair:>17} {pair:>17} {pair:>15} {pair:>15} {pair:>19}",
        "", "", "", "", ""
    );
    format!("{first}\n{second}")
}

/// What the columns mean.
pub fn foot() -> &'static str {
    "Rates are per second, of what the case counts; geometric means of the windows. `!` marks a side whose later windows differ from its \
     earlier ones by more than 15%: the machine changed meanwhile. Flushes and bytes are the device's, whoever caused them."
}

/// One line of it.
pub fn line(compared: &Compared) -> String {
    let (a, b) = (Means::of(&compared.a), Means::of(&compared.b));
    let ratio = compared.ratio.map_or("-".to_owned(), |ratio| {
        if ratio.high.is_finite() {
            format!("{:.2} [{:.2}, {:.2}]", ratio.ratio, ratio.low, ratio.high)
        } else {
            format!("{:.2} [one pair]", ratio.ratio)
        }
    });
    let drift = compared.ratio.map_or("-".to_owned(), |ratio| {
        format!("{:.0}%{}", ratio.drift * 100.0, if ratio.drifted() { "!" } else { "" })
    });
    let two = |a: f64, b: f64| format!("{a:.2} {b:>8.2}");
    let optional =
        |value: Option<f64>, shift: f64| value.map_or("-".to_owned(), |value| format!("{:.2}", value / shift));
    let costs =
        |a: Option<f64>, b: Option<f64>, shift: f64| format!("{} {:>7}", optional(a, shift), optional(b, shift));
    let mut text = format!(
        "{:<18} {:>12.1} {:>12.1} {ratio:>22} {drift:>6} {:>17} {:>17} {:>15} {:>15} {:>19}",
        compared.case,
        a.rate,
        b.rate,
        two(a.p50, b.p50),
        two(a.p99, b.p99),
        costs(a.cpu, b.cpu, 1.0),
        costs(a.flushes, b.flushes, 1.0),
        costs(a.written, b.written, 1024.0),
    );
    for (name, windows) in [("A", &compared.a), ("B", &compared.b)] {
        for (what, count) in errors(windows) {
            text.push_str(&format!("\n    {name}: {count} times {what}"));
        }
    }
    text
}

/// # Errors
/// When a read returned wrong bytes.
pub fn complain(found: &[Compared]) -> anyhow::Result<()> {
    let windows = found.iter().flat_map(|compared| compared.a.iter().chain(&compared.b));
    let wrong: u64 = windows
        .flat_map(|window| &window.errors)
        .filter(|(what, _)| what.starts_with("wrong bytes"))
        .map(|(_, count)| count)
        .sum();
    anyhow::ensure!(wrong == 0, "{wrong} reads returned wrong bytes");
    Ok(())
}

fn errors(windows: &[Window]) -> std::collections::BTreeMap<&str, u64> {
    let mut all = std::collections::BTreeMap::new();
    for (what, count) in windows.iter().flat_map(|window| &window.errors) {
        *all.entry(what.as_str()).or_default() += count;
    }
    all
}

struct Means {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: Option<f64>,
    flushes: Option<f64>,
    written: Option<f64>,
}

impl Means {
    fn of(windows: &[Window]) -> Self {
        let count = windows.len().max(1) as f64;
        let mean = |of: fn(&Window) -> f64| windows.iter().map(of).sum::<f64>() / count;
        let optional = |of: fn(&Window) -> Option<f64>| {
            let values: Option<Vec<f64>> = windows.iter().map(of).collect();
            values.map(|values| values.iter().sum::<f64>() / count)
        };
        let logs = windows.iter().map(|window| window.per_second.max(f64::MIN_POSITIVE).ln()).sum::<f64>();
        Self {
            rate: (logs / count).exp(),
            p50: mean(|window| window.p50_ms),
            p99: mean(|window| window.p99_ms),
            cpu: optional(|window| window.cost.server_cpu_ms_per_operation),
            flushes: optional(|window| window.cost.flushes_per_operation),
            written: optional(|window| window.cost.bytes_written_per_operation),
        }
    }
}
