//! The tries of one request: one after the other when they fail, and a second beside the first when its node falls silent.
//!
//! Every try after the first is paid for from the cell's retry budget, there are at most [`limits::TRIES_MAX`] of them, and none
//! begins when the cell's breaker has opened. What may have ended [`limits::LOST_MAX`] nodes is given to no other.

use super::{
    RequestCx, admit,
    forward::clients_fault,
    locate::{self, locate},
};
use crate::{
    Router,
    error::Fault,
    limits,
    routing::Location,
    upstream::{
        Cell, Node,
        attempt::{Answer, Failed, Payload, Template},
        balance::Wish,
        body::Source,
        breaker::Why,
        head,
        node::InFlight,
        retry::{self, Failure, Remains},
    },
};
use bulkhead_model::{
    NodeId, headers,
    settings::{RETRY_PERCENT, SECOND_TRIES},
};
use futures::future::{Either, select};
use http::{HeaderValue, Method, StatusCode};
use std::{pin::pin, sync::Arc};
use tokio::time::{Instant, timeout};

/// The tries of one request.
pub(super) struct Course {
    prefers_leader: bool,
    /// A node that is busy with it for long may well be at work.
    takes_long: bool,
    /// Nothing is executed before the body was asked for.
    needs_body: bool,
    /// No try begins after this.
    until: Instant,
    tried: Vec<NodeId>,
    /// A try that brought no answer may have been executed.
    outcome_open: bool,
    /// Tries that ended with their connection.
    lost: u32,
}

type Outcome = Result<Answer, Failed>;

impl Course {
    pub(super) fn new(cx: &RequestCx, prefers_leader: bool, takes_long: bool) -> Self {
        let until = cx.started + limits::REQUEST_PATIENCE;
        let needs_body = matches!(cx.method, Method::PUT | Method::POST);
        Self { prefers_leader, takes_long, needs_body, until, tried: Vec::new(), outcome_open: false, lost: 0 }
    }

    /// Tries until there is an answer.
    ///
    /// # Errors
    /// When no try brought an answer. [`Fault::OutcomeUnknown`] when the request may have been executed.
    pub(super) async fn run(
        mut self,
        router: &Router,
        mut template: Template,
        cx: &mut RequestCx,
    ) -> Result<Answer, Fault> {
        if let Some(cell) = &cx.cell {
            cell.budget().earn(router.settings.number(&RETRY_PERCENT, Some(&cell.id)));
        }
        loop {
            let cell = Arc::clone(cx.cell.as_ref().ok_or(Fault::NoHome)?);
            let outcome = match &template.payload {
                Payload::Whole(_) => self.whole(router, &cell, &template, cx).await?,
                Payload::Streamed(source) => self.streamed(router, &cell, &template, source, cx).await?,
            };
            let failed = match outcome {
                Ok(answer) => {
                    cx.node = Some(answer.held.in_flight.route.node);
                    // Turned away at the door, the repetition says nothing of the try before it.
                    return if turned_away(&answer) && self.may_have_changed(cx) {
                        Err(Fault::OutcomeUnknown)
                    } else {
                        Ok(answer)
                    };
                }
                Err(failed) => failed,
            };
            let failure = failed.failure;
            if !self.may_go_on(router, &cell, cx, &failed) {
                return self.surrender(failed, cx);
            }
            drop(failed);
            self.before_next(router, failure, &mut template, cx).await?;
        }
    }

    /// One try of a request whose body is passed on as it comes.
    async fn streamed(
        &mut self,
        router: &Router,
        cell: &Arc<Cell>,
        template: &Template,
        source: &Source,
        cx: &mut RequestCx,
    ) -> Result<Outcome, Fault> {
        let in_flight = self.begin(router, cell, false, cx).ok_or(Fault::NoHome)?;
        let node = Arc::clone(in_flight.node());
        let outcome = template.attempt(&router.upstreams, cell, in_flight, limits::TRY_PATIENCE).await;
        if let Err(failed) = &outcome {
            if let Some(error) = source.take_failure() {
                return Err(clients_fault(&error));
            }
            self.note(router, cell, &node, failed);
        }
        Ok(outcome)
    }

