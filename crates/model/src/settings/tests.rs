//! What settings may be, and what holds for whom.

use super::*;

fn account(n: u64) -> AccountId {
    AccountId::new(AccountId::FIRST + n).expect("in range")
}

fn cell(name: &str) -> CellId {
    name.parse().expect("a label")
}

fn shares(shares: &[(u64, &str)]) -> Held {
    let share = |(percent, value): &(u64, &str)| Share { percent: *percent, value: (*value).into() };
    Held { value: "off".into(), shares: shares.iter().map(share).collect() }
}

#[test]
fn every_setting_has_a_default_that_it_may_have_and_a_name_of_its_own() {
    for setting in KNOWN {
        assert!(setting.kind.admits(&setting.kind.default()), "{}", setting.name);
        assert_eq!(known(setting.name), Some(setting), "two are named so");
        assert!(setting.about.ends_with('.') && !setting.kind.to_string().is_empty(), "{}", setting.name);
        assert_eq!(setting.kind.default().to_string().parse(), Ok(setting.kind.default()), "its text is its own");
        assert!(setting.reader == Reader::Routers || !setting.per_account, "a node reads no setting by account");
    }
}

#[test]
fn what_a_setting_may_not_be_is_refused_with_what_is_allowed() {
    let of = |setting: &Setting, held: Held| setting.check(&held).expect_err("refused").to_string();
    let table = [
        (of(&RETRY_PERCENT, Held::everyone(Value::Number(11))), "is 11, but must be 0 to 10 (tries"),
        (of(&RETRY_PERCENT, Held::everyone("off".into())), "is off, but must be 0 to 10"),
        (of(&THROTTLE, Held::everyone(Value::Number(1))), "is 1, but must be true or false"),
        (of(&SECOND_TRIES, shares(&[(10, "some")])), "is some, but must be one of off, reads, all"),
        (of(&SECOND_TRIES, shares(&[(60, "all"), (41, "reads")])), "is 41%, but each must be 1 to 100"),
        (of(&SECOND_TRIES, shares(&[(0, "all")])), "is 0%"),
        (of(&SECOND_TRIES, shares(&[(1, "all"); 9])), "has 9 shares, but at most 8"),
        (of(&COMPACTION, Held { value: "eager".into(), ..shares(&[]) }.with(10, "gentle")), "takes no shares"),
    ];
    for (error, part) in table {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(SECOND_TRIES.check(&shares(&[(60, "all"), (40, "reads")])), Ok(()));
}

impl Held {
    fn with(mut self, percent: u64, value: &str) -> Self {
        self.shares.push(Share { percent, value: value.into() });
        self
    }
}

#[test]
fn the_accounts_of_a_share_never_change_by_accident() {
    let points = |setting: &str| [0, 1, 2, 4_242].map(|n| point(setting, account(n)));
    assert_eq!(points("router.second-tries"), [97, 25, 4, 26]);
    assert_eq!(points("router.throttle"), [52, 9, 39, 36]);
}

#[test]
fn a_share_has_its_part_of_the_accounts_and_keeps_them_when_it_grows() {
    let (small, large) = (shares(&[(10, "all")]), shares(&[(25, "all"), (25, "reads")]));
    let count = |held: &Held, value: &str| {
        let of = |n| held.of(SECOND_TRIES.name, Some(account(n))).to_string();
        (0..10_000).filter(|n| of(*n) == value).count()
    };
    assert!((900..1_100).contains(&count(&small, "all")), "{}", count(&small, "all"));
    for value in ["all", "reads"] {
        assert!((2_350..2_650).contains(&count(&large, value)), "{value}: {}", count(&large, value));
    }
    let all = Value::from("all");
    for n in 0..1_000 {
        let of = |held: &Held| held.of(SECOND_TRIES.name, Some(account(n))) == &all;
        assert!(!of(&small) || of(&large), "it was among the first");
    }
    assert_eq!(small.of(SECOND_TRIES.name, None), &Value::from("off"), "nobody is in no share");
}

#[test]
fn what_is_said_of_a_cell_comes_before_what_is_said_of_the_fleet_and_nothing_is_the_default() {
    let cells = BTreeMap::from([(cell("c1"), Some(Held::everyone(Value::Number(3)))), (cell("c2"), None)]);
    let rule = Rule { fleet: Some(Held::everyone(Value::Number(5))), cells };
    let mut settings = Settings { version: 1, rules: BTreeMap::from([(RETRY_PERCENT.name.to_owned(), rule)]) };
    let of = |settings: &Settings, name: &str| settings.effective(&RETRY_PERCENT, Some(&cell(name)), None).to_string();
    assert_eq!(["c1", "c2", "c3"].map(|name| of(&settings, name)), ["3", "10", "5"]);
    assert_eq!(settings.effective(&RETRY_PERCENT, None, None), Value::Number(5));
    assert_eq!(settings.effective(&COMPACTION, None, None), "normal".into());
    assert_eq!(settings.check(), Ok(()));
    settings.rules.insert("router.of-tomorrow".into(), Rule::default());
    assert_eq!(settings.check(), Ok(()), "what this build does not know says nothing to it");
    let wrong = Rule { fleet: None, cells: BTreeMap::from([(cell("c9"), Some(Held::everyone("x".into())))]) };
    settings.rules.insert(RETRY_PERCENT.name.into(), wrong);
    assert!(settings.check().is_err());
    assert_eq!(of(&settings, "c9"), "10", "what it may not be it never is");
}

#[test]
fn values_are_what_they_are_in_json() {
    let rule = Rule { fleet: Some(shares(&[(10, "all")])), cells: BTreeMap::new() };
    let text = serde_json::to_string(&rule).expect("plain values");
    assert_eq!(text, r#"{"fleet":{"value":"off","shares":[{"percent":10,"value":"all"}]},"cells":{}}"#);
    assert_eq!(serde_json::from_str::<Rule>(&text).ok(), Some(rule));
    let values: Vec<Value> = serde_json::from_str(r#"[true, 10, "10", "off"]"#).expect("values");
    assert_eq!(values, [Value::Switch(true), Value::Number(10), Value::Number(10), Value::Choice("off".into())]);
    assert_eq!(serde_json::to_string(&values).expect("plain values"), r#"[true,10,10,"off"]"#);
    assert!(serde_json::from_str::<Value>("-1").is_err() && serde_json::from_str::<Value>("null").is_err());
}
