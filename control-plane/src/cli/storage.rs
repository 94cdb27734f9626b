//! How `bulkhead cell show` prints the chunks of a cell: a line for each node, the extents with the most to give back, and what is wrong.

use super::output::table;
use bulkhead_model::{
    Timestamp,
    api::{
        cell::{DiskCondition, ExtentStorage, NodeStorage},
        control_plane::{CellNodeStorage, CellStorage},
    },
};
use std::fmt::Write as _;

/// Extents shown to people. Programs get all of them.
const EXTENTS_SHOWN: usize = 10;

/// The whole picture.
pub fn text(storage: &CellStorage) -> String {
    let nodes: Vec<_> = storage.nodes.iter().map(copies_row).collect();
    let head = ["node", "chunks", "missing", "corrupt", "backlog", "repaired", "scrubbed", "damaged", "compared"];
    let copies = table(head, &nodes, "No node was asked.");
    let nodes: Vec<_> = storage.nodes.iter().map(space_row).collect();
    let head = ["node", "disk", "free", "reserve", "extents", "live", "dead", "ratio", "trash", "freed", "removed"];
    let space = table(head, &nodes, "No node was asked.");
    format!("{copies}\n{space}{}{}", extents(storage), notes(storage))
}

fn copies_row(node: &CellNodeStorage) -> [String; 9] {
    let id = node.node.to_string();
    let Some(one) = &node.storage else {
        return [id.as_str(), "?", "?", "?", "?", "?", "?", "?", "?"].map(str::to_owned);
    };
    [
        id,
        one.chunks.to_string(),
        one.missing.to_string(),
        one.corrupt.to_string(),
        one.repair_backlog.to_string(),
        one.repaired_copies.to_string(),
        scrubbed(one),
        one.scrub.damaged.to_string(),
        age(one.now, one.census.ended),
    ]
}

fn space_row(node: &CellNodeStorage) -> [String; 11] {
    let id = node.node.to_string();
    let unknown = [id.as_str(), "unreachable", "?", "?", "?", "?", "?", "?", "?", "?", "?"];
    let Some(one) = &node.storage else { return unknown.map(str::to_owned) };
    let (live, dead) = one.live_and_dead();
    [
        id,
        condition(node, one),
        one.disk.free_bytes.map_or_else(|| "?".to_owned(), bytes),
        bytes(one.disk.reserve_bytes),
        one.extents.len().to_string(),
        bytes(live),
        bytes(dead),
        ratio(live, dead),
        bytes(one.trash.bytes),
        bytes(one.freed_bytes),
        bytes(one.trash.removed_bytes),
    ]
}

fn condition(node: &CellNodeStorage, one: &NodeStorage) -> String {
    let named = match &one.disk.condition {
        DiskCondition::Healthy if one.disk.full => "full",
        DiskCondition::Healthy if !node.slow.is_empty() => "slow",
        DiskCondition::Healthy => "healthy",
        DiskCondition::Suspect { .. } => "suspect",
        DiskCondition::Failed { .. } => "failed",
    };
    named.to_owned()
}

/// How old the oldest reading of a chunk may be, or how far the first is.
fn scrubbed(one: &NodeStorage) -> String {
    match (one.scrub.whole_since, one.scrub.began) {
        (None, Some(_)) => format!("{} of {}", one.scrub.read, one.scrub.of),
        (since, _) => age(one.now, since),
    }
}

/// The extents that have the most to give back, when they are to be compacted.
fn extents(storage: &CellStorage) -> String {
    let of_node = |node: &CellNodeStorage| {
        let id = node.node;
        let extents = node.storage.iter().flat_map(|one| one.extents.clone()).collect::<Vec<_>>();
        extents.into_iter().map(move |extent| (id, extent))
    };
    let mut all: Vec<_> = storage.nodes.iter().flat_map(of_node).filter(|(_, extent)| extent.dead > 0).collect();
    all.sort_by_key(|(_, extent)| std::cmp::Reverse(extent.dead));
    all.truncate(EXTENTS_SHOWN);
    if all.is_empty() {
        return String::new();
    }
    let row = |(node, extent): &(bulkhead_model::NodeId, ExtentStorage)| {
        let ExtentStorage { extent, state, live, dead, corrupt } = extent.clone();
        [node.to_string(), extent, state, bytes(live), bytes(dead), ratio(live, dead), corrupt.to_string()]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    format!("\n{}", table(["node", "extent", "state", "live", "dead", "ratio", "corrupt"], &rows, ""))
}

/// What a person has to look at, a line for each.
fn notes(storage: &CellStorage) -> String {
    let mut notes = String::new();
    let mut note = |node: &CellNodeStorage, what: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(notes, "node {}: {what}", node.node);
    };
    for node in &storage.nodes {
        if let Some(why) = &node.unreachable {
            note(node, format!("does not answer: {why}"));
        }
        for slow in &node.slow {
            note(node, format!("its disk is slow: {slow}"));
        }
        let Some(one) = &node.storage else { continue };
        match &one.disk.condition {
            DiskCondition::Healthy => {}
            DiskCondition::Suspect { why } => note(node, format!("its disk is suspect: {why}")),
            DiskCondition::Failed { why } => note(node, format!("its disk takes no more writes: {why}")),
        }
        if one.trash.rescued > 0 {
            note(node, format!("{} records in trash were needed after all: report this", one.trash.rescued));
        }
        if one.without_source > 0 {
            note(node, format!("{} chunks that are needed are on no node", one.without_source));
        }
    }
    if notes.is_empty() { notes } else { format!("\n{notes}") }
}

fn ratio(live: u64, dead: u64) -> String {
    let used = u128::from(live) + u128::from(dead);
    (u128::from(live) * 100).checked_div(used).map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"))
}

fn age(now: Timestamp, then: Option<Timestamp>) -> String {
    let Some(then) = then else { return "never".to_owned() };
    let seconds = now.0.saturating_sub(then.0) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

fn bytes(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => {
            let tenths = (u128::from(bytes) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_ages_and_ratios_are_short() {
        assert_eq!([bytes(0), bytes(1_536), bytes(20 << 30)], ["0 B", "1.5 KiB", "20.0 GiB"].map(str::to_owned));
        assert_eq!([ratio(0, 0), ratio(1, 2), ratio(5, 0)], ["-", "33%", "100%"].map(str::to_owned));
        let now = Timestamp(10_000_000_000);
        let ages = [0, 119, 120, 7_200, 172_800].map(|ago| age(now, Some(Timestamp(now.0 - ago * 1_000))));
        assert_eq!(ages, ["0 s ago", "119 s ago", "2 min ago", "2 h ago", "2 d ago"].map(str::to_owned));
        assert_eq!(age(now, None), "never");
    }

    #[test]
    fn a_node_that_does_not_answer_is_shown_as_such() {
        let silent = CellNodeStorage {
            node: bulkhead_model::NodeId(3),
            storage: None,
            unreachable: Some("refused".into()),
            slow: vec![],
        };
        let shown = text(&CellStorage { nodes: vec![silent] });
        assert!(shown.contains("unreachable") && shown.contains("node 3: does not answer: refused"), "{shown}");
    }
}
