//! Calls of a cell's admin API, by cell id. Every one of them is idempotent, so each may be repeated on another node.
//!
//! Secrets pass through here on their way into the cell and are neither kept nor logged.

use crate::{
    domain::disks::Answer,
    limits::{CELL_CALL_DEADLINE, POLL_PAUSE, REQUEST_DEADLINE},
    provision::local::tokens::Tokens,
    store::{Directory, DirectoryError, read},
};
use bulkhead_model::{
    AccessKeyId, AccountId, CellId,
    api::{
        cell::{
            ClaimSettled, Form, Member, NodeLoad, NodeStatus, NodeStorage, PutAccount, PutKey, PutLimits, PutSettings,
            SettleClaim, Voters,
        },
        control_plane::{CellLoad, CellNode, CellNodeLoad, NodeQuarantine},
    },
};
use bulkhead_service::{
    Env,
    client::{Client, ClientError},
    config::ConfigError,
    tls::Wire,
};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};

/// Why a cell did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// Certainly nothing was done.
    #[error("cell {cell} cannot be reached: {why}")]
    Unreachable { cell: CellId, why: String },
    /// It may have been done, or may still be.
    #[error("cell {cell} did not confirm in time: {why}")]
    Unknown { cell: CellId, why: String },
    /// The cell's answer to the request, which repeating would not change.
    #[error("cell {cell} refused: {why}")]
    Refused { cell: CellId, status: StatusCode, why: String },
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("no admin token for the cell: {0}")]
    Token(#[from] ConfigError),
}

/// All cells, as the control plane calls them. Cheap to clone.
#[derive(Clone)]
pub struct Cells {
    directory: Directory,
    tokens: Tokens,
    wire: Wire,
    env: Env,
    /// One pool of connections for each cell; a cell's token never changes.
    clients: Arc<Mutex<HashMap<CellId, Client>>>,
    /// The node of each cell that answered last is asked first: one that hangs would cost every call its patience.
    answered: Arc<Mutex<HashMap<CellId, SocketAddr>>>,
}

impl Cells {
    /// Finds nodes in the directory and tokens where the provisioner put them, and calls over `wire`.
    pub fn new(directory: Directory, tokens: Tokens, wire: Wire, env: Env) -> Self {
        Self { directory, tokens, wire, env, clients: Arc::default(), answered: Arc::default() }
    }

    /// For requests at nodes' S3 listeners, which ask for a signature and no token.
    pub fn s3_client(&self) -> Client {
        Client::new(None, self.wire.client())
    }

    /// Forgets a cell that is gone: one of the same name may come, with another token.
    pub fn forget(&self, cell: &CellId) {
        self.clients.lock().remove(cell);
        self.answered.lock().remove(cell);
    }

    /// Creates or updates an account.
    ///
    /// # Errors
    /// [`CellError`] says whether it may have been done; so for all calls below.
    pub async fn put_account(&self, cell: &CellId, account: AccountId, body: &PutAccount) -> Result<(), CellError> {
        self.on_any_node(cell, Method::PUT, &format!("/admin/v1/accounts/{account}"), Some(body)).await
    }

    /// Says what an account may ask for. An older version than the cell has changes nothing.
    pub async fn put_limits(&self, cell: &CellId, account: AccountId, body: &PutLimits) -> Result<(), CellError> {
        self.on_any_node(cell, Method::PUT, &format!("/admin/v1/accounts/{account}/limits"), Some(body)).await
    }

    /// Says what an account may hold, and who of it is refused. An older version than the cell has changes nothing.
    pub async fn put_settings(&self, cell: &CellId, account: AccountId, body: &PutSettings) -> Result<(), CellError> {
        self.on_any_node(cell, Method::PUT, &format!("/admin/v1/accounts/{account}/settings"), Some(body)).await
    }

    /// Deletes an account that has no buckets. One that is not there is deleted.
    pub async fn delete_account(&self, cell: &CellId, account: AccountId) -> Result<(), CellError> {
        let path = format!("/admin/v1/accounts/{account}");
        absent_is_deleted(self.on_any_node(cell, Method::DELETE, &path, None::<&()>).await)
    }

    /// Hands a secret to the cell.
    pub async fn put_key(
        &self,
        cell: &CellId,
        account: AccountId,
        key: &AccessKeyId,
        body: &PutKey,
    ) -> Result<(), CellError> {
        self.on_any_node(cell, Method::PUT, &format!("/admin/v1/accounts/{account}/keys/{key}"), Some(body)).await
    }

