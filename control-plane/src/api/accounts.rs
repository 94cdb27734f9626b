//! `/v1/accounts`: created in three steps, each of which a crash may interrupt.
//!
//! Reserve in the directory (`Creating`) → write account and key into the cell → open to tenants (`Active`). What stops half-way
//! is undone by [`crate::reconcile::accounts`]: nobody was shown its secret.

use super::{
    Api,
    error::Failure,
    extract::{self, Body},
};
use crate::{
    cells::CellError,
    domain::{account, keys, placement},
    limits::PLACEMENT_ATTEMPTS,
    reconcile::accounts,
    store::{
        DirectoryError,
        command::{self, Command, Done, Refusal},
        read,
        record::{self, Cell},
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use bulkhead_model::{
    AccessKeyId, AccountId, AccountLimits, CellId, Epoch,
    api::{
        cell::{PutAccount, PutKey, PutLimits},
        control_plane::{Account, CreateAccount, CreatedAccount},
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
    let mut last = Refusal::NoRoom;
    for _ in 0..PLACEMENT_ATTEMPTS {
        let (account, key) = (account::random_id(&api.env.rng), keys::access_key_id(&api.env.rng));
        let eligible = eligible_cells(api).await?;
        if eligible.is_empty() {
            return Err(Refusal::NoRoom.into());
        }
        let command = command::CreateAccount {
            account,
            display_name: wanted.name.clone(),
            email: wanted.email.clone(),
            candidates: placement::candidates(account, &eligible),
            key: key.clone(),
            limits: wanted.limits,
        };
        match api.directory.propose(Command::CreateAccount(command)).await {
            Ok(Done::AccountPlaced { cell, epoch }) => return Ok(Reserved { account, key, cell, epoch }),
            Ok(Done::Ok | Done::Claimed { .. }) => {
                return Err(Failure::failed("the directory gave an unexpected answer"));
            }
            Err(DirectoryError::Refused(
                refusal @ (Refusal::NoRoom | Refusal::AccountIdTaken(_) | Refusal::KeyIdTaken),
            )) => last = refusal,
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.into())
}

async fn eligible_cells(api: &Api) -> Result<Vec<CellId>, DirectoryError> {
    let cells = read::cells(&api.directory.view().await?)?;
    Ok(cells.into_iter().filter(|(_, cell): &(_, Cell)| cell.is_eligible()).map(|(id, _)| id).collect())
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
        limits_in_force: record.limits_in_cell == record.limits_version,
    }
}
