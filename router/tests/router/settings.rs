//! What a router does as its settings say, with a control plane that says nothing of them.

#![expect(clippy::disallowed_methods, reason = "json! unwraps inside")]

use crate::support::{Act, Fleet, router, send};
use bulkhead_model::settings::{Held, Rule, SECOND_TRIES, Settings};
use bulkhead_router::limits;
use bulkhead_service::client::full;
use http::Method;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Nodes that see a write whose first node is silent, from a router that starts with this variant on its disk.
async fn asked(variant: &str) -> usize {
    let fleet = Fleet::start(2).await;
    let rule = Rule { fleet: Some(Held::everyone(variant.into())), cells: BTreeMap::new() };
    let settings = Settings { version: 1, rules: BTreeMap::from([(SECOND_TRIES.name.to_owned(), rule)]) };
    let saved = json!({ "format": 1, "settings": settings }).to_string();
    let data = fleet.dir.path().join("data");
    std::fs::create_dir_all(&data).and_then(|()| std::fs::write(data.join("settings.json"), saved)).expect("writable");
    let router = router(fleet.dir.path(), fleet.control_plane.address()).await;
    fleet.all_next(&Act::Wait(Arc::new(Semaphore::new(0))));
    let write = send(router.s3(), Method::PUT, "/bucket/k", full("hello"));
    let patience = limits::SECOND_TRY_AFTER_MAX + Duration::from_secs(1);
    assert!(timeout(patience, write).await.is_err(), "nobody answers");
    fleet.seen().len()
}

#[tokio::test]
async fn a_router_starts_with_its_saved_settings_and_gives_second_tries_as_they_say() {
    let (all, reads, off) = tokio::join!(asked("all"), asked("reads"), asked("off"));
    assert_eq!((all, reads, off), (2, 1, 1));
}
