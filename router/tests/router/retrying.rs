//! When a request is sent again, and when it must not be.

use crate::support::{Act, FakeNode, Fleet, PATIENCE, account, table, text};
use bulkhead_model::headers;
use bulkhead_router::limits;
use http::{Method, StatusCode};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

const SMALL: &str = "hello";

fn large() -> Vec<u8> {
    vec![b'x'; 1 << 20]
}

/// The one request id all tries carry.
fn only_id(fleet: &Fleet) -> String {
    let mut ids: Vec<_> = fleet.seen().iter().map(|seen| seen.header(headers::REQUEST_ID).map(str::to_owned)).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids.remove(0).expect("an id")
}

#[tokio::test]
async fn a_write_that_was_not_executed_goes_to_another_node_under_the_same_id() {
    for body in [SMALL.as_bytes().to_vec(), large()] {
        let fleet = Fleet::start(2).await;
        fleet.all_next(&Act::NotExecuted);
        let response = fleet.send(Method::PUT, "/bucket/k", body.clone()).await;
        assert_eq!((response.status(), response.body().len()), (StatusCode::OK, body.len()));
        assert_eq!(fleet.seen().len(), 3, "both nodes refused once");
        only_id(&fleet);
    }
}

#[tokio::test]
async fn a_small_write_whose_connection_is_lost_is_sent_again_under_the_same_id() {
    let fleet = Fleet::start(1).await;
    fleet.all_next(&Act::HangUpMidway);
    let response = fleet.send(Method::PUT, "/bucket/k", SMALL).await;
    assert_eq!((response.status(), text(&response).as_str()), (StatusCode::OK, SMALL));
    only_id(&fleet);
}

#[tokio::test]
async fn a_repetition_that_is_turned_away_does_not_say_that_nothing_was_done() {
    for (method, refusal, expected) in [
        (Method::PUT, StatusCode::SERVICE_UNAVAILABLE, StatusCode::INTERNAL_SERVER_ERROR),
        (Method::PUT, StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR),
        (Method::PUT, StatusCode::PRECONDITION_FAILED, StatusCode::PRECONDITION_FAILED),
        (Method::GET, StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let fleet = Fleet::start(1).await;
        fleet.nodes[0].otherwise(Act::Refuse(refusal));
        assert_eq!(fleet.send(method.clone(), "/bucket/k", SMALL).await.status(), refusal, "the first try is refused");
        fleet.all_next(&Act::HangUpMidway);
        assert_eq!(fleet.send(method, "/bucket/k", SMALL).await.status(), expected, "the first try is lost");
    }
}

#[tokio::test]
async fn a_repetition_says_that_an_earlier_try_may_have_been_executed_when_it_may() {
    for (method, act, expected) in [
        (Method::PUT, Act::HangUpMidway, true),
        (Method::PUT, Act::Unsettled, true),
        (Method::PUT, Act::NotExecuted, false),
        (Method::GET, Act::HangUpMidway, false),
    ] {
        let fleet = Fleet::start(1).await;
        fleet.all_next(&act);
        assert_eq!(fleet.send(method.clone(), "/bucket/k", SMALL).await.status(), StatusCode::OK);
        let marks: Vec<bool> = fleet.seen().iter().map(|seen| seen.header(headers::UNSETTLED).is_some()).collect();
        assert_eq!(marks, [false, expected], "{method} {act:?}");
    }
}

#[tokio::test]
async fn what_two_nodes_have_lost_is_given_to_no_third() {
    for (method, expected) in
        [(Method::PUT, StatusCode::INTERNAL_SERVER_ERROR), (Method::GET, StatusCode::SERVICE_UNAVAILABLE)]
    {
        let fleet = Fleet::start(3).await;
        fleet.all_next(&Act::HangUpMidway);
        assert_eq!(fleet.send(method, "/bucket/k", SMALL).await.status(), expected);
        let seen: Vec<usize> = fleet.nodes.iter().map(|node| node.seen().len()).collect();
        assert_eq!(seen.iter().sum::<usize>(), 2, "{seen:?}");
        assert!(seen.iter().all(|tries| *tries <= 1), "{seen:?}");
    }
}

#[tokio::test]
async fn a_large_write_that_was_partly_passed_on_is_never_sent_again_and_not_called_failed() {
    let fleet = Fleet::start(2).await;
    fleet.all_next(&Act::HangUpMidway);
    let response = fleet.send(Method::PUT, "/bucket/k", large()).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(&response).contains("<Code>InternalError</Code>"));
    assert_eq!(fleet.seen().len(), 1);
}

#[tokio::test]
async fn a_small_write_of_unknown_outcome_is_sent_again_under_the_same_id() {
    let fleet = Fleet::start(2).await;
    fleet.all_next(&Act::Unsettled);
    let response = fleet.send(Method::PUT, "/bucket/k", SMALL).await;
    assert_eq!((response.status(), text(&response).as_str()), (StatusCode::OK, SMALL));
    assert_eq!(fleet.seen().len(), 3, "both nodes did not know once");
    only_id(&fleet);
}

#[tokio::test]
async fn a_large_write_of_unknown_outcome_is_not_sent_again_and_not_called_failed() {
    let fleet = Fleet::start(2).await;
    fleet.all_next(&Act::Unsettled);
    let response = fleet.send(Method::PUT, "/bucket/k", large()).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!response.headers().contains_key(headers::OUTCOME_UNKNOWN));
    assert_eq!(fleet.seen().len(), 1);
}

