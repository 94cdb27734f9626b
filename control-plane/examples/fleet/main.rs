//! A year of a fleet: a million accounts of very different sizes arrive and grow, the real placement decides where each goes, and
//! cells are stamped as headroom runs short. Prints figures and draws them. `make fleet` runs it.
//!
//! Everything follows from the seed but the time that decisions take.

mod simulate;
mod svg;

use anyhow::Context as _;
use bulkhead_model::Blueprint;
use bulkhead_service::Env;
use clap::Parser;
use simulate::{Fleet, Year};
use std::path::{Path, PathBuf};
use svg::{Chart, Line};

/// Simulates a year of a fleet of `aws-small` cells.
#[derive(Debug, Parser)]
struct Arguments {
    /// Accounts that arrive within the year, the same number each day.
    #[arg(long, default_value_t = 1_000_000)]
    accounts: u64,
    /// What they hold on average once they have grown, bytes.
    #[arg(long, default_value_t = 2_100_000_000)]
    mean_bytes: u64,
    /// How unequal they are: the standard deviation of the logarithm of their sizes. At 2.5 the largest hundredth holds half of all.
    #[arg(long, default_value_t = 2.5)]
    sigma: f64,
    /// Days after which an account has grown to two thirds.
    #[arg(long, default_value_t = 90.0)]
    growth_days: f64,
    /// The blueprint of all cells.
    #[arg(long, default_value = "blueprints/aws-small.toml")]
    blueprint: PathBuf,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the plots go; without it none are drawn.
    #[arg(long)]
    plots: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let text = std::fs::read_to_string(&arguments.blueprint)
        .with_context(|| format!("{} cannot be read", arguments.blueprint.display()))?;
    let blueprint = Blueprint::parse(&text)?;
    let fleet = Fleet {
        accounts: arguments.accounts,
        mean_bytes: arguments.mean_bytes as f64,
        sigma: arguments.sigma,
        growth_days: arguments.growth_days,
        seed: arguments.seed,
        capacity: blueprint.capacity,
    };
    let year = simulate::run(&fleet, &Env::system())?;
    report(&year);
    if let Some(dir) = &arguments.plots {
        draw(&year, dir)?;
    }
    Ok(())
}

fn report(year: &Year) {
    let Some(last) = year.days.last() else { return };
    let percent = |share: f64| format!("{:.1}%", share * 100.0);
    println!("accounts placed                     {}", year.placed);
    println!("refused for want of room            {}", year.refused);
    println!("decisions per second                {:.0}", year.decisions_per_second);
    println!("cells stamped                       {}", last.cells);
    println!("cells an ideal packing needs        {}", last.ideal);
    println!("cells closed at their soft limit    {}", last.closed);
    println!(
        "fill of closed cells, scarcest      p5 {}  median {}  p95 {}  fullest {}",
        percent(last.fill.p5),
        percent(last.fill.median),
        percent(last.fill.p95),
        percent(last.fill.max)
    );
    println!(
        "bytes of closed cells               p5 {}  median {}  p95 {}  fullest {}",
        percent(last.bytes.p5),
        percent(last.bytes.median),
        percent(last.bytes.p95),
        percent(last.bytes.max)
    );
    println!(
        "bytes once all have grown           p5 {}  median {}  p95 {}  fullest {}",
        percent(year.grown.p5),
        percent(year.grown.median),
        percent(year.grown.p95),
        percent(year.grown.max)
    );
    println!("cells over 100% once all have grown {}", year.overfull);
    println!(
        "share of accounts, fullest cell     {:.3}% (an even share is {:.3}%)",
        year.most_accounts * 100.0,
        100.0 / last.cells as f64
    );
    println!("share of bytes, fullest cell        {:.3}%", year.most_bytes * 100.0);
    println!("share of a cell, largest account    {}", percent(year.largest_account));
}

fn draw(year: &Year, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    let line = |name, colour, value: fn(&simulate::Day) -> f64| Line {
        name,
        colour,
        points: year.days.iter().map(|day| (day.day as f64, value(day))).collect(),
    };
    let cells = Chart {
        title: "Cells over the year",
        across: "day",
        up: "cells",
        lines: vec![
            line("stamped", "#1f5fa8", |day| day.cells as f64),
            line("ideal packing", "#c05621", |day| day.ideal as f64),
            line("closed at the soft limit", "#718096", |day| day.closed as f64),
        ],
    };
    let fill = Chart {
        title: "Fill of all cells, scarcest dimension",
        across: "day",
        up: "% of capacity",
        lines: vec![
            line("fullest", "#9b2c2c", |day| day.all.max * 100.0),
            line("95th", "#c05621", |day| day.all.p95 * 100.0),
            line("median", "#1f5fa8", |day| day.all.median * 100.0),
            line("5th", "#718096", |day| day.all.p5 * 100.0),
        ],
    };
    let sorted = |values: &[f64]| {
        let of = values.len().max(1) as f64;
        values.iter().enumerate().map(|(at, value)| (at as f64 * 100.0 / of, value * 100.0)).collect::<Vec<_>>()
    };
    let balance = Chart {
        title: "Bytes of each cell, at the end of the year and once all accounts have grown",
        across: "% of cells, emptiest first",
        up: "% of capacity",
        lines: vec![
            Line { name: "once grown", colour: "#c05621", points: sorted(&year.grown_sorted) },
            Line { name: "end of the year", colour: "#1f5fa8", points: sorted(&year.bytes_sorted) },
        ],
    };
    for (name, chart) in [("cells", cells), ("fill", fill), ("balance", balance)] {
        std::fs::write(dir.join(format!("fleet-{name}.svg")), chart.render())?;
    }
    Ok(())
}