    /// Deletes a key. One that is not there is deleted.
    pub async fn delete_key(&self, cell: &CellId, account: AccountId, key: &AccessKeyId) -> Result<(), CellError> {
        let path = format!("/admin/v1/accounts/{account}/keys/{key}");
        absent_is_deleted(self.on_any_node(cell, Method::DELETE, &path, None::<&()>).await)
    }

    /// Asks what became of a claim, and has it fenced when nothing did.
    pub async fn settle_claim(&self, cell: &CellId, body: &SettleClaim) -> Result<ClaimSettled, CellError> {
        self.on_any_node(cell, Method::POST, "/admin/v1/claims/settle", Some(body)).await
    }

    /// Forms the cell's group, through one node.
    pub async fn form(&self, cell: &CellId, node: SocketAddr, body: &Form) -> Result<(), CellError> {
        let client = self.client(cell)?;
        let sent = client.json(Method::POST, node, "/admin/v1/form", Some(body), CELL_CALL_DEADLINE);
        sent.await.map_err(|error| cell_error(cell, error))
    }

    /// Adds a node without a vote, through the leader.
    pub async fn add_member(&self, cell: &CellId, leader: SocketAddr, body: &Member) -> Result<(), CellError> {
        let client = self.client(cell)?;
        let sent = client.json(Method::POST, leader, "/admin/v1/members", Some(body), CELL_CALL_DEADLINE);
        sent.await.map_err(|error| cell_error(cell, error))
    }

    /// Replaces the voters, through the leader.
    pub async fn set_voters(&self, cell: &CellId, leader: SocketAddr, body: &Voters) -> Result<(), CellError> {
        let client = self.client(cell)?;
        let sent = client.json(Method::PUT, leader, "/admin/v1/voters", Some(body), CELL_CALL_DEADLINE);
        sent.await.map_err(|error| cell_error(cell, error))
    }

    /// One node's own view of its cell.
    pub async fn status(&self, cell: &CellId, node: SocketAddr) -> Result<NodeStatus, CellError> {
        let client = self.client(cell)?;
        let asked = client.json(Method::GET, node, "/admin/v1/status", None::<&()>, CELL_CALL_DEADLINE);
        asked.await.map_err(|error| cell_error(cell, error))
    }

    /// How the chunks of all nodes of a cell are. Each is asked by itself; one that does not answer is told as such.
    pub async fn storage(&self, cell: &CellId, nodes: &[CellNode]) -> Result<Vec<Answer>, CellError> {
        let client = self.client(cell)?;
        let ask = |node: &CellNode| {
            let (client, id, admin) = (client.clone(), node.node, node.admin);
            async move {
                let path = "/admin/v1/storage";
                let asked = client.json::<(), NodeStorage>(Method::GET, admin, path, None, CELL_CALL_DEADLINE).await;
                Answer { node: id, storage: asked.map_err(|error| error.to_string()) }
            }
        };
        Ok(futures::future::join_all(nodes.iter().map(ask)).await)
    }

    /// What all nodes of a cell execute. Each is asked by itself; one that does not answer is told as such.
    pub async fn load(&self, cell: &CellId, nodes: &[CellNode]) -> Result<CellLoad, CellError> {
        let client = self.client(cell)?;
        let ask = |node: &CellNode| {
            let (client, id, admin) = (client.clone(), node.node, node.admin);
            async move {
                let path = "/admin/v1/load";
                let asked = client.json::<(), NodeLoad>(Method::GET, admin, path, None, CELL_CALL_DEADLINE).await;
                match asked {
                    Ok(load) => CellNodeLoad { node: id, load: Some(load), unreachable: None },
                    Err(error) => CellNodeLoad { node: id, load: None, unreachable: Some(error.to_string()) },
                }
            }
        };
        Ok(CellLoad { nodes: futures::future::join_all(nodes.iter().map(ask)).await })
    }

    /// What each node of a cell refuses because it ended processes.
    pub async fn quarantine(&self, cell: &CellId, nodes: &[CellNode]) -> Result<Vec<NodeQuarantine>, CellError> {
        let client = self.client(cell)?;
        let ask = |node: &CellNode| {
            let (client, id, admin) = (client.clone(), node.node, node.admin);
            async move {
                let path = "/admin/v1/quarantine";
                let asked = client.json::<(), Vec<_>>(Method::GET, admin, path, None, CELL_CALL_DEADLINE).await;
                let (refused, unreachable) = match asked {
                    Ok(refused) => (refused, None),
                    Err(error) => (Vec::new(), Some(error.to_string())),
                };
                NodeQuarantine { node: id, refused, unreachable }
            }
        };
        Ok(futures::future::join_all(nodes.iter().map(ask)).await)
    }

