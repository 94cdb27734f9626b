//! What is sick stays where it is: nodes that fall silent, cells that hang or babble, and how many tries any of it costs.

use crate::support::{
    Act, Babble, ControlPlane, FakeNode, Fleet, KEY, OTHER_KEY, PATIENCE, RawNode, add_cell, router, send, send_as,
    table, text,
};
use bulkhead_model::headers;
use bulkhead_router::{Started, limits};
use bulkhead_service::{
    client::{Client, full},
    env::Clock,
};
use futures::{StreamExt as _, future::join_all, poll, stream};
use http::{Method, StatusCode, header};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{sync::Semaphore, time::timeout};

/// A cell that is well, and one that is not.
struct Two {
    router: Started,
    well: Vec<FakeNode>,
    sick: Vec<RawNode>,
    _control_plane: ControlPlane,
    _dir: TempDir,
}

impl Two {
    async fn start(babble: Babble) -> Self {
        let (mut well, mut sick) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            well.push(FakeNode::start().await);
            sick.push(RawNode::start(babble).await);
        }
        let routes: Vec<&FakeNode> = well.iter().collect();
        let mut table = table(1, ("c1", 1), &[("c1", &routes)]);
        add_cell(&mut table, "c2", &sick.iter().map(|node| node.address).collect::<Vec<_>>());
        let control_plane = ControlPlane::start(table).await;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let router = router(dir.path(), control_plane.address()).await;
        Self { router, well, sick, _control_plane: control_plane, _dir: dir }
    }

    async fn ask(&self, key: &str, method: Method) -> (StatusCode, String) {
        let response = send_as(key, self.router.s3(), method, "/", full("")).await;
        (response.status(), text(&response))
    }
}

#[tokio::test]
async fn a_cell_that_hangs_costs_the_tenants_of_another_nothing() {
    const HANGING: usize = 120;
    let two = Two::start(Babble::Nothing).await;
    let mut hanging = stream::iter((0..HANGING).map(|_| two.ask(OTHER_KEY, Method::GET))).buffer_unordered(HANGING);
    let others = async {
        while two.sick.iter().map(RawNode::requests).sum::<u64>() < 100 {
            tokio::task::yield_now().await;
        }
        let begun = Clock::system().now();
        for _ in 0..100 {
            assert_eq!(two.ask(KEY, Method::GET).await.0, StatusCode::OK);
        }
        begun.elapsed()
    };
    tokio::select! {
        took = others => assert!(took < limits::TRY_PATIENCE, "{took:?} for 100 requests to the cell that is well"),
        () = async { while hanging.next().await.is_some() {} } => panic!("the hanging requests ended first"),
    }
    assert_eq!(two.well.iter().map(|node| node.seen().len()).sum::<usize>(), 100);
}

