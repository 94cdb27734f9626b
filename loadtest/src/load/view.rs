//! A run while it goes on: one line that is rewritten on a terminal, plain lines elsewhere.

use super::engine::Progress;
use std::io::{IsTerminal as _, Write as _};

/// Plain lines come this many seconds apart.
const PLAIN_EVERY: u64 = 5;

/// Shows a run on standard error.
pub struct View {
    terminal: bool,
    shown: Option<u64>,
}

impl View {
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), shown: None }
    }

    /// Shows the second that has passed.
    pub fn tick(&mut self, progress: &Progress<'_>) {
        let at = progress.elapsed.as_secs();
        let due = self.terminal || self.shown.is_none_or(|shown| at >= shown + PLAIN_EVERY);
        let Some(last) = progress.last_second().filter(|_| due) else { return };
        self.shown = Some(at);
        let (phase, left) = progress.phase();
        let line = format!(
            "{at:>5} s  {phase:<14} {:>8}/s done {:>6} shed {:>6} failed   p50 {:>8.2} ms  p99 {:>8.2} ms   {} s left",
            last.done,
            last.shed,
            last.failed,
            last.p50_ms,
            last.p99_ms,
            left.as_secs()
        );
        let mut out = std::io::stderr().lock();
        // A view that cannot be written is no reason to end a run.
        let _unseen = if self.terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _unseen = out.flush();
    }

    /// Leaves the line that was rewritten.
    pub fn end(&self) {
        if self.terminal {
            eprintln!();
        }
    }
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}
