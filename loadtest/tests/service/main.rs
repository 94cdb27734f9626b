//! The whole service: real processes, real clients, real faults.

mod cells;
mod certify;
mod clients;
mod faults;
mod limits;
mod mutual_tls;
mod support;
mod telemetry;

use std::process::ExitCode;
use support::suite::{self, Group};

fn main() -> ExitCode {
    suite::main(&[
        Group { name: "certify", cases: certify::CASES },
        Group { name: "clients", cases: clients::CASES },
        Group { name: "telemetry", cases: telemetry::CASES },
        Group { name: "faults", cases: faults::CASES },
        Group { name: "limits", cases: limits::CASES },
        Group { name: "poison", cases: limits::POISON_CASES },
        Group { name: "mutual_tls", cases: mutual_tls::CASES },
        Group { name: "cells", cases: cells::CASES },
    ])
}
