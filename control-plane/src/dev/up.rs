//! `dev up`: from whatever is there to a fleet that serves a signed request.

use super::{
    DevError, account, certificates,
    configs::{self, Choice, REGION},
    env_file::Credentials,
    layout::Layout,
    probe,
};
use crate::{
    cli::{self, CliError, Connection, Output, Wait},
    domain::cell,
    limits::{DEV_PATIENCE, DEV_STAMP_WAIT, POLL_PAUSE},
    provision::local::{
        plan,
        process::{Hold, Processes, Spec},
        run_file::{Role, RunFile},
    },
};
use bulkhead_model::{
    Timestamp,
    api::control_plane::{Cell, CellState, StampCell},
};
use bulkhead_service::{
    Env,
    auth::Token,
    client::{Client, full},
    config,
    tls::Mutual,
};
use http::{Method, StatusCode};
use serde::Serialize;
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

const CELLS: [&str; 2] = ["c1", "c2"];
const BLUEPRINT: &str = "dev";
/// Half a cell: the next one is stamped while there is still room for those who come meanwhile.
const FLOOR_PERCENT: u64 = 50;
/// How long one question about readiness may take.
const ASK_PATIENCE: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Starts what is not running below `data`, stamps what is not stamped, and waits until a client can be served.
///
/// # Errors
/// [`CliError`] says what is in the way.
pub async fn up(data: &Path, port: Option<u16>, wanted: Wanted) -> Result<Output, CliError> {
    let env = Env::system();
    let layout = Layout::resolve(data, port)?.on(&wanted.hosts);
    let blueprints = configs::blueprints(&wanted.blueprints)?;
    let certifies = (!wanted.uncertified).then_some("bulkhead-loadtest");
    for binary in ["bulkhead-control-plane", "bulkhead-router", "bulkhead-cell"].into_iter().chain(certifies) {
        let file = layout.binaries.join(binary);
        if !file.is_file() {
            return Err(DevError::NoBinary { file }.into());
        }
    }
    // Tests start fleets with little room, and count their cells.
    let floor_percent = wanted.floor.unwrap_or(if wanted.uncertified { 0 } else { FLOOR_PERCENT });
    if wanted.mutual_tls {
        certificates::make(&layout, &env.clock)?;
    }
    let choice = Choice { uncertified: wanted.uncertified, floor_percent };
    configs::write(&layout, &blueprints, choice, &env.rng)?;
    let mutual = layout.tls().map(|files| Mutual::open(&files, &[], &env.clock)).transpose()?;
    let fleet = Fleet { processes: Processes::new(layout.file("run")), layout, mutual, env };
    fleet.start_known_cells()?;
    fleet.start(&fleet.layout.control_plane())?;
    fleet.start(&fleet.layout.router())?;
    fleet.ready(&fleet.layout.control_plane(), fleet.layout.control_plane_api()).await?;
    let api = fleet.connect()?;
    let cells = stamp_cells(&api).await?;
    for run in fleet.cell_processes()? {
        if let Some(admin) = run.addresses.get("admin") {
            fleet.ready_at(&run.name, &run.log, *admin).await?;
        }
    }
    let credentials = account::credentials(&fleet.layout, &api).await?;
    fleet.ready(&fleet.layout.router(), fleet.layout.router_admin()).await?;
    fleet.serves(&credentials).await?;
    Ok(report(&fleet.layout, &credentials, &cells))
}

/// What of a fleet on one machine can be chosen.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub hosts: Vec<IpAddr>,
    pub blueprints: PathBuf,
    pub uncertified: bool,
    pub floor: Option<u64>,
    pub mutual_tls: bool,
}

struct Fleet {
    layout: Layout,
    processes: Processes,
    /// For calls of the processes, when they speak it.
    mutual: Option<Mutual>,
    env: Env,
}

impl Fleet {
    fn cell_processes(&self) -> Result<Vec<RunFile>, CliError> {
        Ok(self.processes.list()?.into_iter().filter(|run| run.role == Role::Cell).collect())
    }

    /// Cells that were stamped before, also those that `dev down` stopped. They need no control plane.
    fn start_known_cells(&self) -> Result<(), CliError> {
        for run in self.cell_processes()? {
            self.processes.start_again(run)?;
        }
        Ok(())
    }

    fn start(&self, spec: &Spec) -> Result<(), CliError> {
        let runs = self.processes.find(&spec.name)?.is_some_and(|run| run.is_alive());
        if !runs {
            let taken = spec.addresses.values().find(|address| !plan::is_free(address.port()));
            if let Some(address) = taken {
                return Err(DevError::PortInUse { port: address.port() }.into());
            }
        }
        self.processes.start(spec, Hold::Lift)?;
        Ok(())
    }

    fn connect(&self) -> Result<Connection, CliError> {
        let file = self.layout.file("admin.token");
        let token = config::read_token(&file).map_err(CliError::NoToken)?;
        Ok(Connection::new(self.client(Some(&token)), self.layout.control_plane_api(), &file))
    }