    /// One try of a request that is at hand, and a second at another node when there is no answer for too long.
    async fn whole(
        &mut self,
        router: &Router,
        cell: &Arc<Cell>,
        template: &Template,
        cx: &mut RequestCx,
    ) -> Result<Outcome, Fault> {
        let in_flight = self.begin(router, cell, !self.takes_long, cx).ok_or(Fault::NoHome)?;
        let (node, started) = (Arc::clone(in_flight.node()), router.env.clock.now());
        let patience = if self.takes_long { limits::COPY_PATIENCE } else { limits::TRY_PATIENCE };
        let early = if self.takes_long { patience } else { node.latency.patience() };
        let mut first = pin!(template.attempt(&router.upstreams, cell, in_flight, patience));
        if let Ok(outcome) = timeout(early, first.as_mut()).await {
            return Ok(self.settle(router, cell, &node, started, template, outcome));
        }
        let rest = patience.saturating_sub(early);
        if rest.is_zero() {
            return Ok(self.settle(router, cell, &node, started, template, Err(timed_out())));
        }
        router.upstreams.probe(cell, &node);
        cell.forget_leader(node.route.node);
        let Some(beside) = self.begin_beside(router, cell, &node, cx) else {
            let outcome = timeout(rest, first).await.unwrap_or_else(|_| Err(timed_out()));
            return Ok(self.settle(router, cell, &node, started, template, outcome));
        };
        let (other, begun) = (Arc::clone(beside.node()), router.env.clock.now());
        let second = pin!(template.attempt(&router.upstreams, cell, beside, rest));
        let outcome = match timeout(rest, select(first, second)).await {
            Ok(Either::Left((outcome, second))) => match self.settle(router, cell, &node, started, template, outcome) {
                Ok(answer) if !turned_away(&answer) => {
                    self.outcome_open = true;
                    Ok(answer)
                }
                neither => {
                    // What it holds of its node is not held while the other is waited for.
                    drop(neither);
                    let last = timeout(rest, second).await.unwrap_or_else(|_| Err(timed_out()));
                    self.settle(router, cell, &other, begun, template, last)
                }
            },
            Ok(Either::Right((outcome, first))) => {
                match self.settle(router, cell, &other, begun, template, outcome) {
                    Ok(answer) if !turned_away(&answer) => {
                        // What is given up here took this long at least.
                        self.observe(router, cell, &node, started, template);
                        self.outcome_open = true;
                        Ok(answer)
                    }
                    neither => {
                        drop(neither);
                        // It has been silent for long already: a further try is worth more than its whole patience.
                        let last = timeout(early, first).await.unwrap_or_else(|_| Err(timed_out()));
                        self.settle(router, cell, &node, started, template, last)
                    }
                }
            }
            Err(_) => {
                drop(self.settle(router, cell, &node, started, template, Err(timed_out())));
                self.settle(router, cell, &other, begun, template, Err(timed_out()))
            }
        };
        Ok(outcome)
    }

    /// Chooses a node and counts a try at it.
    fn begin(&self, router: &Router, cell: &Cell, can_wait: bool, cx: &mut RequestCx) -> Option<InFlight> {
        let is_read = matches!(cx.method, Method::GET | Method::HEAD);
        let wish = Wish {
            leader: self.prefers_leader,
            // A write does not show whether reads are fast again.
            trial: can_wait && is_read,
            explore: is_read && router.env.rng.below(limits::EXPLORE_ONE_IN) == 0,
        };
        let in_flight = router.upstreams.choose(cell, cx.location.as_ref()?.account, &self.tried, wish)?;
        cx.tries += 1;
        cx.node = Some(in_flight.route.node);
        Some(in_flight)
    }

    /// A second try while the first has no answer: at another node, and only when the budget has one.
    fn begin_beside(&self, router: &Router, cell: &Cell, first: &Node, cx: &mut RequestCx) -> Option<InFlight> {
        let now = router.env.clock.now();
        // The first may still end with its connection, and so may this one.
        let may_be_lost = self.lost + 2 <= limits::LOST_MAX;
        let is_possible = cell.nodes.len() >= 2 && cx.tries < limits::TRIES_MAX && may_be_lost && cell.admits(now);
        let (account, is_read) = (cx.location.as_ref()?.account, matches!(cx.method, Method::GET | Method::HEAD));
        let variant = router.settings.choice(&SECOND_TRIES, Some(&cell.id), Some(account));
        let is_wanted = is_possible && retry::gets_second_try(variant, is_read);
        if !is_wanted || !cell.budget().spend_beside(now) {
            return None;
        }
        let mut tried = self.tried.clone();
        tried.push(first.route.node);
        let wish = Wish { leader: self.prefers_leader, ..Wish::default() };
        let beside = router.upstreams.choose(cell, account, &tried, wish)?;
        cx.tries += 1;
        metrics::counter!("second_tries", "cell" => cell.id.as_str().to_owned(), "variant" => variant).increment(1);
        Some(beside)
    }

    /// Takes note of how a try ended.
    fn settle(
        &mut self,
        router: &Router,
        cell: &Arc<Cell>,
        node: &Arc<Node>,
        started: Instant,
        template: &Template,
        outcome: Outcome,
    ) -> Outcome {
        match &outcome {
            Ok(_) => self.observe(router, cell, node, started, template),
            Err(failed) => {
                if failed.failure == Failure::TimedOut {
                    self.observe(router, cell, node, started, template);
                }
                self.note(router, cell, node, failed);
            }
        }
        outcome
    }

    /// Takes note of how long a node took until now. A copy takes as long as it is large.
    fn observe(&self, router: &Router, cell: &Cell, node: &Node, started: Instant, template: &Template) {
        if !self.takes_long {
            let took = router.env.clock.now().saturating_duration_since(started);
            router.upstreams.observe(cell, node, template.is_read(), took);
        }
    }

