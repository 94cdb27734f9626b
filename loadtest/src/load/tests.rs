//! The whole generator against servers whose manners are known.

use super::{
    engine::{Account, Engine, Phase},
    results::Report,
    workload::Workload,
};
use crate::{
    client::{Credentials, Target},
    clock,
    fake::{Fake, Sin},
    null::{self, Stall},
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

fn workload(rate: u32, kinds: &str) -> Workload {
    let text = format!(
        "name = \"test\"\n[[group]]\nname = \"all\"\nrate = {rate}\nconnections = 32\nkeys = 50\n\
         sizes = {{ log_uniform = [\"1B\", \"8KiB\"] }}\noperation = [{kinds}]"
    );
    Workload::parse(&text).expect("a sound workload")
}

const READS_AND_WRITES: &str =
    "{ kind = \"get\", weight = 6 }, { kind = \"put\", weight = 3 }, { kind = \"delete\", weight = 1 }";

async fn report(target: Arc<Target>, workload: Workload, millis: u64) -> Report {
    let accounts = vec![Account { target, bucket: "b".into() }];
    let engine = Engine::prepare(workload, accounts, 7).await.expect("filled");
    let phases = [
        Phase::new("first", Duration::from_millis(millis / 2), 1.0),
        Phase::new("second", Duration::from_millis(millis / 2), 0.5),
    ];
    engine.run(&phases, |_| ()).await.expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correct_store_is_never_accused_and_every_request_is_accounted_for() {
    let fake = Fake::start(Sin::None).await;
    let report = report(fake.target.clone(), workload(400, READS_AND_WRITES), 2_000).await;
    assert_eq!(report.wrong, Vec::<String>::new());
    for phase in &report.phases {
        let all = &phase.groups["all"];
        assert_eq!(all.total.done + all.total.shed + all.total.failed(), all.offered, "{all:?}");
        assert!(all.total.done > 0);
    }
    let offered = |phase: usize| report.phases[phase].groups["all"].offered as f64;
    assert!((0.3..0.75).contains(&(offered(1) / offered(0))), "half the rate: {} after {}", offered(1), offered(0));
    // Not all of it: JSON's decimal fractions may differ in the last place.
    let json = serde_json::to_string(&report).expect("encodes");
    let read: Report = serde_json::from_str(&json).expect("decodes");
    assert_eq!((read.seconds.len(), read.seed, read.wrong), (report.seconds.len(), report.seed, Vec::new()));
    assert_eq!(read.phases[1].groups["all"].total.done, report.phases[1].groups["all"].total.done);
    assert!(report.text().contains("second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgets_goes_stale_or_flips_a_bit_is_found_out() {
    for sin in [Sin::Forget, Sin::Stale, Sin::Corrupt] {
        let fake = Fake::start(sin).await;
        let report = report(fake.target.clone(), workload(600, READS_AND_WRITES), 2_000).await;
        assert!(!report.wrong.is_empty(), "{sin:?} was not noticed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_in_which_the_server_stands_still_shows_in_full() {
    let (listener, address) = null::listen(0).await.expect("a port");
    let stall = Stall { from: clock::now() + Duration::from_millis(1_500), lasts: Duration::from_secs(1) };
    let mut server = JoinSet::new();
    server.spawn(null::serve(listener, Some(stall)));
    let credentials = Credentials { access_key_id: "A".into(), secret_access_key: "s".into(), region: "r".into() };
    let target = Arc::new(Target::new(&format!("http://{address}"), credentials).expect("an endpoint"));
    let report = report(target, workload(200, "{ kind = \"get\", weight = 1 }"), 8_000).await;
    let latency = report.phases[0].groups["all"].total.latency;
    // A fourth of what was due in these four seconds waited: a closed loop would have sent 32 requests meanwhile, and shown these.
    assert!(latency.p50_ms < 500.0, "{latency:?}");
    assert!(latency.p90_ms > 300.0, "{latency:?}");
    assert!(latency.max_ms > 900.0 && latency.p999_ms > 900.0, "{latency:?}");
}
