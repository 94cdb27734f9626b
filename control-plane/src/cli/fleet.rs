//! `bulkhead fleet`: every cell against what it may hold, and what will be done next.

use super::{
    CliError, Connection, Output,
    output::{table, time},
};
use crate::domain::cell;
use bulkhead_model::api::control_plane::{CellCertificate, Fleet, FleetCell, FleetDimension};

/// Characters of a bar.
const BAR: u64 = 20;

pub async fn show(api: &Connection) -> Result<Output, CliError> {
    let fleet: Fleet = api.get("/v1/fleet").await?;
    Ok(Output::new(text(&fleet), &fleet))
}

fn text(fleet: &Fleet) -> String {
    let row = |one: &FleetCell| {
        [
            one.cell.to_string(),
            cell::name(&one.state).into(),
            format!("{} {}", one.blueprint, one.region),
            certificate(&one.certificate),
            one.build.clone().unwrap_or_else(|| "?".into()),
            format!("{} of {}", one.ready, one.nodes),
            one.next.clone(),
        ]
    };
    let rows: Vec<_> = fleet.cells.iter().map(row).collect();
    let hint = "There are no cells yet; stamp one with `bulkhead cell stamp --blueprint dev --name c1`.";
    let mut text = table(["cell", "state", "blueprint", "certificate", "build", "ready", "next"], &rows, hint);
    let bars = fleet.cells.iter().flat_map(|one| one.dimensions.iter().map(move |of| (one, of)));
    let bars = bars.filter(|(one, of)| of.capacity > 0 && one.nodes > 0);
    let rows: Vec<_> = bars
        .map(|(one, of)| {
            [
                one.cell.to_string(),
                of.dimension.to_string(),
                bar(of),
                percent(of),
                format!("{} of {}", of.used, of.capacity),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(["cell", "dimension", "used ('|' closes it to new accounts)", "", "figures"], &rows, ""));
    }
    let floor = fleet.floor_percent.map_or_else(|| "none".to_owned(), |floor| format!("{floor}%"));
    text.push_str(&format!("\nheadroom {}% of a cell, floor {floor}; next: {}\n", fleet.headroom_percent, fleet.next));
    text
}

/// `[####      |    ]`: what is used of the capacity, and where the cell is closed to new accounts.
fn bar(of: &FleetDimension) -> String {
    let place = |figure: u64| {
        let exact = u128::from(figure) * u128::from(BAR) / u128::from(of.capacity.max(1));
        u64::try_from(exact).unwrap_or(BAR).min(BAR)
    };
    let (used, limit) = (place(of.used), place(of.soft_limit));
    // Something is never nothing.
    let used = if of.used > 0 { used.max(1) } else { used };
    let cell = |at: u64| match at {
        at if at == limit => '|',
        at if at < used => '#',
        _ => ' ',
    };
    format!("[{}]", (0..BAR).map(cell).collect::<String>())
}

fn percent(of: &FleetDimension) -> String {
    format!("{}%", u128::from(of.used) * 100 / u128::from(of.capacity.max(1)))
}

/// What vouches for a cell, in a few words.
pub fn certificate(certificate: &CellCertificate) -> String {
    match certificate {
        CellCertificate::None => "none".into(),
        CellCertificate::Waived => "WAIVED (for tests)".into(),
        CellCertificate::Held { digest, expires_at, .. } => {
            format!("{} until {}", &digest[..digest.len().min(12)], time(*expires_at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::api::control_plane::{CellState, Dimension};

    #[test]
    fn a_bar_shows_what_is_used_and_where_the_cell_closes() {
        let of = |used| FleetDimension { dimension: Dimension::Bytes, used, capacity: 100, soft_limit: 70 };
        assert_eq!(bar(&of(0)), "[              |     ]");
        assert_eq!(bar(&of(1)), "[#             |     ]");
        assert_eq!(bar(&of(50)), "[##########    |     ]");
        assert_eq!(bar(&of(100)), "[##############|#####]");
    }

    #[test]
    fn a_fleet_shows_each_dimension_that_is_declared_and_what_is_next() {
        let dimension = |dimension, capacity| FleetDimension { dimension, used: 1, capacity, soft_limit: capacity };
        let cell = FleetCell {
            cell: "c1".parse().expect("a label"),
            region: "eu-west".into(),
            blueprint: "dev".into(),
            state: CellState::Active,
            certificate: CellCertificate::Waived,
            build: Some("0.1.0".into()),
            ready: 3,
            nodes: 3,
            dimensions: vec![dimension(Dimension::Accounts, 10), dimension(Dimension::Requests, 0)],
            next: "take accounts".into(),
        };
        let fleet = Fleet { cells: vec![cell], headroom_percent: 90, floor_percent: None, next: "nothing".into() };
        let shown = text(&fleet);
        for part in ["WAIVED", "3 of 3", "take accounts", "accounts", "1 of 10", "floor none; next: nothing"] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(!shown.contains("requests"), "{shown}");
    }
}
