//! The whole service: real processes, real clients, real faults.

mod cells;
mod certify;
mod clients;
mod faults;
mod limits;
mod mutual_tls;
mod support;
mod telemetry;

use bulkhead_loadtest::faults::Ground;
use std::process::ExitCode;
use support::suite::{self, Group};

fn main() -> ExitCode {
    let plain = Ground::default();
    let mutual = Ground { mutual_tls: true, ..plain };
    suite::main(&[
        Group { name: "certify", cases: certify::CASES, ground: plain },
        Group { name: "clients", cases: clients::CASES, ground: plain },
        Group { name: "telemetry", cases: telemetry::CASES, ground: plain },
        Group { name: "faults", cases: faults::CASES, ground: plain },
        Group { name: "limits", cases: limits::CASES, ground: plain },
        Group { name: "poison", cases: limits::POISON_CASES, ground: plain },
        Group { name: "mutual_tls", cases: mutual_tls::CASES, ground: mutual },
        Group { name: "cells", cases: cells::CASES, ground: plain },
    ])
}
