//! `bulkhead audit`: who changed what.

use super::{
    CliError, Connection, Output,
    output::{table, time},
};
use bulkhead_model::api::control_plane::AuditEntry;
use clap::Args;

#[derive(Debug, Args)]
pub struct Audit {
    /// Entries after this sequence number; each answer has up to 500.
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Show each record before and after its change.
    #[arg(long)]
    full: bool,
}

impl Audit {
    pub async fn run(self, api: &Connection) -> Result<Output, CliError> {
        let entries: Vec<AuditEntry> = api.get(&format!("/v1/audit?after={}", self.after)).await?;
        let row = |one: &AuditEntry| {
            let (what, who) = (one.what.clone(), one.who.clone());
            [one.sequence.to_string(), time(one.at), who, what, one.target.clone(), changed(one)]
        };
        let rows: Vec<_> = entries.iter().map(row).collect();
        let mut text = table(
            ["entry", "time", "who", "what", "target", "changed"],
            &rows,
            "Nothing was changed after that entry.",
        );
        if self.full {
            for one in &entries {
                let shown = |record: &Option<String>| record.clone().unwrap_or_else(|| "-".into());
                text.push_str(&format!(
                    "\n{} {}\n  before  {}\n  after   {}\n",
                    one.sequence,
                    one.target,
                    shown(&one.before),
                    shown(&one.after)
                ));
            }
        }
        Ok(Output::new(text, &entries))
    }
}

/// The fields of the record that are different, by name.
fn changed(entry: &AuditEntry) -> String {
    let fields = |record: &Option<String>| {
        let parsed = record.as_deref().and_then(|text| serde_json::from_str(text).ok());
        match parsed {
            Some(serde_json::Value::Object(fields)) => fields,
            Some(_) | None => serde_json::Map::new(),
        }
    };
    match (&entry.before, &entry.after) {
        (None, _) => "created".into(),
        (_, None) => "removed".into(),
        (Some(_), Some(_)) => {
            let (before, after) = (fields(&entry.before), fields(&entry.after));
            let names: Vec<_> = after.iter().filter(|(name, value)| before.get(*name) != Some(value)).collect();
            names.into_iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Timestamp;

    #[test]
    fn an_entry_names_the_fields_that_changed() {
        let entry = |before: Option<&str>, after: Option<&str>| AuditEntry {
            sequence: 1,
            at: Timestamp(0),
            who: "ci".into(),
            what: "SetLimits".into(),
            target: "account 1".into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        assert_eq!(changed(&entry(Some(r#"{"a":1,"b":2}"#), Some(r#"{"a":1,"b":3}"#))), "b");
        assert_eq!(changed(&entry(None, Some("{}"))), "created");
        assert_eq!(changed(&entry(Some("{}"), None)), "removed");
    }
}
