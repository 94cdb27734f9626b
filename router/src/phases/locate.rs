//! Where: the account a request is for, its cell, and the epoch under which that holds. The decision is pure over the table.

use super::{
    RequestCx,
    identify::{Identity, Key},
};
use crate::{Router, error::Fault, limits, routing::Location};
use bulkhead_model::RoutingTable;

/// The phase. A key or a bucket that the table does not know yet may be on its way: the change feed is given a moment.
///
/// # Errors
/// As [`locate`]; [`Fault::Unsure`] where a table that may be old does not say.
pub async fn run(router: &Router, cx: &mut RequestCx) -> Result<(), Fault> {
    let location = match locate(&router.table.load(), &cx.identity) {
        Err(fault @ (Fault::UnknownKey | Fault::UnknownBucket | Fault::NoHome)) if may_be_on_its_way(&cx.identity) => {
            let Ok(_waiting) = router.unknown.try_acquire() else { return Err(Fault::Overloaded) };
            let look = |table: &RoutingTable| locate(table, &cx.identity).ok();
            let found = router.table.wait_for(limits::UNKNOWN_PATIENCE, look).await;
            found.ok_or(if router.table.is_whole() { fault } else { Fault::Unsure })?
        }
        located => located?,
    };
    go_to(router, cx, location)
}

/// Directs the request to a place, now or after its account has moved.
///
/// # Errors
/// [`Fault::NoHome`] when the cell is not in the table.
pub fn go_to(router: &Router, cx: &mut RequestCx, location: Location) -> Result<(), Fault> {
    cx.cell = Some(router.upstreams.cell(&location.home.cell).ok_or(Fault::NoHome)?);
    cx.location = Some(location);
    Ok(())
}

fn may_be_on_its_way(identity: &Identity) -> bool {
    match identity.key {
        Key::Anonymous | Key::Claimed(_) => true,
        Key::Impossible => false,
    }
}

/// Decides where a request goes.
///
/// A bucket the table does not know goes to the signer's cell, which knows its own buckets before the table does.
///
/// # Errors
/// When neither bucket nor key leads to an account, or the account has no cell.
pub fn locate(table: &RoutingTable, identity: &Identity) -> Result<Location, Fault> {
    let signer = match &identity.key {
        Key::Claimed(key) => table.keys.get(key),
        Key::Anonymous | Key::Impossible => None,
    };
    let owner = match &identity.bucket {
        Some(bucket) if !identity.creates_bucket => table.buckets.get(bucket.as_str()),
        Some(_) | None => None,
    };
    let account = owner.or(signer).ok_or(match (&identity.key, &identity.bucket) {
        (Key::Claimed(_) | Key::Impossible, _) => Fault::UnknownKey,
        (Key::Anonymous, Some(_)) if !identity.creates_bucket => Fault::UnknownBucket,
        (Key::Anonymous, _) => Fault::Anonymous,
    })?;
    let home = table.accounts.get(&account).ok_or(Fault::NoHome)?;
    Ok(Location { account, signer, home })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::{AccessKeyId, AccountId, Epoch, routing::Home};

    const OWNER: u64 = AccountId::FIRST;
    const OTHER: u64 = AccountId::FIRST + 1;
    const HOMELESS: u64 = AccountId::FIRST + 2;

    fn account(id: u64) -> AccountId {
        AccountId::new(id).expect("in range")
    }

    fn key(letter: &str) -> AccessKeyId {
        letter.repeat(20).parse().expect("a key id")
    }

    fn table() -> RoutingTable {
        let mut table = RoutingTable::default();
        for (id, letter, cell) in [(OWNER, "A", Some("c1")), (OTHER, "B", Some("c2")), (HOMELESS, "C", None)] {
            table.keys.insert(key(letter), account(id));
            if let Some(cell) = cell {
                table.accounts.insert(account(id), Home { cell: cell.parse().expect("a label"), epoch: Epoch(3) });
            }
        }
        table.buckets.insert("owned".into(), account(OWNER));
        table
    }

    #[test]
    fn the_owner_of_the_bucket_decides_else_the_signer() {
        let claimed = |letter| Key::Claimed(key(letter));
        let strange = || claimed("Z");
        for (bucket, key, creates_bucket, expected) in [
            (Some("owned"), claimed("A"), false, Ok((OWNER, Some(OWNER)))),
            (Some("owned"), claimed("B"), false, Ok((OWNER, Some(OTHER)))),
            (Some("owned"), strange(), false, Ok((OWNER, None))),
            (Some("owned"), Key::Anonymous, false, Ok((OWNER, None))),
            (Some("owned"), claimed("B"), true, Ok((OTHER, Some(OTHER)))),
            (Some("new"), claimed("B"), true, Ok((OTHER, Some(OTHER)))),
            (Some("unknown"), claimed("B"), false, Ok((OTHER, Some(OTHER)))),
            (Some("unknown"), strange(), false, Err(Fault::UnknownKey)),
            (Some("unknown"), Key::Impossible, false, Err(Fault::UnknownKey)),
            (Some("unknown"), Key::Anonymous, false, Err(Fault::UnknownBucket)),
            (Some("new"), Key::Anonymous, true, Err(Fault::Anonymous)),
            (None, claimed("B"), false, Ok((OTHER, Some(OTHER)))),
            (None, strange(), false, Err(Fault::UnknownKey)),
            (None, Key::Anonymous, false, Err(Fault::Anonymous)),
            (None, claimed("C"), false, Err(Fault::NoHome)),
        ] {
            let bucket = bucket.map(str::to_owned);
            let identity = Identity { bucket, key, creates_bucket, ..Identity::default() };
            let found = locate(&table(), &identity)
                .map(|location| (location.account.value(), location.signer.map(AccountId::value)));
            assert_eq!(found, expected, "{identity:?}");
        }
    }

    #[test]
    fn the_epoch_is_the_accounts() {
        let identity = Identity { key: Key::Claimed(key("B")), ..Identity::default() };
        let home = locate(&table(), &identity).expect("known").home;
        assert_eq!((home.cell.as_str(), home.epoch), ("c2", Epoch(3)));
    }
}