    /// Takes note of what a failed try says about the node.
    fn note(&mut self, router: &Router, cell: &Arc<Cell>, node: &Arc<Node>, failed: &Failed) {
        let now = router.env.clock.now();
        self.tried.push(node.route.node);
        self.lost += u32::from(failed.failure == Failure::Lost);
        let is_untouched = failed.remains == Remains::BodyUntouched;
        self.outcome_open |= failed.failure.leaves_outcome_open() && !(is_untouched && self.needs_body);
        match failed.failure {
            // That is proof of the node. Whether its cell is away is for those to find who look at all of them.
            Failure::Unreachable => {
                cell.trip(node, Why::Unreachable, now);
                cell.forget_leader(node.route.node);
            }
            // It may be busy: a probe says more than a body that was not asked for.
            Failure::TimedOut if is_untouched => {
                router.upstreams.probe(cell, node);
                cell.forget_leader(node.route.node);
            }
            Failure::Lost | Failure::TimedOut | Failure::Garbled => {
                cell.failed(node, now);
                cell.forget_leader(node.route.node);
            }
            Failure::Unsettled | Failure::NotExecuted => cell.forget_leader(node.route.node),
            Failure::Moved => {}
        }
        let (cell, reason) = (cell.id.as_str().to_owned(), failed.failure.name());
        metrics::counter!("failed_tries", "cell" => cell, "reason" => reason).increment(1);
        tracing::debug!(node = %node.route.node, reason, detail = failed.detail, "a try failed");
    }

    /// Whether there may be another try: enough is left to send, there is time, it has not ended too many nodes, and the cell has a
    /// retry to spend.
    fn may_go_on(&self, router: &Router, cell: &Cell, cx: &RequestCx, failed: &Failed) -> bool {
        let now = router.env.clock.now();
        let has_room = now < self.until && cx.tries < limits::TRIES_MAX && self.lost < limits::LOST_MAX;
        has_room && failed.remains.suffice() && cell.admits(now) && (failed.paid || cell.budget().spend(now))
    }

    /// Waits before the next try, and looks the account up again when it has moved.
    async fn before_next(
        &mut self,
        router: &Router,
        failure: Failure,
        template: &mut Template,
        cx: &mut RequestCx,
    ) -> Result<(), Fault> {
        if self.may_have_changed(cx) {
            template.headers.insert(headers::UNSETTLED, HeaderValue::from_static("1"));
        }
        if failure == Failure::Moved && self.follow(router, cx).await? {
            self.tried.clear();
            let location = cx.location.as_ref().ok_or(Fault::NoHome)?;
            head::for_cell(&mut template.headers, cx.request, location);
            return Ok(());
        }
        tokio::time::sleep(router.env.rng.jitter(retry::backoff(cx.tries))).await;
        Ok(())
    }

    /// Waits for a table that has the account elsewhere. Says whether there is one.
    async fn follow(&self, router: &Router, cx: &mut RequestCx) -> Result<bool, Fault> {
        let Some(old) = cx.location.take() else { return Ok(false) };
        router.table.ask_for_refetch();
        let elsewhere = |table: &bulkhead_model::RoutingTable| {
            locate(table, &cx.identity).ok().filter(|location: &Location| location.home != old.home)
        };
        match router.table.wait_for(limits::MOVED_PATIENCE, elsewhere).await {
            Some(location) => {
                locate::go_to(router, cx, location)?;
                admit::take_slots(router, cx)?;
                Ok(true)
            }
            None => {
                cx.location = Some(old);
                Ok(false)
            }
        }
    }

    /// Whether a try without an answer may have changed something.
    fn may_have_changed(&self, cx: &RequestCx) -> bool {
        self.outcome_open && !matches!(cx.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// The last word, when there is no further try: the cell's own if it has one and it is true of the whole request.
    fn surrender(&self, failed: Failed, cx: &RequestCx) -> Result<Answer, Fault> {
        if self.may_have_changed(cx) {
            return Err(Fault::OutcomeUnknown);
        }
        match (failed.failure, failed.answer) {
            (Failure::NotExecuted, Some(answer)) => Ok(*answer),
            (Failure::Moved, _) => Err(Fault::NoHome),
            (Failure::Garbled, _) => Err(Fault::Garbled),
            (
                Failure::Unreachable | Failure::Lost | Failure::TimedOut | Failure::Unsettled | Failure::NotExecuted,
                _,
            ) => Err(Fault::Unreachable),
        }
    }
}

/// The cell executed nothing: of another try of the same request that says nothing.
fn turned_away(answer: &Answer) -> bool {
    matches!(answer.response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::FORBIDDEN)
}

fn timed_out() -> Failed {
    Failed { failure: Failure::TimedOut, remains: Remains::Whole, answer: None, detail: None, paid: false }
}
