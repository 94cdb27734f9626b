//! What is there before clients come, and what is asked of nodes directly: an account with its key and a bucket, and the routing table
//! that names them.

use crate::{
    client::{BUCKET, SECRET, access_key, account},
    host::{CELL, Parts, cell_key, members},
    world::World,
};
use bulkhead_cell::{
    meta::{command::Command, index::Origin, record::Account},
    ops::OpError,
};
use bulkhead_model::{ClaimId, Epoch, RequestId, RoutingTable, routing::Home};
use bulkhead_service::env::Rng;
use futures::{FutureExt as _, future::BoxFuture};
use std::time::Duration;
use tokio::time::Instant;

/// How long a node has for one try.
const TRY: Duration = Duration::from_secs(4);
const TRIES: usize = 100;
/// How late a router hears of a new table at most, milliseconds.
const TABLE_LATE_MS: u64 = 3_000;

impl World {
    /// The nodes become a group.
    pub fn form(&mut self) -> Result<(), String> {
        self.until("the nodes do not open", |world| {
            world.hosts.iter().all(|host| host.up.as_ref().is_some_and(|up| up.parts.get().is_some()))
        })?;
        let up = self.hosts[0].up.as_ref().ok_or("node 1 is down")?;
        let parts = up.parts.get().cloned().ok_or("node 1 is not open")?;
        let formed = up.runtime.spawn(async move { parts.replica.form(&members()).await });
        self.wait(formed, "the forming")?.map_err(|error| error.to_string())
    }

    /// An account, its access key and a bucket.
    pub fn furnish(&mut self) -> Result<(), String> {
        let (account, key) = (account(), access_key());
        let record = Account { display_name: "sim".into(), email: "sim@example.org".into(), epoch: Epoch(1) };
        let credential = cell_key().seal(&Rng::from_seed(self.rng.u64()), account, &key, SECRET);
        for command in [
            Command::PutAccount { account, record },
            Command::PutCredential { key, credential },
            Command::CreateBucket { name: BUCKET.into(), owner: account, claim: ClaimId(1), location: None },
        ] {
            let origin = Origin { request: Some(RequestId(self.rng.u64().into())), routed: None };
            let done = self.insist("an account, its key or a bucket", |parts, deadline| {
                let command = command.clone();
                async move { Ok(parts.cell.index.execute(origin, command, deadline).await?.is_ok()) }.boxed()
            })?;
            if !done {
                return Err("an account, its key or a bucket is refused".into());
            }
        }
        Ok(())
    }

    /// Asks one node after the other until one has done it.
    pub fn insist<T: Send + 'static>(
        &mut self,
        what: &str,
        work: impl Fn(Parts, Instant) -> BoxFuture<'static, Result<T, OpError>>,
    ) -> Result<T, String> {
        for attempt in 0..TRIES {
            let ids = self.ids();
            let host = &self.hosts[ids[attempt % ids.len()] - 1];
            if let (Some(up), Some(parts)) = (&host.up, host.parts()) {
                let deadline = up.runtime.block_on(async { up.env.clock.now() }) + TRY;
                let done = up.runtime.spawn(work(parts.clone(), deadline));
                // A node that ends meanwhile is like one that does not answer.
                if let Ok(Ok(done)) = self.wait(done, what) {
                    return Ok(done);
                }
            }
            for _ in 0..100 {
                self.step();
            }
        }
        Err(format!("{what}: no node has done it in {TRIES} tries"))
    }

    /// The routing table as it is now.
    pub fn table(&self) -> RoutingTable {
        let cell: bulkhead_model::CellId = CELL.parse().expect("a label");
        let nodes = self.ids().into_iter().map(|id| self.hosts[id - 1].route()).collect();
        let mut table = RoutingTable { version: self.tables, ..RoutingTable::default() };
        table.accounts.insert(account(), Home { cell: cell.clone(), epoch: Epoch(1) });
        table.buckets.insert(BUCKET.into(), account());
        table.keys.insert(access_key(), account());
        table.cells.insert(cell, nodes);
        table
    }

    /// Routers learn which nodes there are, each after a while of its own.
    pub fn tell_routers(&mut self) {
        self.tables += 1;
        for at in 0..self.routers.len() {
            self.tell_router(at);
        }
    }

    /// One of them does.
    pub fn tell_router(&self, at: usize) {
        self.routers[at].tell(self.table(), 1 + self.rng.below(TABLE_LATE_MS), &self.wires);
    }
}
