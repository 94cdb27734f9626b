//! What a report has in it: verdict and facts, criteria, the course of the run, the knee, each phase. Pure.

use super::{
    page::{page, table},
    plot::{Band, Mark, Plot, Series, escape},
};
use crate::{
    certify::{Event, PhaseTrace, Tick, Trace},
    load::Report,
};
use bulkhead_model::{
    Timestamp,
    certificate::{Criterion, Machine, Statement, Threshold},
    certification::Phase,
};

/// A report of a certification.
pub fn of_trace(trace: &Trace) -> String {
    let statement = &trace.certificate.statement;
    let mut body = head(statement);
    body.push_str(&overview(&trace.phases));
    body.push_str(&course(&trace.phases));
    body.push_str(&knee(&trace.phases));
    body.push_str(&criteria(statement));
    for phase in &trace.phases {
        body.push_str(&section(phase));
    }
    let key = trace.certificate.signature.key.to_string();
    body.push_str(&format!("<p class=\"soft\">Signed with key <code>{key}</code>.</p>\n"));
    page(&format!("Certification of cell {}", statement.cell), &body)
}

/// A report of a plain run of load.
pub fn of_report(report: &Report) -> String {
    let mut phase = PhaseTrace::new(Phase::Hold, 0);
    phase.take(report, 0, |_| true);
    let mut body = format!(
        "<h1>Load: {}</h1>\n<p class=\"soft\">Open loop, seed {}. Latency counts from when a request was due.</p>\n",
        escape(&report.workload),
        report.seed
    );
    body.push_str(&plots(&[&phase], bands_of(report), Vec::new()));
    let mut rows = Vec::new();
    for phase in &report.phases {
        for (name, group) in &phase.groups {
            let total = ("all".to_owned(), &group.total);
            for (kind, result) in
                std::iter::once(total).chain(group.kinds.iter().map(|(kind, of)| (kind.to_string(), of)))
            {
                let of = result.latency;
                let latencies = [of.p50_ms, of.p99_ms, of.p999_ms, of.p9999_ms, of.max_ms].map(|ms| format!("{ms:.2}"));
                let mut row = vec![phase.name.clone(), name.clone(), kind, format!("{:.1}", result.per_second)];
                row.extend([result.shed.to_string(), result.failed().to_string()]);
                row.extend(latencies);
                rows.push(row);
            }
        }
    }
    let head =
        ["phase", "group", "kind", "#done/s", "#refused", "#failed", "#p50 ms", "#p99", "#p99.9", "#p99.99", "#max"];
    body.push_str(&table(&head, &rows, |_| ""));
    if let Some(why) = report.client.bottleneck() {
        body.push_str(&format!("<p><strong>Not a measure of the service:</strong> {}</p>\n", escape(&why)));
    }
    page(&format!("Load: {}", report.workload), &body)
}

fn bands_of(report: &Report) -> Vec<Band> {
    let mut from = 0.0;
    let band = |phase: &crate::load::PhaseResult| {
        let to = from + phase.seconds;
        let band = Band { from, to, name: phase.name.clone() };
        from = to;
        band
    };
    report.phases.iter().map(band).collect()
}

fn head(statement: &Statement) -> String {
    let passed = statement.judge();
    let (class, word) = if passed.is_ok() { ("good", "certified") } else { ("bad", "not certified") };
    let why = passed.err().map(|refusal| format!("<p>{}.</p>", escape(&refusal.to_string()))).unwrap_or_default();
    let Machine { cpus, cpu_model, memory_bytes, kernel, shared_with_load_test } = &statement.machine;
    let shared = if *shared_with_load_test { "; the load test took its share of it" } else { "" };
    let machine = format!("{cpus} × {cpu_model}, {} GiB, Linux {kernel}{shared}", memory_bytes >> 30);
    let facts = [
        ("Blueprint", format!("{} ({})", statement.blueprint, statement.blueprint_hash)),
        ("Build", statement.build.clone()),
        ("Profile", statement.profile.to_string()),
        ("Machine", machine),
        ("Issued", when(statement.issued)),
        ("Expires", when(statement.expires)),
    ];
    let facts: String =
        facts.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escape(value))).collect();
    format!(
        "<h1>Cell {}</h1>\n<p><span class=\"verdict {class}\">{word}</span></p>{why}\n<dl>{facts}</dl>\n",
        escape(statement.cell.as_str())
    )
}

