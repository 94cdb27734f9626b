//! What the gate refuses, each by one change of a certificate that it admits.

use super::*;
use bulkhead_model::{
    SigningKey,
    certificate::{BANDED, CERTIFICATE_VERSION, Criterion, Machine, PhaseFigures, Threshold},
    certification::Phase,
};
use std::{collections::BTreeMap, time::Duration};

pub const SEED: [u8; 32] = [7; 32];
const NOW: Timestamp = Timestamp(1_750_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A statement in which every phase passed.
pub fn statement(cell: &CellId, blueprint_hash: &str, build: &str, issued: Timestamp) -> Statement {
    let mut phases: Vec<PhaseFigures> = Vec::new();
    for (phase, figure) in BANDED {
        let figures = BTreeMap::from([(figure.to_owned(), 1_000)]);
        match phases.iter_mut().find(|known| known.phase == phase) {
            Some(known) => known.figures.extend(figures),
            None => phases.push(PhaseFigures { phase, began_ms: 0, lasted_ms: 1, figures }),
        }
    }
    let machine = Machine {
        cpus: 2,
        cpu_model: "some".into(),
        memory_bytes: 1 << 33,
        kernel: "6.1".into(),
        shared_with_load_test: true,
    };
    Statement {
        version: CERTIFICATE_VERSION,
        blueprint: "dev".into(),
        blueprint_hash: blueprint_hash.into(),
        build: build.into(),
        cell: cell.clone(),
        machine,
        profile: Profile::Quick,
        issued,
        expires: issued.plus(DAY * 30),
        phases,
        criteria: Phase::ALL.map(|phase| Criterion::new(phase, "failed requests", 0, Threshold::AtMost(0))).to_vec(),
    }
}

/// The statement, signed by the key that tests trust.
pub fn signed(statement: Statement) -> String {
    statement.sign(&SigningKey::from_seed(&SEED)).to_json()
}

fn cell() -> CellId {
    "c1".parse().expect("a label")
}

fn good() -> Statement {
    statement(&cell(), "h1", "0.1.0", NOW.minus(DAY))
}

fn judge(document: &str, certification: &Certification, reference: Option<&Statement>) -> Result<Admitted, GateError> {
    let (cell, key) = (cell(), SigningKey::from_seed(&SEED).verifying());
    let (blueprint_hash, build) = ("h1", "0.1.0");
    let demand = Demand { cell: &cell, blueprint_hash, certification, build, now: NOW, key: &key, reference };
    admit(document.as_bytes(), &demand)
}

fn quick() -> Certification {
    Certification { profile: Profile::Quick, ..Certification::default() }
}

fn why(document: &str) -> String {
    judge(document, &quick(), None).expect_err("refused").to_string()
}

#[test]
fn a_certificate_that_holds_opens_the_cell_and_one_that_is_anything_else_says_what() {
    let admitted = judge(&signed(good()), &quick(), None).expect("it holds");
    assert_eq!((admitted.certified.build.as_str(), admitted.remarks.len()), ("0.1.0", 0));
    let cases: [(Statement, &str); 6] = [
        (Statement { expires: NOW, ..good() }, "it expired 0 s ago"),
        (Statement { issued: NOW.plus(DAY), ..good() }, "from the future"),
        (Statement { blueprint_hash: "h2".into(), ..good() }, "of another blueprint, dev (h2), and not of h1"),
        (Statement { build: "0.0.9".into(), ..good() }, "of another build, 0.0.9, and not of 0.1.0"),
        (Statement { cell: "c2".parse().expect("a label"), ..good() }, "of another cell, c2, and not of c1"),
        (Statement { criteria: good().criteria.into_iter().skip(1).collect(), ..good() }, "nothing was tried in phase"),
    ];
    for (statement, reason) in cases {
        let why = why(&signed(statement));
        assert!(why.contains(reason), "{why}");
    }
    assert!(why("not JSON").contains("this is not a certificate"));
}

#[test]
fn a_certificate_that_was_tampered_with_or_that_a_stranger_signed_is_refused() {
    let tampered = signed(Statement { build: "0.0.9".into(), ..good() }).replace("0.0.9", "0.1.0");
    assert!(why(&tampered).contains("tampered with"), "{}", why(&tampered));
    let verdict = Criterion::new(Phase::ALL[0], "failed requests", 9, Threshold::AtMost(0));
    let failed = Statement { criteria: good().criteria.into_iter().chain([verdict]).collect(), ..good() };
    assert!(why(&signed(failed)).contains("is 9, and must be at most 0"));
    let stranger = good().sign(&SigningKey::from_seed(&[8; 32])).to_json();
    assert!(why(&stranger).contains("is signed with the key"), "{}", why(&stranger));
}

#[test]
fn the_band_decides_of_full_certifications_and_is_told_of_quick_ones() {
    let mut slow = good();
    for phase in &mut slow.phases {
        phase.figures.values_mut().for_each(|figure| *figure = 2_000);
    }
    let quick_one = judge(&signed(slow.clone()), &quick(), Some(&good())).expect("the band does not decide");
    assert_eq!(quick_one.remarks.len(), BANDED.len(), "{:?}", quick_one.remarks);
    let full = Certification { profile: Profile::Full, ..Certification::default() };
    let slow = Statement { profile: Profile::Full, ..slow };
    let refused = judge(&signed(slow), &full, Some(&good())).expect_err("outside the band").to_string();
    assert!(refused.contains("outside the band"), "{refused}");
    let too_little = judge(&signed(good()), &full, None).expect_err("only quick").to_string();
    assert!(too_little.contains("profile"), "{too_little}");
}