    /// Has a node of the cell let go of a shape; it tells the others.
    pub async fn lift(&self, cell: &CellId, node: SocketAddr, shape: &str) -> Result<(), CellError> {
        let client = self.client(cell)?;
        let path = format!("/admin/v1/quarantine/{shape}");
        let lifted = client.json(Method::DELETE, node, &path, None::<&()>, CELL_CALL_DEADLINE);
        lifted.await.map_err(|error| cell_error(cell, error))
    }

    fn client(&self, cell: &CellId) -> Result<Client, ConfigError> {
        if let Some(client) = self.clients.lock().get(cell) {
            return Ok(client.clone());
        }
        let client = Client::new(Some(&self.tokens.admin_of(cell)?), self.wire.client());
        Ok(self.clients.lock().entry(cell.clone()).or_insert(client).clone())
    }

    fn nodes(&self, cell: &CellId) -> Result<Vec<CellNode>, CellError> {
        let record = read::cell(&self.directory.local_view(), cell).map_err(DirectoryError::from)?;
        let nodes = record.map(|record| record.nodes).unwrap_or_default();
        Ok(answered_first(nodes, self.answered.lock().get(cell).copied()))
    }

    /// Asks one node after the other until one answers or the time is up.
    async fn on_any_node<Q, A>(
        &self,
        cell: &CellId,
        method: Method,
        path: &str,
        body: Option<&Q>,
    ) -> Result<A, CellError>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let (client, nodes) = (self.client(cell)?, self.nodes(cell)?);
        let deadline = self.env.clock.now() + REQUEST_DEADLINE;
        let mut last = CellError::Unreachable { cell: cell.clone(), why: "it has no nodes".into() };
        let mut maybe_executed = false;
        while self.env.clock.now() < deadline && !nodes.is_empty() {
            for node in &nodes {
                let patience = CELL_CALL_DEADLINE.min(deadline.saturating_duration_since(self.env.clock.now()));
                match client.json(method.clone(), node.admin, path, body, patience).await {
                    Ok(answer) => {
                        self.answered.lock().insert(cell.clone(), node.admin);
                        return Ok(answer);
                    }
                    Err(error) => last = cell_error(cell, error),
                }
                match &last {
                    CellError::Unreachable { .. } => {}
                    CellError::Unknown { .. } => maybe_executed = true,
                    CellError::Refused { .. } | CellError::Directory(_) | CellError::Token(_) => return Err(last),
                }
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
        Err(match last {
            // An earlier attempt may still be executed, even if the last one certainly was not.
            CellError::Unreachable { cell, why } if maybe_executed => CellError::Unknown { cell, why },
            other => other,
        })
    }
}

/// The nodes in the order in which they are asked: the one that answered last, then the others as they are.
fn answered_first(mut nodes: Vec<CellNode>, answered: Option<SocketAddr>) -> Vec<CellNode> {
    nodes.sort_by_key(|node| Some(node.admin) != answered);
    nodes
}

/// What is known after a failed call. A `5xx` may hide an execution; what the cell decided is in the other statuses.
fn cell_error(cell: &CellId, error: ClientError) -> CellError {
    let (cell, why) = (cell.clone(), error.to_string());
    match error {
        ClientError::Unusable(_) | ClientError::Unreachable(_) => CellError::Unreachable { cell, why },
        ClientError::Lost(_) | ClientError::TimedOut(_) | ClientError::Malformed(_) => CellError::Unknown { cell, why },
        ClientError::Refused { status, .. } if status.is_server_error() => CellError::Unknown { cell, why },
        ClientError::Refused { status, error } => CellError::Refused { cell, status, why: error.message },
    }
}

fn absent_is_deleted(answer: Result<(), CellError>) -> Result<(), CellError> {
    match answer {
        Err(CellError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::NodeId;

    #[test]
    fn the_node_that_answered_last_is_asked_first() {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let node = |number: u16| {
            let (az, admin) = ("az-a".parse().expect("a label"), at(number));
            CellNode { node: NodeId(u64::from(number)), az, s3: at(9), admin, peer: at(9) }
        };
        let order = |answered| {
            let nodes = answered_first(vec![node(1), node(2), node(3)], answered);
            nodes.iter().map(|node| node.node.0).collect::<Vec<_>>()
        };
        assert_eq!(order(None), [1, 2, 3]);
        assert_eq!(order(Some(at(2))), [2, 1, 3]);
        assert_eq!(order(Some(at(7))), [1, 2, 3], "it was replaced");
    }
}