fn when(at: Timestamp) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let moment = time::OffsetDateTime::from_unix_timestamp(i64::try_from(at.seconds()).unwrap_or(0));
    moment.ok().and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| at.0.to_string())
}

/// A line per phase.
fn overview(phases: &[PhaseTrace]) -> String {
    let row = |phase: &PhaseTrace| {
        let figure = |name: &str| phase.figures.get(name).copied();
        let rate = |name: &str| figure(name).map(|value| value.to_string()).unwrap_or_default();
        let millis = |name: &str| figure(name).map(|us| format!("{:.1}", us as f64 / 1_000.0)).unwrap_or_default();
        let met = phase.criteria.iter().all(|criterion| criterion.passed);
        vec![
            phase.phase.name().replace('_', " "),
            format!("{:.1}", phase.lasted_ms as f64 / 1_000.0),
            rate("offered_per_second"),
            rate("done_per_second"),
            rate("refused"),
            millis("put_p99_us"),
            millis("get_p99_us"),
            millis("list_p99_us"),
            highlight(phase),
            if met { "met".to_owned() } else { "not met".to_owned() },
        ]
    };
    let rows: Vec<Vec<String>> = phases.iter().map(row).collect();
    let head = ["phase", "#seconds", "#offered/s", "#done/s", "#refused", "#PUT p99 ms", "#GET", "#LIST", "", ""];
    table(&head, &rows, |row| if row.last().is_some_and(|verdict| verdict == "not met") { "bad" } else { "" })
}

/// What a phase is about, beside rates and percentiles.
fn highlight(phase: &PhaseTrace) -> String {
    let figure = |name: &str| phase.figures.get(name).copied().unwrap_or(0);
    let seconds = |name: &str| figure(name) as f64 / 1_000.0;
    match phase.phase {
        Phase::WarmUp => format!("{} objects", figure("objects")),
        Phase::Ramp => format!("knee at {}/s", figure("knee_per_second")),
        Phase::Hold => format!("load test: {:.0}% of the CPU", figure("client_cpu_permille") as f64 / 10.0),
        Phase::Recovery => format!("well after {:.2} s", seconds("recovered_after_ms")),
        Phase::AzLoss => format!("back after {:.2} s", seconds("rejoin_ms")),
        Phase::Failover => format!("no write for {:.2} s", seconds("write_gap_ms")),
        Phase::Isolation => {
            format!("noisy: {} of {}/s", figure("noisy_done_per_second"), figure("noisy_offered_per_second"))
        }
        Phase::Background => format!("{} chunks freed", figure("freed_chunks")),
        Phase::Full => format!("{} objects beyond", figure("objects_taken_beyond") + figure("bytes_taken_beyond")),
        Phase::Verify => format!("{} keys, {} wrong", figure("keys"), figure("keys_wrong")),
        Phase::Overload | Phase::SlowDisk => String::new(),
    }
}

fn criteria(statement: &Statement) -> String {
    let rows: Vec<Vec<String>> = statement.criteria.iter().map(criterion).collect();
    let table = table(&["phase", "what", "#found", "#must be", ""], &rows, |row| {
        if row.last().is_some_and(|verdict| verdict == "not met") { "bad" } else { "" }
    });
    let failed = statement.criteria.iter().filter(|criterion| !criterion.passed).count();
    let count = statement.criteria.len();
    let sentence =
        if failed == 0 { format!("All {count} are met.") } else { format!("{failed} of {count} are not met.") };
    format!("<h2>Criteria</h2>\n<p class=\"soft\">{sentence}</p>\n{table}")
}

