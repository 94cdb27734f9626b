//! What is taken, what is kept, and what a process starts with.

use super::*;
use crate::{
    client::{Client, Endpoints},
    http::{Options, serve},
};
use axum::{Json, Router, routing::get};
use bulkhead_model::settings::{Held, RETRY_PERCENT, Rule, SECOND_TRIES, Share};
use http::Uri;

fn settings(version: u64, setting: &Setting, held: Held) -> Settings {
    let rule = Rule { fleet: Some(held), cells: BTreeMap::new() };
    Settings { version, rules: BTreeMap::from([(setting.name.to_owned(), rule)]) }
}

fn retries(version: u64, percent: u64) -> Settings {
    settings(version, &RETRY_PERCENT, Held::everyone(Value::Number(percent)))
}

#[test]
fn what_does_not_hold_or_is_older_is_refused_and_the_last_good_settings_stay() {
    let live = Live::default();
    assert_eq!(live.number(&RETRY_PERCENT, None), 10, "the default");
    assert_eq!(live.take(retries(4, 5)), Ok(true));
    assert_eq!(live.take(retries(4, 5)), Ok(false), "nothing new");
    assert!(matches!(live.take(retries(5, 11)), Err(NotTaken::Invalid { version: 5, .. })));
    assert_eq!(live.take(retries(3, 7)), Err(NotTaken::Older { have: 4, offered: 3 }));
    assert_eq!((live.version(), live.number(&RETRY_PERCENT, None)), (4, 5));
}

#[test]
fn a_choice_is_a_word_of_the_table_and_each_account_has_its_own() {
    let live = Live::default();
    let held = Held { value: "off".into(), shares: vec![Share { percent: 50, value: "reads".into() }] };
    assert_eq!(live.take(settings(1, &SECOND_TRIES, held)), Ok(true));
    let of = |n| live.choice(&SECOND_TRIES, None, AccountId::new(AccountId::FIRST + n).ok());
    let reads = (0..1_000).filter(|n| of(*n) == "reads").count();
    assert!((400..600).contains(&reads) && (0..1_000).all(|n| ["reads", "off"].contains(&of(n))), "{reads}");
}

#[test]
fn the_gauges_say_which_percentage_of_the_accounts_has_which_variant() {
    let share = |percent, value: &str| Share { percent, value: value.into() };
    let held = Held { value: "off".into(), shares: vec![share(10, "reads"), share(20, "all"), share(5, "off")] };
    let shown = variants(&settings(1, &SECOND_TRIES, held), Reader::Routers, None);
    let of = |setting: &Setting, variant: &str| shown.get(&(setting.name, variant.to_owned())).copied();
    assert_eq!(["reads", "all", "off"].map(|variant| of(&SECOND_TRIES, variant)), [Some(10), Some(20), Some(70)]);
    assert_eq!(of(&RETRY_PERCENT, "10"), Some(100), "a default is a variant too");
    assert!(shown.keys().all(|(setting, _)| setting.starts_with("router.")), "{shown:?}");
}

/// Asks a control plane that answers so, once. Says what it was asked, and what came of it.
async fn asked(dir: &Path, answer: SettingsFor) -> (Live, String, bool) {
    let env = Env::for_tests(1);
    let asked = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&asked);
    let handler = async move |uri: Uri| {
        *heard.lock() = uri.to_string();
        Json(answer)
    };
    let routes = Router::new().route("/v1/settings/for", get(handler));
    let running = serve(&env, ([127, 0, 0, 1], 0).into(), Options::new("test"), routes).await.expect("a free port");
    let control_plane = Endpoints::new(Client::new(None, None), &[running.address]);
    let live = Live::open(dir, Some("c1".parse().expect("a label")));
    let is_well = live.step(&control_plane, &env).await.is_ok();
    let question = asked.lock().clone();
    (live, question, is_well)
}

#[tokio::test]
async fn a_process_holds_its_last_good_settings_on_disk_and_starts_with_them() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let below = dir.path().join("not/there/yet");
    assert_eq!(Live::open(&below, None).version(), 0, "nothing was saved");
    let answer = |of: Settings| SettingsFor { version: of.version, rules: Some(of.rules) };
    let (live, question, is_well) = asked(&below, answer(retries(7, 3))).await;
    assert_eq!((question.as_str(), is_well), ("/v1/settings/for?known=0&cell=c1", true));
    assert_eq!((live.version(), live.number(&RETRY_PERCENT, None)), (7, 3));
    let again = Live::open(&below, None);
    assert_eq!((again.version(), again.number(&RETRY_PERCENT, None)), (7, 3), "without a control plane");
    let (live, question, is_well) = asked(&below, answer(retries(9, 99))).await;
    assert_eq!((question.as_str(), is_well), ("/v1/settings/for?known=7&cell=c1", false));
    assert_eq!((live.version(), live.number(&RETRY_PERCENT, None)), (7, 3), "what does not hold is not taken");
    assert_eq!(Live::open(&below, None).number(&RETRY_PERCENT, None), 3, "nor saved");
}

#[test]
fn what_was_saved_is_whole_or_the_one_before_it_and_its_format_is_frozen() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    saved::save(dir.path(), &retries(7, 3)).expect("writable");
    std::fs::write(dir.path().join("settings.json.tmp"), "{").expect("writable");
    assert_eq!(saved::load(dir.path()).expect("readable"), Some(retries(7, 3)));
    let frozen = r#"{"format":1,"settings":{"version":7,"rules":{"router.retry-percent":{"fleet":{"value":3,"shares":[]},"cells":{}}}}}"#;
    assert_eq!(std::fs::read_to_string(dir.path().join("settings.json")).expect("readable"), frozen);
    for nonsense in ["", "{", &frozen.replace("\"format\":1", "\"format\":2"), &frozen.replace(":3,", ":30,")] {
        std::fs::write(dir.path().join("settings.json"), nonsense).expect("writable");
        let live = Live::open(dir.path(), None);
        assert_eq!((live.version(), live.number(&RETRY_PERCENT, None)), (0, 10), "{nonsense}: the defaults");
    }
}