    fn client(&self, token: Option<&Token>) -> Client {
        Client::new(token, self.mutual.as_ref().map(Mutual::client))
    }

    async fn ready(&self, spec: &Spec, address: SocketAddr) -> Result<(), CliError> {
        self.ready_at(&spec.name, &spec.log, address).await
    }

    /// Waits until a process answers that it is ready.
    async fn ready_at(&self, name: &str, log: &Path, address: SocketAddr) -> Result<(), CliError> {
        let seconds = DEV_PATIENCE.as_secs();
        let client = self.client(None);
        let ready = self.wait(|| is_ready(&client, address)).await;
        let fail = |why| DevError::NotReady { name: name.into(), seconds, why, log: log.into() };
        Ok(ready.map_err(fail)?)
    }

    async fn serves(&self, credentials: &Credentials) -> Result<(), CliError> {
        let router = self.layout.router_s3();
        let now = || -> Timestamp { self.env.clock.wall() };
        let served = self.wait(|| probe::list_buckets(router, REGION, credentials, now())).await;
        Ok(served.map_err(|why| DevError::NotServing { seconds: DEV_PATIENCE.as_secs(), why })?)
    }

    /// Asks until the answer is yes, and says why it was not when the time is up.
    async fn wait<F: Future<Output = Result<(), String>>>(&self, ask: impl Fn() -> F) -> Result<(), String> {
        let deadline = self.env.clock.now() + DEV_PATIENCE;
        loop {
            match ask().await {
                Ok(()) => return Ok(()),
                Err(why) if self.env.clock.now() > deadline => return Err(why),
                Err(_) => tokio::time::sleep(POLL_PAUSE).await,
            }
        }
    }
}

async fn is_ready(client: &Client, address: SocketAddr) -> Result<(), String> {
    let request = client.request(Method::GET, address, "/readyz", full("")).map_err(|error| error.to_string())?;
    let answer = client.call(request, ASK_PATIENCE, ANSWER_BYTES_MAX).await.map_err(|error| error.to_string())?;
    if answer.status() == StatusCode::OK {
        return Ok(());
    }
    Err(String::from_utf8_lossy(answer.body()).trim().to_owned())
}

/// Both at once: they wait mostly for their processes. Each step is told as it comes; certifications take turns.
async fn stamp_cells(api: &Connection) -> Result<Vec<Cell>, CliError> {
    let stamp = async |name: &str| -> Result<Cell, CliError> {
        let known: Result<Cell, CliError> = api.get(&format!("/v1/cells/{name}")).await;
        if let Ok(cell) = known
            && !cell::is_being_stamped(&cell.state)
            && !matches!(cell.state, CellState::Failed { .. })
        {
            return Ok(cell);
        }
        let label = name.parse().expect("the names of the dev cells are labels");
        let wanted = StampCell { name: label, blueprint: BLUEPRINT.into(), region: None };
        let begun = api.post("/v1/cells", &wanted).await?;
        let hint = format!("\nRepeat `make up` to go on, or look with `bulkhead cell show {name}`.");
        cli::watch(api, begun, Wait { wait: DEV_STAMP_WAIT.as_secs() }, &hint).await?;
        api.get(&format!("/v1/cells/{name}")).await
    };
    let [first, second] = CELLS;
    let (first, second) = futures::future::try_join(stamp(first), stamp(second)).await?;
    Ok(vec![first, second])
}

/// What programs are told of a fleet that is up.
#[derive(Serialize)]
struct Report<'a> {
    endpoint: String,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    region: &'a str,
    env_file: PathBuf,
    cells: &'a [Cell],
}

fn report(layout: &Layout, credentials: &Credentials, cells: &[Cell]) -> Output {
    let (endpoint, env_file) = (format!("http://{}", layout.router_s3()), layout.file("dev.env"));
    let people = format!(
        "Bulkhead is up: one control plane, one router, cells {}.\n{}\n  \
         endpoint           {endpoint}\n  access key id      {}\n  secret access key  {}\n  region             {REGION}\n\n\
         Try:\n  . {}\n  aws s3 mb s3://first-bucket\n  aws s3 cp README.md s3://first-bucket/\n\n\
         Processes: bulkhead --data {} node list\n",
        CELLS.join(" and "),
        certificates(cells),
        credentials.access_key_id,
        credentials.secret_access_key,
        env_file.display(),
        layout.data.display(),
    );
    let programs = Report {
        endpoint,
        access_key_id: &credentials.access_key_id,
        secret_access_key: &credentials.secret_access_key,
        region: REGION,
        env_file,
        cells,
    };
    Output::new(people, &programs)
}

fn certificates(cells: &[Cell]) -> String {
    let line =
        |cell: &Cell| format!("  {} {}: certificate {}\n", cell.cell, state(cell), cli::certificate(&cell.certificate));
    cells.iter().map(line).collect()
}

fn state(cell: &Cell) -> String {
    cell.refuses.clone().map_or_else(|| "takes accounts".to_owned(), |why| format!("takes no accounts, {why}"))
}
