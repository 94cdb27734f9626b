//! `/v1/accounts`: created in three steps, each of which a crash may interrupt.
//!
//! Reserve in the directory (`Creating`) → write account and key into the cell → open to tenants (`Active`). What stops half-way
//! is undone by [`crate::reconcile::accounts`]: nobody was shown its secret.

use super::{
    Api,
    error::Failure,
    extract::{self, Body},
    operations,
};
use crate::{
    cells::CellError,
    domain::{account, keys, placement},
    limits::{LABEL_CHARS_MAX, LEFT_OUT_MAX, PLACEMENT_ATTEMPTS, REGIONS_MAX},
    reconcile::accounts,
    store::{
        DirectoryError,
        command::{self, Candidate, Command, Done, Refusal},
        read,
        record::{self, MoreOfAccount},
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, Epoch,
    api::{
        cell::{PutAccount, PutKey, PutLimits, PutSettings},
        control_plane::{Account, AccountState, CreateAccount, CreatedAccount, Explained, Figures, Operation, Quota},
    },
};
use http::StatusCode;

pub async fn create(
    State(api): State<Api>,
    Body(wanted): Body<CreateAccount>,
) -> Result<(StatusCode, Json<CreatedAccount>), Failure> {
    account::check_name(&wanted.name)?;
    account::check_email(&wanted.email)?;
    wanted.limits.validate()?;
    wanted.quota.validate().map_err(Failure::invalid)?;
    check_place(&wanted)?;
    let reserved = reserve(&api, &wanted).await?;
    let secret = keys::secret(&api.env.rng);
    if let Err(error) = write_into_cell(&api, &wanted, &reserved, &secret).await {
        return Err(give_up(&api, reserved.account, error).await);
    }
    let Reserved { account, key, cell, epoch: _ } = reserved;
    if let Err(error) = api.directory.propose(Command::ActivateAccount { account, key: key.clone() }).await {
        let look =
            format!("if `bulkhead account show {account}` says active, get a key with `bulkhead key create {account}`");
        return Err(Failure::unknown(format!("{error}; {look}; else it is undone by itself within two minutes")));
    }
    tracing::info!(%account, %cell, "account created");
    let created = CreatedAccount {
        account_id: account,
        canonical_id: account.canonical_id(),
        display_name: wanted.name,
        email: wanted.email,
        cell,
        access_key_id: key,
        secret_access_key: secret,
    };
    Ok((StatusCode::CREATED, Json(created)))
}

struct Reserved {
    account: AccountId,
    key: AccessKeyId,
    cell: CellId,
    epoch: Epoch,
}

/// Reserves ids and a place. Ids are random and candidates may fill up meanwhile, so a few attempts are made.
async fn reserve(api: &Api, wanted: &CreateAccount) -> Result<Reserved, Failure> {
    let mut last = Refusal::NoCellFits { why: "there is no cell; stamp one with `bulkhead cell stamp`".into() };
    for _ in 0..PLACEMENT_ATTEMPTS {
        let (account, key) = (account::random_id(&api.env.rng), keys::access_key_id(&api.env.rng));
        let (candidates, left_out) = candidates(api, account, wanted).await?;
        let command = command::PlaceAccount {
            account,
            display_name: wanted.name.clone(),
            email: wanted.email.clone(),
            key: key.clone(),
            limits: wanted.limits,
            quota: wanted.quota,
            regions: wanted.regions.clone(),
            apart: wanted.apart.clone(),
            candidates,
            left_out,
        };
        match api.directory.propose(Command::PlaceAccount(command)).await {
            Ok(Done::AccountPlaced { cell, epoch }) => return Ok(Reserved { account, key, cell, epoch }),
            Ok(
                Done::Ok
                | Done::Claimed { .. }
                | Done::Operation { .. }
                | Done::Setting { .. }
                | Done::First
                | Done::Again { .. },
            ) => {
                return Err(Failure::failed("the directory gave an unexpected answer"));
            }
            Err(DirectoryError::Refused(
                refusal @ (Refusal::NoCellFits { .. } | Refusal::AccountIdTaken(_) | Refusal::KeyIdTaken),
            )) => last = refusal,
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.into())
}

/// The cells an account may go to, near it on the ring, and why each of the others is none. What vouches for a cell is verified
/// here, signature and all: a cell is not trusted for having been opened once.
async fn candidates(
    api: &Api,
    account: AccountId,
    wanted: &CreateAccount,
) -> Result<(Vec<Candidate>, Vec<(CellId, String)>), Failure> {
    let view = api.directory.view().await?;
    let now = api.env.clock.wall();
    let wants = Figures { accounts: 1, ..record::reserves(&wanted.limits, &wanted.quota) };
    let (mut eligible, mut left_out) = (Vec::new(), Vec::new());
    for (id, cell) in read::cells(&view)? {
        let (build, mixed) = match api.watch.of(&id).and_then(|seen| seen.build) {
            Some(Err(builds)) => (None, Some(format!("its nodes are of different builds: {builds}"))),
            Some(Ok(build)) => (Some(build), None),
            None => (None, None),
        };
        let elsewhere = !wanted.regions.is_empty() && !wanted.regions.contains(&cell.more.region);
        let apart = match &wanted.apart {
            Some(group) if read::is_apart(&view, group, &id)? => Some(format!("it has an account of group {group}")),
            Some(_) | None => None,
        };
        let closed = match cell.closed(now) {
            Some(why) => Some(why),
            None => api.certifier.unvouched(&view, &id, &cell, build.as_deref())?,
        };
        let why = closed
            .or(mixed)
            .or_else(|| elsewhere.then(|| format!("it is in {}", cell.more.region)))
            .or(apart)
            .or_else(|| cell.load(api.watch.figures(&id)).refuses(wants));
        match why {
            Some(why) => left_out.push((id, why)),
            None => eligible.push(id),
        }
    }
    let near = placement::candidates(account, &eligible);
    let far = eligible.into_iter().filter(|id| !near.contains(id));
    left_out.extend(far.map(|id| (id, "others are nearer on the ring".to_owned())));
    left_out.truncate(LEFT_OUT_MAX);
    let seen = |cell: CellId| Candidate { seen: api.watch.figures(&cell), cell };
    Ok((near.into_iter().map(seen).collect(), left_out))
}

/// Checks what an account asks of its place.
fn check_place(wanted: &CreateAccount) -> Result<(), Failure> {
    let is_label =
        |text: &str| !text.is_empty() && text.len() <= LABEL_CHARS_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    if wanted.regions.len() > REGIONS_MAX || !wanted.regions.iter().all(|region| is_label(region)) {
        return Err(Failure::invalid(format!(
            "an account names at most {REGIONS_MAX} regions, each of 1 to {LABEL_CHARS_MAX} visible ASCII characters"
        )));
    }
    match &wanted.apart {
        Some(group) if !is_label(group) => Err(Failure::invalid(format!(
            "a group of accounts that stay apart is named by 1 to {LABEL_CHARS_MAX} visible ASCII characters"
        ))),
        Some(_) | None => Ok(()),
    }
}

async fn write_into_cell(
    api: &Api,
    wanted: &CreateAccount,
    reserved: &Reserved,
    secret: &str,
) -> Result<(), CellError> {
    let Reserved { account, key, cell, epoch } = reserved;
    let record = PutAccount { display_name: wanted.name.clone(), email: wanted.email.clone(), epoch: *epoch };
    api.cells.put_account(cell, *account, &record).await?;
    if !wanted.limits.is_default() {
        api.cells.put_limits(cell, *account, &PutLimits { limits: wanted.limits, version: 1 }).await?;
    }
    if !wanted.quota.is_default() {
        let settings = PutSettings { quota: wanted.quota, version: 1, ..PutSettings::default() };
        api.cells.put_settings(cell, *account, &settings).await?;
    }
    api.cells.put_key(cell, *account, key, &PutKey { secret_access_key: secret.into() }).await
}

/// Undoes a creation at once when the cell certainly did nothing; leaves it to the reconciler when a write may still arrive there.
async fn give_up(api: &Api, account: AccountId, error: CellError) -> Failure {
    match &error {
        CellError::Unknown { .. } | CellError::Directory(_) => {
            let message = format!("{error}; the half-created account is undone within two minutes, then try again");
            return Failure::unknown(message);
        }
        CellError::Unreachable { .. } | CellError::Refused { .. } | CellError::Token(_) => {}
    }
    if let Err(error) = api.directory.propose(Command::BeginDeleteAccount { account }).await {
        tracing::warn!(%account, %error, "a half-created account is left to the reconciler");
    }
    api.wake.notify_waiters();
    Failure::unavailable(format!("{error}; the creation is being undone, try again later"))
}

pub async fn list(State(api): State<Api>) -> Result<Json<Vec<Account>>, Failure> {
    let accounts = read::accounts(&api.directory.view().await?).map_err(DirectoryError::from)?;
    Ok(Json(accounts.into_iter().map(|(id, record)| shown(id, record)).collect()))
}

pub async fn show(State(api): State<Api>, Path(account): Path<String>) -> Result<Json<Account>, Failure> {
    let id: AccountId = extract::id(&account)?;
    let record = read::account(&api.directory.view().await?, id).map_err(DirectoryError::from)?;
    Ok(Json(shown(id, record.ok_or(Refusal::NoSuchAccount(id))?)))
}

/// Replaces what was set. Recorded first: what the cell does not confirm now, the reconciler brings to it.
pub async fn set_limits(
    State(api): State<Api>,
    Path(account): Path<String>,
    Body(limits): Body<AccountLimits>,
) -> Result<Json<Account>, Failure> {
    let id: AccountId = extract::id(&account)?;
    limits.validate()?;
    api.directory.propose(Command::SetLimits { account: id, limits }).await?;
    if let Err(error) = accounts::finish_limits(&api.directory, &api.cells, id).await {
        return Err(Failure::unknown(format!(
            "{error}; the limits are recorded and brought to the cell as soon as it answers"
        )));
    }
    show(State(api), Path(account)).await
}

/// Replaces what it may hold. Recorded first, as limits are.
pub async fn set_quota(
    State(api): State<Api>,
    Path(account): Path<String>,
    Body(quota): Body<Quota>,
) -> Result<Json<Account>, Failure> {
    let id: AccountId = extract::id(&account)?;
    quota.validate().map_err(Failure::invalid)?;
    api.directory.propose(Command::SetQuota { account: id, quota }).await?;
    settle(&api, id).await?;
    show(State(api), Path(account)).await
}

pub async fn suspend(State(api): State<Api>, Path(account): Path<String>) -> Result<Json<Account>, Failure> {
    let id: AccountId = extract::id(&account)?;
    api.directory.propose(Command::MoveAccount { account: id, to: AccountState::Suspended }).await?;
    settle(&api, id).await?;
    show(State(api), Path(account)).await
}

pub async fn resume(State(api): State<Api>, Path(account): Path<String>) -> Result<Json<Account>, Failure> {
    let id: AccountId = extract::id(&account)?;
    api.directory.propose(Command::MoveAccount { account: id, to: AccountState::Active }).await?;
    settle(&api, id).await?;
    show(State(api), Path(account)).await
}

/// Brings settings that were recorded to the cell now, or says that the reconciler will.
pub async fn settle(api: &Api, account: AccountId) -> Result<(), Failure> {
    accounts::finish_settings(&api.directory, &api.cells, account).await.map_err(|error| {
        Failure::unknown(format!("{error}; the change is recorded and brought to the cell as soon as it answers"))
    })
}

pub async fn explain(State(api): State<Api>, Path(account): Path<String>) -> Result<Json<Explained>, Failure> {
    let id: AccountId = extract::id(&account)?;
    let record = read::account(&api.directory.view().await?, id)?.ok_or(Refusal::NoSuchAccount(id))?;
    let MoreOfAccount { regions, apart, placed, .. } = record.more;
    Ok(Json(Explained { account_id: id, cell: record.cell, regions, apart, placed }))
}

/// Begins to delete all it holds; the reconciler carries it out, whether or not anybody waits.
pub async fn purge(
    State(api): State<Api>,
    Path(account): Path<String>,
) -> Result<(StatusCode, Json<Operation>), Failure> {
    let id: AccountId = extract::id(&account)?;
    let done = api.directory.propose(Command::MoveAccount { account: id, to: AccountState::Purging }).await?;
    operations::accepted(&api, done).await
}

pub async fn delete(State(api): State<Api>, Path(account): Path<String>) -> Result<StatusCode, Failure> {
    let id: AccountId = extract::id(&account)?;
    api.directory.propose(Command::BeginDeleteAccount { account: id }).await?;
    match accounts::finish_deletion(&api.directory, &api.cells, id).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error @ CellError::Refused { status: StatusCode::CONFLICT, .. }) => Err(error.into()),
        Err(error) => Err(Failure::unknown(format!("{error}; the deletion is recorded and goes on by itself"))),
    }
}

fn shown(id: AccountId, record: record::Account) -> Account {
    Account {
        account_id: id,
        canonical_id: id.canonical_id(),
        display_name: record.display_name,
        email: record.email,
        cell: record.cell,
        epoch: record.epoch,
        state: record.state,
        created_at: record.created,
        limits: record.limits,
        limits_in_force: record.limits_in_cell == record.limits_version
            && record.more.settings_in_cell == record.more.settings_version,
        quota: record.more.quota,
        regions: record.more.regions,
        apart: record.more.apart,
        buckets: record.buckets,
    }
}