#[tokio::test]
async fn a_cell_whose_nodes_are_all_silent_is_refused_at_once_and_only_it() {
    let two = Two::start(Babble::Nothing).await;
    // Many at once, so that each node is asked: of a node that nobody asks nothing is known.
    for (status, body) in join_all((0..12).map(|_| two.ask(OTHER_KEY, Method::GET))).await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    }
    let refused = async {
        loop {
            let begun = Clock::system().now();
            let (status, body) = two.ask(OTHER_KEY, Method::GET).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
            if body.contains("away at present") && begun.elapsed() < limits::SECOND_TRY_AFTER_MIN {
                return;
            }
        }
    };
    timeout(PATIENCE * 3, refused).await.expect("the breaker opens");
    assert_eq!(two.ask(KEY, Method::GET).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_that_is_none_is_bounded_and_called_a_fault_of_the_cell() {
    for (babble, expected) in [
        (Babble::NotHttp, StatusCode::BAD_GATEWAY),
        (Babble::BadStatus, StatusCode::BAD_GATEWAY),
        (Babble::EndlessHeaders, StatusCode::BAD_GATEWAY),
        (Babble::HalfAHead, StatusCode::SERVICE_UNAVAILABLE),
        // The answer to a HEAD has no body that could be too short.
        (Babble::TooShort, StatusCode::OK),
    ] {
        let two = Two::start(babble).await;
        let (status, _) = two.ask(OTHER_KEY, Method::HEAD).await;
        assert_eq!(status, expected, "{babble:?}");
        let said: u64 = two.sick.iter().map(RawNode::said).sum();
        assert!(said < 64 << 20, "{babble:?}: {said} bytes were taken");
        assert_eq!(two.ask(KEY, Method::GET).await.0, StatusCode::OK, "{babble:?}");
    }
}

#[tokio::test]
async fn an_answer_that_never_begins_ends_with_its_client() {
    let two = Two::start(Babble::EndlessInterimAnswers).await;
    assert!(timeout(Duration::from_millis(500), two.ask(OTHER_KEY, Method::GET)).await.is_err());
    let quiet = async {
        let mut before = u64::MAX;
        while before != two.sick.iter().map(RawNode::said).sum::<u64>() {
            before = two.sick.iter().map(RawNode::said).sum();
            assert_eq!(two.ask(KEY, Method::GET).await.0, StatusCode::OK);
        }
    };
    timeout(PATIENCE, quiet).await.expect("its connection is closed");
}

#[tokio::test]
async fn a_write_that_is_answered_with_garbage_is_of_unknown_outcome() {
    let two = Two::start(Babble::NotHttp).await;
    let (status, body) = two.ask(OTHER_KEY, Method::PUT).await;
    assert!(
        status == StatusCode::INTERNAL_SERVER_ERROR && body.contains("<Code>InternalError</Code>"),
        "{status} {body}"
    );
}

#[tokio::test]
async fn a_node_that_falls_silent_costs_a_request_a_second_try_and_no_more() {
    let fleet = Fleet::start(3).await;
    fleet.nodes[1].fall_silent();
    for n in 0..60 {
        let begun = Clock::system().now();
        let method = if n % 2 == 0 { Method::GET } else { Method::PUT };
        assert_eq!(fleet.send(method, "/bucket/k", "hello").await.status(), StatusCode::OK);
        assert!(begun.elapsed() < limits::TRY_PATIENCE, "request {n} waited for the silent node's whole patience");
    }
    let wasted = fleet.nodes[1].seen().len();
    assert!(wasted <= 6, "{wasted} of 60 requests went to a node that answers nothing");
}

#[tokio::test]
async fn a_copy_that_takes_long_does_not_make_its_node_look_slow() {
    const COPY: Duration = Duration::from_millis(600);
    let fleet = Fleet::start(2).await;
    let permits = Arc::new(Semaphore::new(0));
    fleet.all_next(&Act::Wait(Arc::clone(&permits)));
    let client = Client::new(None, None);
    let mut request = client.request(Method::PUT, fleet.router.s3(), "/bucket/k", full("")).expect("a target");
    request.headers_mut().insert(header::AUTHORIZATION, format!("AWS {KEY}:0").parse().expect("a value"));
    request.headers_mut().insert("x-amz-copy-source", "/bucket/other".parse().expect("a value"));
    let mut copy = std::pin::pin!(client.call(request, PATIENCE, 1 << 20));
    assert!(timeout(COPY, copy.as_mut()).await.is_err(), "it waits");
    permits.add_permits(100);
    assert_eq!(copy.await.expect("an answer").status(), StatusCode::OK);
    let copied = fleet.nodes.iter().position(|node| !node.seen().is_empty()).expect("one of the nodes has made it");
    for _ in 0..40 {
        assert_eq!(fleet.send(Method::GET, "/bucket/k", "").await.status(), StatusCode::OK);
    }
    let read = fleet.nodes[copied].seen().len() - 1;
    assert!(read >= 5, "{read} of 40 reads went to the node that made the copy");
}

#[tokio::test]
async fn a_refusal_beside_a_silent_node_does_not_say_that_nothing_was_done() {
    let fleet = Fleet::start(2).await;
    fleet.nodes[0].fall_silent();
    fleet.nodes[1].otherwise(Act::Refuse(StatusCode::SERVICE_UNAVAILABLE));
    let met = async {
        loop {
            let status = fleet.send(Method::PUT, "/bucket/k", "hello").await.status();
            if !fleet.nodes[0].seen().is_empty() {
                return status;
            }
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "only one node was asked, and refused");
        }
    };
    let status = timeout(PATIENCE, met).await.expect("the silent node is asked soon");
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "the silent node may have done it");
}

