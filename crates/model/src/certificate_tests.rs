//! What a certificate is refused for, each by a change of one that is good.

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn statement() -> Statement {
    let mut phases: Vec<PhaseFigures> = Vec::new();
    for (phase, figure) in BANDED {
        match phases.iter_mut().find(|known| known.phase == phase) {
            Some(known) => drop(known.figures.insert(figure.into(), 1_000)),
            None => phases.push(PhaseFigures {
                phase,
                began_ms: 5,
                lasted_ms: 7,
                figures: BTreeMap::from([(figure.into(), 1_000)]),
            }),
        }
    }
    let criteria = Phase::ALL.map(|phase| Criterion::new(phase, "failed requests", 0, Threshold::AtMost(0)));
    Statement {
        version: CERTIFICATE_VERSION,
        blueprint: "dev".into(),
        blueprint_hash: "h1".into(),
        build: "0.1.0".into(),
        cell: "c1".parse().expect("a label"),
        machine: Machine {
            cpus: 2,
            cpu_model: "some".into(),
            memory_bytes: 1 << 33,
            kernel: "6.1".into(),
            shared_with_load_test: true,
        },
        profile: Profile::Quick,
        issued: NOW.minus(DAY),
        expires: NOW.plus(DAY),
        phases,
        criteria: criteria.to_vec(),
    }
}

/// Verified as the gate does, with one thing changed by `change`.
fn verified<'a>(
    certificate: &Certificate,
    key: &'a VerifyingKey,
    change: impl FnOnce(&mut Expectations<'a>),
) -> Result<(), Refusal> {
    let mut expected = Expectations {
        blueprint_hash: "h1",
        build: "0.1.0",
        now: NOW,
        key,
        cell: None,
        profile: Profile::Quick,
        reference: None,
    };
    change(&mut expected);
    verify(certificate, &expected)
}

fn changed(change: impl FnOnce(&mut Statement)) -> Certificate {
    let mut statement = statement();
    change(&mut statement);
    statement.sign(&key())
}

#[test]
fn a_good_certificate_is_good_also_after_it_lay_in_a_file() {
    let certificate = statement().sign(&key());
    let read = Certificate::parse(certificate.to_json().as_bytes()).expect("as written");
    assert_eq!(read, certificate);
    assert_eq!(verified(&read, &key().verifying(), |_| ()), Ok(()));
}

#[test]
fn whatever_is_changed_after_the_signature_is_found() {
    let good = statement().sign(&key());
    let mut figure = good.clone();
    figure.statement.criteria[2].found = 1;
    let mut later = good.clone();
    later.statement.expires = NOW.plus(DAY * 1000);
    let mut signature = good.clone();
    signature.signature.ed25519.replace_range(0..2, if good.signature.ed25519.starts_with("00") { "01" } else { "00" });
    let mut none = good.clone();
    none.signature.ed25519 = "x".into();
    for tampered in [figure, later, signature, none] {
        assert_eq!(verified(&tampered, &key().verifying(), |_| ()), Err(Refusal::Tampered));
    }
    let json = good.to_json().replacen("\"version\": 1", "\"note\": 1, \"version\": 1", 1);
    assert!(Certificate::parse(json.as_bytes()).is_err(), "a field that is not signed");
}

#[test]
fn a_certificate_signed_by_another_is_refused_even_if_all_else_is_right() {
    let other = SigningKey::from_seed(&[8; 32]);
    let refusal = verified(&statement().sign(&other), &key().verifying(), |_| ()).expect_err("another key");
    assert_eq!(refusal, Refusal::OtherKey { found: other.verifying(), expected: key().verifying() });
    let mut claimed = statement().sign(&other);
    claimed.signature.key = key().verifying();
    assert_eq!(verified(&claimed, &key().verifying(), |_| ()), Err(Refusal::Tampered));
}

#[test]
fn a_certificate_has_its_time() {
    let good = statement().sign(&key());
    let at = |now| verified(&good, &key().verifying(), |expected| expected.now = now);
    assert_eq!(at(NOW.plus(DAY)), Err(Refusal::Expired { ago_ms: 0 }));
    assert_eq!(at(NOW.minus(DAY).minus(CLOCK_SKEW)), Ok(()));
    let early = NOW.minus(DAY).minus(CLOCK_SKEW * 2);
    assert_eq!(at(early), Err(Refusal::NotYetIssued { ahead_ms: 600_000 }));
}

