//! The cell that is tried: its nodes, the accounts that try it, and the mark without which it must not be broken.
//!
//! Load goes straight to the nodes, past any router, so that a cell can be tried before anybody is routed to it. Its accounts have ids that the
//! control plane gives to nobody. It is left as it was: without accounts, buckets, faults and mark.

use super::key::dice;
use crate::{
    admin::{Admin, CallError},
    client::{Credentials, ListQuery, Outcome, PayloadHash, Session, Target},
    clock,
    faults::{Cluster, ListedProcess, Role},
    limits::{ACCOUNTS_TRIED, CERTIFY_CLEANERS, POLL, RESTART_PATIENCE, VERIFY_PATIENCE},
    load::Account,
    scenario::first_bucket,
    tls::{Tls, TlsFiles},
};
use anyhow::Context as _;
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, Az, Blueprint, CellId, Epoch, NodeId,
    api::{
        cell::{NodeStatus, NodeStorage, PutAccount, PutKey, PutLimits},
        drill::{Fault, Mark, Purpose},
    },
};
use parking_lot::Mutex;
use rand::RngExt as _;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Longer than any run; the nodes end it by themselves if this program cannot.
const MARK_SLACK_SECONDS: u64 = 600;
/// Objects of one request that deletes many, in a clean-up.
const REGION: &str = "us-east-1";

/// Where a node is.
#[derive(Debug, Clone)]
pub struct Node {
    pub id: NodeId,
    pub az: Az,
    pub s3: SocketAddr,
    pub admin: Admin,
    /// What starts it again, on this machine. Elsewhere something else must.
    pub name: Option<String>,
}

/// The cell.
#[derive(Debug)]
pub struct Subject {
    pub cell: CellId,
    pub blueprint: Blueprint,
    pub build: String,
    pub nodes: Vec<Node>,
    /// How its nodes are called.
    tls: Option<Tls>,
    /// On this machine: of its processes.
    cluster: Option<Cluster>,
    made: Mutex<Vec<Made>>,
}

/// An account that was made for the run.
#[derive(Debug, Clone)]
pub struct Made {
    pub id: AccountId,
    key: AccessKeyId,
    pub target: Arc<Target>,
    pub bucket: String,
}

impl Made {
    /// As the load takes it.
    pub fn account(&self) -> Account {
        Account { target: self.target.clone(), bucket: self.bucket.clone() }
    }
}

/// Where a cell is, when it is not on this machine.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    pub cell: CellId,
    /// S3 and admin address of each node.
    pub nodes: Vec<(SocketAddr, SocketAddr)>,
    pub admin_token_file: PathBuf,
    /// Its nodes speak mutual TLS.
    pub tls: Option<TlsFiles>,
    pub blueprint: PathBuf,
}

impl Subject {
    /// A cell of a fleet on this machine.
    ///
    /// # Errors
    /// When its processes or their files cannot be found, or do not answer.
    pub async fn local(cluster: &Cluster, cell: &CellId) -> anyhow::Result<Self> {
        let rows = cluster.of(Role::Cell, Some(cell)).await?;
        let first = rows.first().with_context(|| format!("there is no cell {cell} in {}", cluster.data().display()))?;
        let config = config(first)?;
        let token = std::fs::read_to_string(path(&config, "admin_token_file")?)?;
        let blueprint = Blueprint::parse(&std::fs::read_to_string(path(&config, "blueprint")?)?)?;
        let places =
            rows.iter().map(|row| anyhow::Ok((row.address("s3")?, row.address("admin")?, Some(row.name.clone()))));
        let places = places.collect::<anyhow::Result<Vec<_>>>()?;
        Self::of(cell, blueprint, places, (&token, first.tls()?), Some(cluster.clone())).await
    }

