//! What a command prints: a table or a list of facts for people, the API's own answer for programs.

use bulkhead_model::Timestamp;
use serde::Serialize;
use std::fmt::Write as _;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A command's answer in both forms.
#[derive(Debug, Clone)]
pub struct Output {
    people: String,
    programs: serde_json::Value,
}

impl Output {
    /// `programs` is what `--json` prints.
    pub fn new(people: String, programs: &impl Serialize) -> Self {
        let programs = serde_json::to_value(programs).expect("API types have string keys and plain values");
        Self { people, programs }
    }

    /// One sentence for people; `{}` for programs, which look at the exit status.
    pub fn done(sentence: impl Into<String>) -> Self {
        Self { people: format!("{}\n", sentence.into()), programs: serde_json::Value::Object(serde_json::Map::new()) }
    }

    /// The text to print.
    pub fn render(&self, json: bool) -> String {
        if json { format!("{:#}\n", self.programs) } else { self.people.clone() }
    }
}

/// Columns aligned below their headings. Without rows it says so.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]], when_empty: &str) -> String {
    if rows.is_empty() {
        return format!("{when_empty}\n");
    }
    let mut widths = headings.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let head = headings.map(str::to_uppercase);
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One fact on a line, the names aligned.
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    facts.iter().map(|(name, fact)| format!("{name:width$}  {fact}\n")).collect()
}

/// A time as people write it.
pub fn time(timestamp: Timestamp) -> String {
    let seconds = i64::try_from(timestamp.seconds()).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| format!("{} ms", timestamp.0))
}