#[tokio::test]
async fn a_refusal_beside_a_node_that_is_at_work_is_not_the_last_word() {
    let fleet = Fleet::start(2).await;
    let permits = Arc::new(Semaphore::new(0));
    fleet.nodes.iter().for_each(|node| node.otherwise(Act::Refuse(StatusCode::SERVICE_UNAVAILABLE)));
    fleet.nodes[0].next(Act::Wait(Arc::clone(&permits)));
    let mut waiting = None;
    let met = async {
        while waiting.is_none() {
            let refused = fleet.nodes[1].seen().len();
            let mut put = Box::pin(fleet.send(Method::PUT, "/bucket/k", "hello"));
            let both_asked = async {
                while fleet.nodes[0].seen().is_empty() || fleet.nodes[1].seen().len() == refused {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                answer = put.as_mut() => assert!(fleet.nodes[0].seen().is_empty(), "{}", answer.status()),
                () = both_asked => waiting = Some(put),
            }
        }
    };
    timeout(PATIENCE, met).await.expect("the node that takes its time is asked soon");
    let mut put = waiting.expect("just seen");
    // Many answers later the refusal has come to the router too.
    for _ in 0..20 {
        fleet.send(Method::DELETE, "/bucket/other", "").await;
    }
    assert!(poll!(put.as_mut()).is_pending(), "the refusal was passed on, though the other node is at it");
    permits.add_permits(1);
    assert_eq!(put.await.status(), StatusCode::OK, "it has done what the other refused");
    let writes = fleet.nodes[0].seen().iter().filter(|seen| seen.method == Method::PUT).count();
    assert_eq!(writes, 1, "and was asked once");
}

#[tokio::test]
async fn a_large_upload_leaves_a_node_that_does_not_ask_for_its_body() {
    let fleet = Fleet::start(2).await;
    let permits = Arc::new(Semaphore::new(0));
    fleet.all_next(&Act::Wait(Arc::clone(&permits)));
    let put = timeout(PATIENCE, fleet.send(Method::PUT, "/bucket/k", vec![b'x'; 1 << 20])).await;
    assert_eq!(put.expect("an answer in time").status(), StatusCode::OK);
    let read: Vec<usize> = fleet.seen().iter().map(|seen| seen.bytes).filter(|bytes| *bytes > 0).collect();
    assert_eq!(read, [1 << 20], "the body was read once");
}

#[tokio::test]
async fn of_what_a_cell_refuses_most_is_refused_before_it_and_nothing_once_it_takes_it_again() {
    const REQUESTS: usize = 300;
    let fleet = Fleet::start(1).await;
    let node = &fleet.nodes[0];
    node.otherwise(Act::Refuse(StatusCode::SERVICE_UNAVAILABLE));
    let client = Client::new(None, None);
    let put = async || {
        let mut request = client.request(Method::PUT, fleet.router.s3(), "/bucket/k", full("hello")).expect("a target");
        request.headers_mut().insert(header::AUTHORIZATION, format!("AWS {KEY}:0").parse().expect("a value"));
        client.call(request, PATIENCE, 1 << 20).await.expect("an answer, on a connection that stays usable")
    };
    let mut told_when = 0;
    for _ in 0..REQUESTS {
        let answer = put().await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        told_when += usize::from(answer.headers().contains_key(header::RETRY_AFTER));
    }
    let asked = node.seen().len();
    assert!(asked < REQUESTS * 2 / 3, "the node saw {asked} of {REQUESTS}");
    assert_eq!(told_when, REQUESTS - asked, "the router says when to come again");
    node.otherwise(Act::Store);
    assert_eq!(
        fleet.send(Method::DELETE, "/bucket/k", "").await.status(),
        StatusCode::OK,
        "of that it did not too much"
    );
    let well = async {
        let mut in_a_row = 0;
        while in_a_row < 50 {
            in_a_row = if put().await.status() == StatusCode::OK { in_a_row + 1 } else { 0 };
        }
    };
    timeout(PATIENCE, well).await.expect("it is believed soon");
}

/// Every way in which a node can fail, all the time: tries stay within the budget and each request within its own bound.
#[tokio::test]
async fn whatever_fails_a_request_becomes_a_bounded_number_of_tries() {
    const REQUESTS: usize = 300;
    let silent = Arc::new(Semaphore::new(0));
    for failure in [
        Act::NotExecuted,
        Act::Unsettled,
        Act::HangUp,
        Act::HangUpMidway,
        Act::Moved,
        Act::Wait(silent),
        Act::Refuse(StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let fleet = Fleet::start(3).await;
        fleet.nodes.iter().for_each(|node| node.otherwise(failure.clone()));
        let started = Clock::system().now();
        let one = |n: usize| {
            let address = fleet.router.s3();
            let method = if n.is_multiple_of(2) { Method::GET } else { Method::PUT };
            // Who waits longer is gone: what counts is what the cell sees.
            async move {
                let _ = timeout(Duration::from_millis(1500), send(address, method, "/bucket/k", full("hello"))).await;
            }
        };
        stream::iter((0..REQUESTS).map(one)).buffer_unordered(100).collect::<Vec<()>>().await;
        let bound = REQUESTS as f64 * (1.0 + limits::RETRIES_PER_REQUEST)
            + limits::RETRIES_SAVED_MAX
            + limits::RETRIES_PER_SECOND_FLOOR * started.elapsed().as_secs_f64();
        let seen = fleet.seen();
        assert!(seen.len() as f64 <= bound, "{failure:?}: {} tries of {REQUESTS} requests", seen.len());
        let mut of_each: HashMap<String, u32> = HashMap::new();
        for request in &seen {
            *of_each.entry(request.header(headers::REQUEST_ID).unwrap_or_default().to_owned()).or_default() += 1;
        }
        let most = of_each.values().max().copied().unwrap_or_default();
        assert!(most <= limits::TRIES_MAX, "{failure:?}: one request became {most}");
    }
}

/// In the long run a cell that fails everything sees a tenth more than it was asked, and not more.
#[tokio::test]
async fn a_cell_that_fails_everything_sees_a_tenth_more_in_sum() {
    const REQUESTS: usize = 6_000;
    let fleet = Fleet::start(3).await;
    fleet.nodes.iter().for_each(|node| node.otherwise(Act::NotExecuted));
    let started = Clock::system().now();
    let client = Client::new(None, None);
    let one = |_| async {
        let mut request = client.request(Method::GET, fleet.router.s3(), "/bucket/k", full("")).expect("a target");
        request.headers_mut().insert(header::AUTHORIZATION, format!("AWS {KEY}:0").parse().expect("a value"));
        client.call(request, PATIENCE, 1 << 20).await.expect("an answer");
    };
    stream::iter((0..REQUESTS).map(one)).buffer_unordered(64).collect::<Vec<()>>().await;
    let earned = REQUESTS as f64 * limits::RETRIES_PER_REQUEST
        + limits::RETRIES_PER_SECOND_FLOOR * started.elapsed().as_secs_f64();
    let tries = fleet.seen().len() as f64;
    assert!(tries <= REQUESTS as f64 + earned + limits::RETRIES_SAVED_MAX, "{tries} tries of {REQUESTS}");
}

#[tokio::test]
async fn requests_of_many_clients_reach_a_cell_whose_node_died_without_a_single_error() {
    let mut fleet = Fleet::start(3).await;
    fleet.nodes.pop().expect("three nodes").stop().await;
    let all = join_all((0..100).map(|_| fleet.send(Method::PUT, "/bucket/k", "hello"))).await;
    assert!(all.iter().all(|response| response.status() == StatusCode::OK));
}
