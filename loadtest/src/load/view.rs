//! A run while it goes on: one line that is rewritten on a terminal, plain lines elsewhere, JSON for programs.

use super::engine::Progress;
use serde::Serialize;
use std::io::{IsTerminal as _, Write as _};

/// Plain lines come this many seconds apart.
const PLAIN_EVERY: f64 = 5.0;

/// For whom a run is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// A terminal's line or plain ones, by where standard error goes.
    #[default]
    Auto,
    /// Plain lines, a few seconds apart.
    Plain,
    /// One JSON object per line and second.
    Json,
    /// Nothing.
    Silent,
}

/// Shows a run on standard error.
pub struct View {
    style: Style,
    shown: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Terminal,
    Plain,
    Json,
    Silent,
}

/// A line for programs.
#[derive(Serialize)]
struct Line<'a> {
    at_seconds: f64,
    phase: &'a str,
    done: u64,
    shed: u64,
    failed: u64,
    p50_ms: f64,
    p99_ms: f64,
    left_seconds: f64,
}

#[derive(Serialize)]
struct Said<'a> {
    said: &'a str,
}

impl View {
    pub fn new() -> Self {
        Self::of(Mode::Auto)
    }

    pub fn of(mode: Mode) -> Self {
        let style = match mode {
            Mode::Auto if std::io::stderr().is_terminal() => Style::Terminal,
            Mode::Auto | Mode::Plain => Style::Plain,
            Mode::Json => Style::Json,
            Mode::Silent => Style::Silent,
        };
        Self { style, shown: None }
    }

    /// Shows the second that has passed.
    pub fn tick(&mut self, progress: &Progress<'_>) {
        let at = progress.elapsed.as_secs_f64();
        // A new run begins at zero again.
        let due = match self.style {
            Style::Silent => false,
            Style::Terminal | Style::Json => true,
            Style::Plain => self.shown.is_none_or(|shown| at >= shown + PLAIN_EVERY || at < shown),
        };
        let Some(last) = progress.last_second().filter(|_| due) else { return };
        self.shown = Some(at);
        let (phase, left) = progress.phase();
        let line = match self.style {
            Style::Json => json(&Line {
                at_seconds: at,
                phase,
                done: last.done,
                shed: last.shed,
                failed: last.failed,
                p50_ms: last.p50_ms,
                p99_ms: last.p99_ms,
                left_seconds: left.as_secs_f64(),
            }),
            Style::Terminal | Style::Plain | Style::Silent => {
                let rate = |count: u64| count as f64 / progress.tick().as_secs_f64();
                format!(
                    "{at:>6.1} s  {phase:<16} {:>8.0}/s done {:>6.0} shed {:>6.0} failed   p50 {:>8.2} ms  p99 {:>8.2} ms   {:.0} s left",
                    rate(last.done),
                    rate(last.shed),
                    rate(last.failed),
                    last.p50_ms,
                    last.p99_ms,
                    left.as_secs_f64()
                )
            }
        };
        self.write(&line, self.style == Style::Terminal);
    }

    /// Says something that stays.
    pub fn say(&self, text: &str) {
        match self.style {
            Style::Silent => {}
            Style::Json => self.write(&json(&Said { said: text.trim() }), false),
            Style::Terminal => self.write(&format!("\r\x1b[K{text}\n"), true),
            Style::Plain => self.write(text, false),
        }
    }

    /// Leaves the line that was rewritten.
    pub fn end(&self) {
        if self.style == Style::Terminal {
            eprintln!();
        }
    }

    fn write(&self, line: &str, rewrites: bool) {
        let mut out = std::io::stderr().lock();
        // A view that cannot be written is no reason to end a run.
        let _unseen = if rewrites { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _unseen = out.flush();
    }
}

fn json<T: Serialize>(line: &T) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}
