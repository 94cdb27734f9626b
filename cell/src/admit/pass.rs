//! A request that was let in: what it holds of the limit, from its turn to its answer, and never while it waits for its client.

use super::cost::Cost;
use super::gate::{Admission, Ask, Held, Refused};
use crate::limits::{PARK_AFTER, STAGE_AGE_MAX};
use parking_lot::Mutex;
use std::{pin::pin, sync::Arc};
use tokio::time::{Instant, timeout};

/// A request that was let in.
pub struct Pass {
    gate: Admission,
    ask: Ask,
    state: Mutex<Executing>,
}

struct Executing {
    held: Option<Held>,
    /// Since when all time is the cell's own; `None` when some of it was the client's.
    since: Option<Instant>,
}

impl Pass {
    /// Waits for the request's turn.
    ///
    /// # Errors
    /// [`Refused`]: nothing of it was executed.
    pub async fn enter(gate: &Admission, ask: Ask) -> Result<Arc<Self>, Refused> {
        let held = gate.enter(ask).await?;
        let state = Mutex::new(Executing { held: Some(held), since: Some(gate.now()) });
        Ok(Arc::new(Self { gate: gate.clone(), ask, state }))
    }

    /// Takes in a document, after which all of the request's work is still to be done. Who sends it slowly gives back what is held, waits for
    /// the request's turn again and is charged again.
    ///
    /// # Errors
    /// What `taking` fails with, or [`Refused`].
    pub async fn intake<T, E: From<Refused>>(&self, taking: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.take_in(false, self.ask.cost, taking).await
    }

    /// Waits for what is not this node's to hurry, a client's bytes or an answer from elsewhere, after which a commit is left to be done. What is
    /// small may take a moment; beyond it, and for what is `large` from the start, nothing is held, and the commit's turn is waited for.
    ///
    /// # Errors
    /// What `taking` fails with, or [`Refused`].
    pub async fn before_commit<T, E: From<Refused>>(
        &self,
        large: bool,
        taking: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.take_in(large, Cost::of_commit(), taking).await
    }

    async fn take_in<T, E: From<Refused>>(
        &self,
        large: bool,
        left: Cost,
        taking: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut taking = pin!(taking);
        let taken = if large {
            self.park();
            taking.await?
        } else if let Ok(taken) = timeout(PARK_AFTER, &mut taking).await {
            taken?
        } else {
            self.park();
            taking.await?
        };
        // Not so when it took long, nor when there were pieces with turns of their own.
        if !self.is_held() {
            let held = self.gate.stage(self.begun(left)).await?;
            *self.state.lock() = Executing { held: Some(held), since: Some(self.gate.now()) };
        }
        Ok(taken)
    }

    /// Whether what the request holds is still held. From now on all time is the cell's own.
    fn is_held(&self) -> bool {
        let mut state = self.state.lock();
        state.since = state.since.map(|_| self.gate.now());
        state.held.is_some()
    }

    /// Gives back what is held: what comes now takes as long as the client likes.
    fn park(&self) {
        let mut state = self.state.lock();
        state.since = None;
        let held = state.held.take();
        drop(state);
        drop(held);
    }

    /// Waits for the turn of a piece of the request's work, which holds `cost` until it ends; the request holds nothing besides.
    ///
    /// # Errors
    /// [`Refused`]: the piece was not executed.
    pub async fn stage(&self, cost: Cost) -> Result<Held, Refused> {
        self.park();
        self.gate.stage(self.begun(cost)).await
    }

    fn begun(&self, cost: Cost) -> Ask {
        Ask { cost, deadline: self.gate.now() + STAGE_AGE_MAX, ..self.ask }
    }

    /// The answer is there. Only of one that succeeded the time tells anything: an error may come at once.
    pub fn end(&self, succeeded: bool) {
        let mut state = self.state.lock();
        let (held, since) = (state.held.take(), state.since.take());
        drop(state);
        drop(held);
        if let (Some(since), true) = (since, succeeded) {
            self.gate.sample(self.ask.class, self.ask.cost, self.gate.now() - since);
        }
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").field("ask", &self.ask).finish_non_exhaustive()
    }
}