    /// A cell anywhere.
    ///
    /// # Errors
    /// When its files cannot be read, or a node does not answer.
    pub async fn elsewhere(at: &Elsewhere) -> anyhow::Result<Self> {
        let read =
            |file: &PathBuf| std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()));
        let (token, blueprint) = (read(&at.admin_token_file)?, Blueprint::parse(&read(&at.blueprint)?)?);
        let tls = at.tls.as_ref().map(Tls::open).transpose()?;
        let places = at.nodes.iter().map(|(s3, admin)| (*s3, *admin, None)).collect();
        Self::of(&at.cell, blueprint, places, (&token, tls), None).await
    }

    async fn of(
        cell: &CellId,
        blueprint: Blueprint,
        places: Vec<(SocketAddr, SocketAddr, Option<String>)>,
        (token, tls): (&str, Option<Tls>),
        cluster: Option<Cluster>,
    ) -> anyhow::Result<Self> {
        let (mut nodes, mut build) = (Vec::new(), None);
        for (s3, admin, name) in places {
            let admin = Admin::new(admin, token, tls.clone());
            let status = admin.status().await?;
            anyhow::ensure!(status.cell == *cell, "{} is a node of cell {}, not of {cell}", admin.address, status.cell);
            let (hash, declared) = (&status.blueprint_hash, blueprint.hash());
            anyhow::ensure!(
                *hash == declared,
                "node {} was stamped from blueprint {hash}, not from {declared}",
                status.node
            );
            let build = build.get_or_insert_with(|| status.build.clone());
            anyhow::ensure!(*build == status.build, "nodes run different builds, {build} and {}", status.build);
            nodes.push(Node { id: status.node, az: status.az, s3, admin, name });
        }
        let expected = blueprint.nodes() as usize;
        anyhow::ensure!(nodes.len() == expected, "{} nodes are named, and the blueprint has {expected}", nodes.len());
        let build = build.context("a cell has nodes")?;
        Ok(Self { cell: cell.clone(), blueprint, build, nodes, tls, cluster, made: Mutex::default() })
    }

    /// It runs on this machine.
    pub fn is_local(&self) -> bool {
        self.cluster.is_some()
    }

    /// Marks every node for certification, for so long and what lies between.
    ///
    /// # Errors
    /// When a node refuses: above all when the cell has a bucket.
    pub async fn mark(&self, lasts: Duration) -> anyhow::Result<()> {
        let mark = Mark { purpose: Purpose::Certify, seconds: lasts.as_secs() + MARK_SLACK_SECONDS };
        for node in &self.nodes {
            let marked = node.admin.mark(&mark).await;
            marked.with_context(|| format!("node {} must not be certified", node.id))?;
        }
        Ok(())
    }

    /// Makes an account with a bucket.
    ///
    /// # Errors
    /// When the cell does not take it.
    pub async fn account(&self, name: &str) -> anyhow::Result<Made> {
        let credentials = Credentials {
            access_key_id: random_key(),
            secret_access_key: hex::encode(dice().random::<[u8; 20]>()),
            region: REGION.into(),
        };
        let key: AccessKeyId = credentials.access_key_id.parse().context("twenty characters")?;
        let id = self.put_account(name).await?;
        let secret = PutKey { secret_access_key: credentials.secret_access_key.clone() };
        self.any(async |admin| admin.put_key(id, &key, &secret).await).await.context("giving an account its key")?;
        let addresses: Vec<SocketAddr> = self.nodes.iter().map(|node| node.s3).collect();
        let target = Arc::new(Target::of_nodes(&addresses, credentials)?.over(self.tls.clone()));
        let bucket = format!("certify-{name}-{}", id.value() - AccountId::RESERVED);
        let made = Made { id, key, target, bucket };
        self.made.lock().push(made.clone());
        first_bucket(&made.target, &made.bucket).await?;
        Ok(made)
    }

    async fn put_account(&self, name: &str) -> anyhow::Result<AccountId> {
        let mut last = None;
        for _ in 0..ACCOUNTS_TRIED {
            let id = AccountId::new(dice().random_range(AccountId::RESERVED..AccountId::END))?;
            let put = PutAccount {
                display_name: format!("certify {name}"),
                email: format!("certify-{id}@invalid"),
                epoch: Epoch(1),
            };
            match self.any(async |admin| admin.put_account(id, &put).await).await {
                Ok(()) => return Ok(id),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no account was tried")?.context("making an account"))
    }

    /// Says what an account may ask for.
    ///
    /// # Errors
    /// When the cell does not take it.
    pub async fn limit(&self, made: &Made, limits: AccountLimits) -> anyhow::Result<()> {
        let put = PutLimits { limits, version: clock::stamp() };
        self.any(async |admin| admin.put_limits(made.id, &put).await).await
    }

    /// A call that any node may answer, until one does.
    ///
    /// # Errors
    /// What the last one said.
    pub async fn any<T>(&self, call: impl AsyncFn(&Admin) -> Result<T, CallError>) -> anyhow::Result<T> {
        let deadline = clock::now() + VERIFY_PATIENCE;
        loop {
            let mut last = None;
            for node in &self.nodes {
                match call(&node.admin).await {
                    Ok(value) => return Ok(value),
                    Err(CallError::Refused(error)) if error.code == "conflict" || error.code == "invalid" => {
                        return Err(CallError::Refused(error).into());
                    }
                    Err(error) => last = Some(error),
                }
            }
            if clock::now() >= deadline {
                return Err(last.context("the cell has no node")?.into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What every node that answers says of itself.
    pub async fn statuses(&self) -> Vec<(Node, NodeStatus)> {
        let mut found = Vec::new();
        for node in &self.nodes {
            if let Ok(status) = node.admin.status().await {
                found.push((node.clone(), status));
            }
        }
        found
    }

    /// How the chunks of every node are.
    ///
    /// # Errors
    /// When a node does not answer.
    pub async fn storage(&self) -> anyhow::Result<Vec<NodeStorage>> {
        let mut found = Vec::new();
        for node in &self.nodes {
            found.push(node.admin.storage().await?);
        }
        Ok(found)
    }

    /// The node that leads.
    ///
    /// # Errors
    /// When none does for long.
    pub async fn leader(&self) -> anyhow::Result<Node> {
        let mut found = None;
        clock::wait_until(VERIFY_PATIENCE, async || {
            let statuses = self.statuses().await;
            found = statuses.iter().find(|(node, status)| status.leader == Some(node.id)).map(|(node, _)| node.clone());
            found.is_some()
        })
        .await;
        found.with_context(|| format!("cell {} has no leader", self.cell))
    }

    /// Breaks one thing of a node that is marked for it.
    ///
    /// The node itself looks whether it is. On this machine a process is ended from outside, so that the control plane does not start it again at
    /// once; then it is looked here.
    ///
    /// # Errors
    /// When the node is not marked, or does not answer.
    pub async fn fault(&self, node: &Node, fault: &Fault) -> anyhow::Result<()> {
        let what = || format!("node {}: {fault:?}", node.id);
        match (&self.cluster, &node.name, fault) {
            (Some(cluster), Some(name), Fault::Kill) => {
                let marked = node.admin.drill().await.with_context(what)?;
                anyhow::ensure!(marked.purpose.is_some(), "node {} is not marked: it is not ended on purpose", node.id);
                cluster.kill(&[name]).await.with_context(what)
            }
            _ => node.admin.fault(fault).await.with_context(what),
        }
    }

    /// Starts a node that was killed, or waits for whoever does, until it is ready.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn revive(&self, node: &Node) -> anyhow::Result<()> {
        if let (Some(cluster), Some(name)) = (&self.cluster, &node.name) {
            cluster.start(name).await?;
        }
        node.admin.ready(RESTART_PATIENCE).await
    }

    /// Starts a node that was killed, or waits for whoever does, until it has all that was acknowledged before, and follows.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn rejoin(&self, node: &Node) -> anyhow::Result<()> {
        let others = self.statuses().await;
        let wanted = others.iter().filter(|(other, _)| other.id != node.id).map(|(_, status)| status.applied).max();
        if let (Some(cluster), Some(name)) = (&self.cluster, &node.name) {
            cluster.start(name).await?;
        }
        let joined = clock::wait_until(RESTART_PATIENCE, async || {
            let status = node.admin.status().await;
            status.is_ok_and(|status| status.leader.is_some() && Some(status.applied) >= wanted)
        });
        anyhow::ensure!(joined.await, "node {} has not caught up after {RESTART_PATIENCE:?}", node.id);
        Ok(())
    }

    /// Leaves the cell as it was.
    ///
    /// # Errors
    /// When something of the run is left in it.
    pub async fn clean(&self) -> anyhow::Result<()> {
        let made: Vec<Made> = self.made.lock().clone();
        for node in &self.nodes {
            // A node that is away has no fault, and its mark ends by itself.
            let _mended = self.fault(node, &Fault::Mend).await;
        }
        for made in &made {
            remove(made).await.with_context(|| format!("removing bucket {}", made.bucket))?;
            self.any(async |admin| admin.delete_key(made.id, &made.key).await).await?;
            self.any(async |admin| admin.delete_account(made.id).await).await?;
        }
        self.made.lock().clear();
        for node in &self.nodes {
            node.admin.unmark().await.with_context(|| format!("ending the mark of node {}", node.id))?;
        }
        let usage = self.any(async |admin| admin.status().await).await?.usage;
        anyhow::ensure!(usage.objects == 0 && usage.buckets == 0, "the cell is not as it was: {usage:?}");
        Ok(())
    }
}

/// Deletes a bucket with all that is in it.
async fn remove(made: &Made) -> anyhow::Result<()> {
    let mut session = Session::new(made.target.clone(), PayloadHash::Unsigned);
    loop {
        let query = ListQuery { bucket: &made.bucket, ..ListQuery::default() };
        let page = match session.list_page(&query, None).await {
            Outcome::Refused(refusal) if refusal.code == "NoSuchBucket" => return Ok(()),
            listed => listed.required("listing what is left")?,
        };
        if page.objects.is_empty() {
            return session.delete_bucket(&made.bucket).await.required("deleting the bucket");
        }
        let keys: Arc<Mutex<Vec<String>>> =
            Arc::new(Mutex::new(page.objects.into_iter().map(|found| found.key).collect()));
        let mut cleaners = JoinSet::new();
        for _ in 0..CERTIFY_CLEANERS {
            let (keys, made) = (keys.clone(), made.clone());
            cleaners.spawn(async move {
                let mut session = Session::new(made.target.clone(), PayloadHash::Unsigned);
                loop {
                    let Some(key) = keys.lock().pop() else { return anyhow::Ok(()) };
                    delete(&mut session, &made.bucket, &key).await?;
                }
            });
        }
        while let Some(ended) = cleaners.join_next().await {
            ended??;
        }
    }
}

async fn delete(session: &mut Session, bucket: &str, key: &str) -> anyhow::Result<()> {
    let deadline = clock::now() + VERIFY_PATIENCE;
    loop {
        let deleted = session.delete(bucket, key).await.required("deleting");
        if deleted.is_ok() || clock::now() >= deadline {
            return deleted;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn random_key() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut dice = dice();
    let tail = (0..16).map(|_| char::from(LETTERS[dice.random_range(0..LETTERS.len())]));
    format!("AKIA{}", tail.collect::<String>())
}

fn config(row: &ListedProcess) -> anyhow::Result<toml::Table> {
    let file = row.argv.last().with_context(|| format!("{} has no arguments", row.name))?;
    Ok(std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?.parse()?)
}

fn path(config: &toml::Table, name: &str) -> anyhow::Result<PathBuf> {
    let value = config.get(name).and_then(toml::Value::as_str);
    value.map(PathBuf::from).with_context(|| format!("the node's configuration has no {name}"))
}