fn criterion(of: &Criterion) -> Vec<String> {
    let (name, unit) = unit(&of.what);
    let bound = match of.threshold {
        Threshold::AtLeast(least) => format!("≥ {}", shown(least, unit)),
        Threshold::AtMost(most) => format!("≤ {}", shown(most, unit)),
    };
    let verdict = if of.passed { "met" } else { "not met" };
    vec![of.phase.name().replace('_', " "), name, shown(of.found, unit), bound, verdict.to_owned()]
}

/// A figure's name for people, and its unit.
fn unit(name: &str) -> (String, &'static str) {
    for (suffix, unit) in [("_per_second", "/s"), ("_us", "ms"), ("_ms", "s"), ("_permille", "%")] {
        if let Some(rest) = name.strip_suffix(suffix) {
            return (rest.replace('_', " ").replace("p999", "p99.9"), unit);
        }
    }
    (name.replace('_', " "), "")
}

fn shown(value: u64, unit: &str) -> String {
    match unit {
        "ms" => format!("{:.2} ms", value as f64 / 1_000.0),
        "s" => format!("{:.2} s", value as f64 / 1_000.0),
        "%" => format!("{:.1}%", value as f64 / 10.0),
        "/s" => format!("{value}/s"),
        _ => value.to_string(),
    }
}

/// The whole run on one time axis.
fn course(phases: &[PhaseTrace]) -> String {
    let bands = phases.iter().map(|phase| Band {
        from: phase.began_ms as f64 / 1_000.0,
        to: (phase.began_ms + phase.lasted_ms) as f64 / 1_000.0,
        name: phase.phase.name().replace('_', " "),
    });
    let events: Vec<&Event> = phases.iter().flat_map(|phase| &phase.events).collect();
    let marks = events.iter().map(|event| Mark { at: event.at_ms as f64 / 1_000.0, what: event.what.clone() });
    let all: Vec<&PhaseTrace> = phases.iter().collect();
    let list: String = events.iter().map(|event| format!("<li>{}</li>", escape(&event.what))).collect();
    format!(
        "<h2>Course</h2>\n<p class=\"soft\">By when requests were due. Numbers mark what was done to the cell.</p>\n{}<ol class=\"marks\">{list}</ol>\n",
        plots(&all, bands.collect(), marks.collect())
    )
}

/// Rates and percentiles over time.
fn plots(phases: &[&PhaseTrace], bands: Vec<Band>, marks: Vec<Mark>) -> String {
    let line = |of: fn(&Tick) -> f64| -> Vec<(f64, f64)> {
        let ticks = phases.iter().flat_map(|phase| &phase.ticks);
        let mut points: Vec<(f64, f64)> = ticks.map(|tick| (tick.at_ms as f64 / 1_000.0, of(tick))).collect();
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        points
    };
    let again = |bands: &[Band]| -> Vec<Band> {
        bands.iter().map(|band| Band { from: band.from, to: band.to, name: band.name.clone() }).collect()
    };
    let marked: Vec<Mark> = marks.iter().map(|mark| Mark { at: mark.at, what: mark.what.clone() }).collect();
    let gap = gap(phases);
    let series = |name, class, points| Series { name, class, points, dots: false, gap };
    let mut rates = vec![
        series("done", "a", line(|tick| tick.done_per_second)),
        series("refused", "b", line(|tick| tick.shed_per_second)),
        series("failed", "d", line(|tick| tick.failed_per_second)),
    ];
    rates.retain(|series| series.name == "done" || series.points.iter().any(|(_, y)| *y > 0.0));
    let throughput = Plot {
        title: "Requests per second",
        x_unit: "seconds",
        height: 300.0,
        series: rates,
        bands: again(&bands),
        marks,
        limit: None,
        logarithmic: false,
    };
    let latency = Plot {
        title: "Latency, ms",
        x_unit: "seconds",
        height: 300.0,
        series: vec![series("p50", "a", line(|tick| tick.p50_ms)), series("p99", "c", line(|tick| tick.p99_ms))],
        bands,
        marks: marked,
        limit: None,
        logarithmic: true,
    };
    format!("<figure>{}</figure>\n<figure>{}</figure>\n", throughput.svg(), latency.svg())
}