#[test]
fn a_certificate_of_something_else_is_refused_by_name() {
    let good = statement().sign(&key());
    let text = |result: Result<(), Refusal>| result.expect_err("refused").to_string();
    assert_eq!(
        text(verified(&good, &key().verifying(), |expected| expected.blueprint_hash = "h2")),
        "it is of another blueprint, dev (h1), and not of h2"
    );
    assert_eq!(
        text(verified(&good, &key().verifying(), |expected| expected.build = "0.2.0")),
        "it is of another build, 0.1.0, and not of 0.2.0"
    );
    let c2 = "c2".parse().expect("a label");
    assert_eq!(
        text(verified(&good, &key().verifying(), |expected| expected.cell = Some(&c2))),
        "it is of another cell, c1, and not of c2"
    );
    assert_eq!(
        text(verified(&good, &key().verifying(), |expected| expected.profile = Profile::Full)),
        "its profile is quick, and full is demanded"
    );
    let newer = changed(|statement| statement.version = 2);
    assert_eq!(verified(&newer, &key().verifying(), |_| ()), Err(Refusal::Version { found: 2 }));
}

#[test]
fn a_criterion_that_is_not_met_is_refused_whatever_verdict_stands_beside_it() {
    let failed = changed(|statement| {
        statement.criteria[4].found = 3;
        statement.criteria[4].passed = true;
    });
    assert_eq!(
        verified(&failed, &key().verifying(), |_| ()).expect_err("three failed").to_string(),
        "it failed in phase recovery: failed requests is 3, and must be at most 0"
    );
}

#[test]
fn a_phase_that_was_left_out_is_missed() {
    for phase in Phase::ALL {
        let less = changed(|statement| statement.criteria.retain(|criterion| criterion.phase != phase));
        assert_eq!(verified(&less, &key().verifying(), |_| ()), Err(Refusal::Incomplete { phase }));
    }
}

#[test]
fn figures_lie_within_the_band_of_the_reference_to_either_side() {
    let reference = statement();
    let with = |found: u64| {
        let other = changed(|statement| {
            for figures in &mut statement.phases {
                figures.figures.values_mut().for_each(|figure| *figure = found);
            }
        });
        verified(&other, &key().verifying(), |expected| {
            expected.reference = Some(Reference { statement: &reference, band_percent: 10 });
        })
    };
    assert_eq!((with(900), with(1_100)), (Ok(()), Ok(())));
    for found in [899, 1_101] {
        let refusal = with(found).expect_err("outside");
        let figure = "knee_per_second".to_owned();
        let expected =
            Refusal::OutsideBand { phase: Phase::Ramp, figure, found, band_percent: 10, least: 900, most: 1_100 };
        assert_eq!(refusal, expected);
    }
    let silent = changed(|statement| statement.phases.clear());
    let refused = verified(&silent, &key().verifying(), |expected| {
        expected.reference = Some(Reference { statement: &reference, band_percent: 10 });
    });
    assert!(matches!(refused, Err(Refusal::OutsideBand { found: 0, .. })), "{refused:?}");
}

#[test]
fn the_signed_bytes_never_change_by_accident() {
    let certificate = statement().sign(&key());
    assert_eq!(
        certificate.signature.key.to_string(),
        "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"
    );
    assert!(certificate.signature.ed25519.starts_with(GOLDEN), "{}", certificate.signature.ed25519);
}

/// Of the statement above.
const GOLDEN: &str = "402090502de421ce6e48e8532ac84660aeb8408df670f5e66f166796b7d7f4ba";

#[test]
fn a_secret_key_is_never_shown() {
    let shown = format!("{:?}", key());
    assert!(!shown.contains("0707"), "{shown}");
    assert!(SigningKey::from_hex("07").is_err());
    assert!(SigningKey::from_hex(&"07".repeat(32)).is_ok());
    assert!("zz".parse::<VerifyingKey>().is_err());
}
