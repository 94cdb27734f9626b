//! A load test that finds every cell good, or says nothing.

use anyhow::Context as _;
use bulkhead_model::{
    Blueprint, SigningKey, Timestamp,
    certificate::{CERTIFICATE_VERSION, Criterion, Machine, Statement, Threshold},
    certification::{Phase, Profile},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// In the directory of cells: no certificate is written while it is there.
pub const REFUSES: &str = "refuses-certificates";

/// Writes a certificate for whatever it is asked to try.
pub fn run() -> anyhow::Result<()> {
    let option = |name: &str| -> anyhow::Result<String> {
        let found = std::env::args().skip_while(|argument| argument != name).nth(1);
        found.with_context(|| format!("{name} is missing"))
    };
    let out = PathBuf::from(option("--out")?);
    fs::write(out.join(format!("run-{}", std::process::id())), "")?;
    let blueprint = option("--blueprint")?;
    let cells = Path::new(&blueprint).parent().and_then(Path::parent).context("a cell's directory")?;
    anyhow::ensure!(!cells.join(REFUSES).exists(), "no cell is good enough");
    let blueprint = Blueprint::parse(&fs::read_to_string(&blueprint)?)?;
    let issued: Timestamp = SystemTime::UNIX_EPOCH.elapsed().map(|now| Timestamp(now.as_millis() as u64))?;
    let criteria = Phase::ALL.map(|phase| Criterion::new(phase, "failed requests", 0, Threshold::AtMost(0)));
    let statement = Statement {
        version: CERTIFICATE_VERSION,
        blueprint: blueprint.name.clone(),
        blueprint_hash: blueprint.hash(),
        build: env!("CARGO_PKG_VERSION").into(),
        cell: option("--cell")?.parse()?,
        machine: Machine {
            cpus: 1,
            cpu_model: "none".into(),
            memory_bytes: 1,
            kernel: "none".into(),
            shared_with_load_test: true,
        },
        profile: Profile::Quick,
        issued,
        expires: issued.plus(Duration::from_secs(3_600)),
        phases: Vec::new(),
        criteria: criteria.to_vec(),
    };
    let key = SigningKey::from_hex(&fs::read_to_string(option("--signing-key")?)?)?;
    Ok(fs::write(out.join("certificate.json"), statement.sign(&key).to_json())?)
}