/// Two ticks of one run lie so far apart at most. Seconds.
fn gap(phases: &[&PhaseTrace]) -> f64 {
    let pairs = phases.iter().flat_map(|phase| phase.ticks.windows(2));
    let least = pairs.filter_map(|pair| pair[1].at_ms.checked_sub(pair[0].at_ms)).filter(|apart| *apart > 100).min();
    least.map_or(f64::INFINITY, |apart| apart as f64 / 1_000.0 * 2.5)
}

/// What was done of what was offered, and how long it took.
fn knee(phases: &[PhaseTrace]) -> String {
    let Some(ramp) = phases.iter().find(|phase| phase.phase == Phase::Ramp && !phase.steps.is_empty()) else {
        return String::new();
    };
    let points = |of: fn(&crate::certify::Step) -> f64| -> Vec<(f64, f64)> {
        ramp.steps.iter().map(|step| (step.offered_per_second, of(step))).collect()
    };
    let (done, p99) = (points(|step| step.done_per_second), points(|step| step.p99_ms));
    let offered = points(|step| step.offered_per_second);
    let series = |name, class, points, dots| Series { name, class, points, dots, gap: f64::INFINITY };
    let kept: Vec<f64> = ramp.steps.iter().filter(|step| step.kept_up).map(|step| step.offered_per_second).collect();
    let knee = kept.last().map(|at| Mark { at: *at, what: format!("the knee: {at:.0} requests per second") });
    let again = knee.as_ref().map(|mark| Mark { at: mark.at, what: mark.what.clone() });
    let plot = |title, series, marks: Option<Mark>, logarithmic| Plot {
        title,
        x_unit: "offered per second",
        height: 240.0,
        series,
        bands: Vec::new(),
        marks: marks.into_iter().collect(),
        limit: None,
        logarithmic,
    };
    let rates = plot(
        "Done per second",
        vec![series("offered", "b", offered, false), series("done", "a", done, true)],
        knee,
        false,
    );
    let latency = plot("p99, ms", vec![series("p99", "c", p99, true)], again, true);
    format!(
        "<h2>Knee</h2>\n<p class=\"soft\">The mark is the most that was done within the objectives.</p>\n<figure>{}</figure><figure>{}</figure>\n",
        rates.svg(),
        latency.svg()
    )
}

fn section(trace: &PhaseTrace) -> String {
    let figures = trace.figures.iter().map(|(name, value)| {
        let (name, unit) = unit(name);
        format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(&name), shown(*value, unit))
    });
    let figures: String = figures.collect();
    let notes: String = trace.notes.iter().map(|note| format!("<p>{}</p>", escape(note))).collect();
    let client = trace.client.map(|client| {
        format!(
            "<p class=\"soft\">The load test used {:.0}% of the machine's CPU and was {:.1} ms late at the 99th percentile.</p>",
            client.cpu_share * 100.0,
            client.late_p99_ms
        )
    });
    format!(
        "<h2>{}</h2>\n<p class=\"soft\">From {:.1} s on, for {:.1} s.</p>\n{}{notes}{}",
        escape(&trace.phase.name().replace('_', " ")),
        trace.began_ms as f64 / 1_000.0,
        trace.lasted_ms as f64 / 1_000.0,
        if figures.is_empty() { String::new() } else { format!("<dl class=\"figures\">{figures}</dl>\n") },
        client.unwrap_or_default()
    )
}
