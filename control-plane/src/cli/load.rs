//! How `bulkhead cell load` prints what a cell executes: a line for each node, then the accounts that wait or are refused most.

use super::output::table;
use bulkhead_model::{
    AccountId,
    api::{
        cell::AccountLoad,
        control_plane::{CellLoad, CellNodeLoad},
    },
};
use std::{cmp::Reverse, collections::BTreeMap};

/// Accounts shown to people. Programs get all that the nodes tell of.
const ACCOUNTS_SHOWN: usize = 20;

/// The whole picture.
pub fn text(load: &CellLoad) -> String {
    let nodes: Vec<_> = load.nodes.iter().map(node_row).collect();
    let head = ["node", "isolation", "limit", "executing", "waiting", "admitted", "refused"];
    let nodes = table(head, &nodes, "No node was asked.");
    let accounts: Vec<_> = top(load).iter().take(ACCOUNTS_SHOWN).map(account_row).collect();
    let head = ["account", "units", "waited ms", "refused"];
    let accounts = table(head, &accounts, "No account has asked for anything in the last minutes.");
    format!("{nodes}\n{accounts}")
}

fn node_row(node: &CellNodeLoad) -> [String; 7] {
    let id = node.node.to_string();
    let Some(one) = &node.load else { return [id.as_str(), "unreachable", "?", "?", "?", "?", "?"].map(str::to_owned) };
    [
        id,
        if one.isolation { "on" } else { "OFF" }.to_owned(),
        one.limit_units.to_string(),
        one.held_units.to_string(),
        one.queued.to_string(),
        one.admitted.to_string(),
        refused(&one.refused),
    ]
}

fn refused(reasons: &BTreeMap<String, u64>) -> String {
    let some = reasons.iter().filter(|(_, count)| **count > 0).map(|(why, count)| format!("{why} {count}"));
    let some: Vec<_> = some.collect();
    if some.is_empty() { "0".to_owned() } else { some.join(", ") }
}

/// The accounts of all nodes together, in the order of what they waited.
fn top(load: &CellLoad) -> Vec<AccountLoad> {
    let mut sums: BTreeMap<AccountId, AccountLoad> = BTreeMap::new();
    for one in load.nodes.iter().filter_map(|node| node.load.as_ref()).flat_map(|load| &load.accounts) {
        let none = AccountLoad { account: one.account, units: 0, waited_ms: 0, refused: 0 };
        let sum = sums.entry(one.account).or_insert(none);
        sum.units += one.units;
        sum.waited_ms += one.waited_ms;
        sum.refused += one.refused;
    }
    let mut top: Vec<_> = sums.into_values().collect();
    top.sort_by_key(|one| Reverse((one.waited_ms, one.refused, one.units)));
    top
}

fn account_row(one: &AccountLoad) -> [String; 4] {
    [one.account.to_string(), one.units.to_string(), one.waited_ms.to_string(), one.refused.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{NodeId, api::cell::NodeLoad};

    #[test]
    fn an_account_is_shown_once_with_what_it_was_on_all_nodes() {
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        let node = |id, waited_ms| CellNodeLoad {
            node: NodeId(id),
            load: Some(NodeLoad {
                node: NodeId(id),
                isolation: id == 1,
                limit_units: 512,
                held_units: 4,
                queued: 1,
                admitted: 9,
                refused: [("too_old".to_owned(), 3), ("deadline".to_owned(), 0)].into(),
                accounts: vec![AccountLoad { account, units: 5, waited_ms, refused: 1 }],
            }),
            unreachable: None,
        };
        let silent = CellNodeLoad { node: NodeId(3), load: None, unreachable: Some("refused".into()) };
        let load = CellLoad { nodes: vec![node(1, 10), node(2, 20), silent] };
        assert_eq!(top(&load), [AccountLoad { account, units: 10, waited_ms: 30, refused: 2 }]);
        let shown = text(&load);
        assert!(shown.contains("OFF") && shown.contains("too_old 3") && shown.contains("unreachable"), "{shown}");
        assert!(!shown.contains("deadline"), "{shown}");
    }
}