#[tokio::test]
async fn a_large_write_whose_connection_is_lost_before_its_body_is_sent_again() {
    let fleet = Fleet::start(1).await;
    fleet.all_next(&Act::HangUp);
    let response = fleet.send(Method::PUT, "/bucket/k", large()).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 1 << 20));
}

#[tokio::test]
async fn an_upload_whose_body_no_node_asked_for_is_refused_and_not_of_unknown_outcome() {
    let fleet = Fleet::start(2).await;
    fleet.nodes[0].otherwise(Act::HangUp);
    fleet.nodes[1].otherwise(Act::Refuse(StatusCode::SERVICE_UNAVAILABLE));
    let met = async {
        loop {
            let status = fleet.send(Method::PUT, "/bucket/k", large()).await.status();
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "no node has read a byte of it");
            if !fleet.nodes[0].seen().is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("the node that hangs up is asked soon");
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_costs_no_request() {
    let mut fleet = Fleet::start(3).await;
    fleet.nodes.pop().expect("three nodes").stop().await;
    for n in 0..20 {
        let body = if n % 2 == 0 { large() } else { SMALL.into() };
        assert_eq!(fleet.send(Method::PUT, "/bucket/k", body).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_node_that_is_back_is_used_again() {
    let mut fleet = Fleet::start(2).await;
    let gone = fleet.nodes.pop().expect("two nodes");
    let address = gone.address;
    gone.stop().await;
    for _ in 0..10 {
        assert_eq!(fleet.send(Method::GET, "/bucket/k", "").await.status(), StatusCode::OK);
    }
    let back = FakeNode::start_at(address).await;
    let used = async {
        while back.seen().is_empty() {
            fleet.send(Method::GET, "/bucket/k", "").await;
        }
    };
    tokio::time::timeout(PATIENCE, used).await.expect("the node is used again");
}

#[tokio::test]
async fn small_writes_ride_through_an_election() {
    let fleet = Fleet::start(3).await;
    fleet.nodes.iter().for_each(|node| node.otherwise(Act::NotExecuted));
    let put = fleet.send(Method::PUT, "/bucket/k", SMALL);
    let election = async {
        while fleet.seen().len() < 8 {
            tokio::task::yield_now().await;
        }
        fleet.nodes.iter().for_each(|node| node.otherwise(Act::Store));
    };
    let (response, ()) = tokio::join!(put, election);
    assert_eq!(response.status(), StatusCode::OK);
    only_id(&fleet);
}

#[tokio::test]
async fn retries_end_with_the_budget_and_the_cells_own_words() {
    const CLIENTS: usize = 400;
    let fleet = Fleet::start(3).await;
    fleet.nodes.iter().for_each(|node| node.otherwise(Act::NotExecuted));
    let started = bulkhead_service::env::Clock::system().now();
    let put = || tokio::time::timeout(Duration::from_secs(3), fleet.send(Method::PUT, "/bucket/k", SMALL));
    let outcomes = futures::future::join_all((0..CLIENTS).map(|_| put())).await;
    let given_up: Vec<_> = outcomes.into_iter().flatten().collect();
    assert!(given_up.len() > CLIENTS / 2, "only {} of {CLIENTS} were given up", given_up.len());
    for response in given_up {
        assert_eq!(
            (response.status(), text(&response).as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "the cell is busy")
        );
        assert!(!response.headers().contains_key(headers::NOT_EXECUTED));
    }
    let earned = limits::RETRIES_SAVED_MAX
        + limits::RETRIES_PER_REQUEST * CLIENTS as f64
        + limits::RETRIES_PER_SECOND_FLOOR * started.elapsed().as_secs_f64();
    let retries = fleet.seen().len() - CLIENTS;
    assert!(retries as f64 <= earned + 1.0, "{retries} retries, but only {earned} were earned");
}

#[tokio::test]
async fn an_answer_is_never_repeated_whatever_it_says() {
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::PRECONDITION_FAILED]
    {
        let fleet = Fleet::start(3).await;
        fleet.all_next(&Act::Refuse(status));
        let response = fleet.send(Method::PUT, "/bucket/k", SMALL).await;
        assert_eq!((response.status(), text(&response).as_str()), (status, "refused by the cell"));
        assert_eq!(fleet.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_request_follows_an_account_that_has_moved() {
    let fleet = Fleet::start(1).await;
    let new_home = FakeNode::start().await;
    fleet.nodes[0].otherwise(Act::Moved);
    fleet.control_plane.replace(table(2, ("c2", 2), &[("c1", &[&fleet.nodes[0]]), ("c2", &[&new_home])]));
    let response = fleet.send(Method::PUT, "/bucket/k", SMALL).await;
    assert_eq!((response.status(), text(&response).as_str()), (StatusCode::OK, SMALL));
    let seen = new_home.seen().pop().expect("one request");
    assert_eq!(seen.header(headers::EPOCH), Some("2"));
    assert_eq!(seen.header(headers::ACCOUNT), Some(account().to_string().as_str()));
    assert_eq!(seen.header(headers::REQUEST_ID), fleet.seen()[0].header(headers::REQUEST_ID));
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_slot_at_the_cell() {
    let fleet = Fleet::start(1).await;
    let permits = Arc::new(Semaphore::new(0));
    fleet.nodes[0].next(Act::Wait(Arc::clone(&permits)));
    let left = tokio::time::timeout(Duration::from_millis(200), fleet.send(Method::GET, "/bucket/k", "")).await;
    assert!(left.is_err(), "the node waits");
    assert_eq!(fleet.send(Method::GET, "/bucket/k", "").await.status(), StatusCode::OK);
    assert_eq!(fleet.seen().len(), 2, "the request of the client that left was not repeated");
}
