//! Bucket names: claimed, committed, released. The rules are [`crate::domain::claims`].

use super::change_set::ChangeSet;
use crate::{
    domain::claims::{self, Verdict},
    limits::CLAIMS_PER_ACCOUNT_MAX,
    store::{
        command::{Done, Outcome, Refusal},
        keys::Unsettled,
        read,
        record::Bucket,
    },
};
use bulkhead_model::{AccountId, ClaimId, api::control_plane::AccountState, routing::Change};
use bulkhead_replica::StoreError;

/// Gives a free name to an account; repeats the claim of a name that is its own.
pub fn claim(set: &mut ChangeSet<'_>, name: String, id: AccountId) -> Result<Outcome, StoreError> {
    let Some(mut account) = read::account(set.view, id)? else { return Ok(Err(Refusal::NoSuchAccount(id))) };
    if account.state != AccountState::Active {
        return Ok(Err(Refusal::AccountNotActive { account: id, state: account.state }));
    }
    let held = read::bucket(set.view, &name)?.map(|bucket| bucket.held());
    match claims::claim(held, id) {
        Verdict::Repeated(claim) => Ok(Ok(Done::Claimed { claim })),
        Verdict::Taken => Ok(Err(Refusal::BucketTaken)),
        Verdict::Granted if account.buckets >= CLAIMS_PER_ACCOUNT_MAX => {
            let (buckets, max) = (account.buckets, CLAIMS_PER_ACCOUNT_MAX);
            Ok(Err(Refusal::TooManyBuckets { account: id, buckets, max }))
        }
        Verdict::Granted => {
            set.meta.last_claim.0 += 1;
            let claim = set.meta.last_claim;
            set.put_bucket(&name, &Bucket { account: id, claim, committed: false, claimed: set.time() });
            set.unsettled(&Unsettled::Bucket(name.clone()));
            set.publish(&Change::Bucket { bucket: name, account: id });
            account.buckets += 1;
            set.count_buckets(id, &account);
            set.meta.buckets += 1;
            Ok(Ok(Done::Claimed { claim }))
        }
    }
}

/// Records that the cell has the bucket. A message about an earlier claim changes nothing.
pub fn commit(set: &mut ChangeSet<'_>, name: String, claim: ClaimId) -> Result<Outcome, StoreError> {
    let Some(bucket) = current(set, &name, claim)? else { return Ok(Ok(Done::Ok)) };
    if !bucket.committed {
        set.put_bucket(&name, &Bucket { committed: true, ..bucket });
        set.settled(&Unsettled::Bucket(name));
    }
    Ok(Ok(Done::Ok))
}

/// Frees a name. A message about an earlier claim changes nothing.
pub fn release(set: &mut ChangeSet<'_>, name: String, claim: ClaimId) -> Result<Outcome, StoreError> {
    let Some(bucket) = current(set, &name, claim)? else { return Ok(Ok(Done::Ok)) };
    set.delete_bucket(&name);
    set.settled(&Unsettled::Bucket(name.clone()));
    if let Some(mut account) = read::account(set.view, bucket.account)? {
        account.buckets = account.buckets.saturating_sub(1);
        set.count_buckets(bucket.account, &account);
    }
    set.publish(&Change::BucketGone { bucket: name });
    set.meta.buckets = set.meta.buckets.saturating_sub(1);
    Ok(Ok(Done::Ok))
}

fn current(set: &ChangeSet<'_>, name: &str, claim: ClaimId) -> Result<Option<Bucket>, StoreError> {
    Ok(read::bucket(set.view, name)?.filter(|bucket| claims::concerns(Some(bucket.held()), claim)))
}
