//! Two accounts race for one bucket name, with crashes between any two steps: the name never has two owners.
//!
//! The directory is the real one. The cells are modelled by the one rule they promise to keep: a claim that was settled as absent, or
//! whose bucket was deleted, never creates a bucket again.

use super::tests::{Fleet, account};
use crate::store::{
    command::{Command, Done},
    read,
};
use bulkhead_model::ClaimId;
use proptest::{collection::vec, prelude::*};
use std::collections::VecDeque;

const NAME: &str = "photos";

/// What one account's cell knows of the name.
#[derive(Debug, Default)]
struct Cell {
    bucket: Option<ClaimId>,
    /// Claims up to this one create nothing any more.
    fenced: ClaimId,
    outbox: VecDeque<ClaimId>,
}

impl Cell {
    fn create(&mut self, claim: ClaimId) {
        if claim > self.fenced && self.bucket.is_none() {
            self.bucket = Some(claim);
        }
    }

    fn delete(&mut self) {
        if let Some(claim) = self.bucket.take() {
            self.fenced = self.fenced.max(claim);
            self.outbox.push_back(claim);
        }
    }

    fn settle(&mut self, claim: ClaimId) -> bool {
        if self.bucket == Some(claim) {
            return true;
        }
        self.fenced = self.fenced.max(claim);
        false
    }
}

/// One step of one account. Between any two steps of a flow the process that runs it may be gone for ever: then the rest of its steps
/// simply never come, or come much later.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A creator asks the directory for the name, and remembers the claim.
    Claim,
    /// A creator that has a claim, perhaps an old one, commits it in the cell.
    Create {
        remembered: usize,
    },
    Delete,
    /// The cell's outbox tells the directory; the entry is forgotten only when the answer arrives.
    Release {
        answer_lost: bool,
    },
    /// The reconciler asks the cell about the claim the directory has, and remembers the answer.
    Ask,
    /// The reconciler tells the directory what it remembers, perhaps much later and perhaps twice.
    Tell {
        remembered: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Claim),
        3 => (0..8usize).prop_map(|remembered| Step::Create { remembered }),
        2 => Just(Step::Delete),
        2 => any::<bool>().prop_map(|answer_lost| Step::Release { answer_lost }),
        2 => Just(Step::Ask),
        2 => (0..8usize).prop_map(|remembered| Step::Tell { remembered }),
    ]
}

#[derive(Default)]
struct Tenant {
    cell: Cell,
    claims: Vec<ClaimId>,
    answers: Vec<(ClaimId, bool)>,
}

fn take(fleet: &mut Fleet, n: u64, tenant: &mut Tenant, step: Step) {
    let bucket = || NAME.to_owned();
    match step {
        Step::Claim => {
            let claimed = fleet.apply(Command::ClaimBucket { bucket: bucket(), account: account(n) });
            if let Ok(Done::Claimed { claim }) = claimed {
                tenant.claims.push(claim);
            }
        }
        Step::Create { remembered } => {
            if let Some(&claim) = tenant.claims.iter().rev().nth(remembered) {
                tenant.cell.create(claim);
            }
        }
        Step::Delete => tenant.cell.delete(),
        Step::Release { answer_lost } => {
            if let Some(&claim) = tenant.cell.outbox.front() {
                fleet.ok(Command::ReleaseBucket { bucket: bucket(), claim });
                if !answer_lost {
                    tenant.cell.outbox.pop_front();
                }
            }
        }
        Step::Ask => {
            let held = read::bucket(&fleet.store, NAME).expect("readable");
            if let Some(held) = held.filter(|held| held.account == account(n) && !held.committed) {
                let exists = tenant.cell.settle(held.claim);
                tenant.answers.push((held.claim, exists));
            }
        }
        Step::Tell { remembered } => match tenant.answers.iter().rev().nth(remembered) {
            Some(&(claim, true)) => fleet.ok(Command::CommitBucket { bucket: bucket(), claim }),
            Some(&(claim, false)) => fleet.ok(Command::ReleaseBucket { bucket: bucket(), claim }),
            None => {}
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_bucket_name_never_has_two_owners(steps in vec((0..2usize, step()), 1..120)) {
        let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(0).with_account(1);
        let mut tenants = [Tenant::default(), Tenant::default()];
        for (n, step) in steps {
            take(&mut fleet, n as u64, &mut tenants[n], step);
            let held = read::bucket(&fleet.store, NAME).expect("readable");
            for (n, tenant) in tenants.iter().enumerate() {
                if tenant.cell.bucket.is_some() {
                    let owner = held.as_ref().map(|held| held.account);
                    prop_assert_eq!(owner, Some(account(n as u64)), "a bucket without its name");
                }
            }
        }
    }

    #[test]
    fn whatever_happened_settling_frees_the_name_or_confirms_the_bucket(steps in vec((0..2usize, step()), 1..60)) {
        let mut fleet = Fleet::with_cells(&["c1"], 100).with_account(0).with_account(1);
        let mut tenants = [Tenant::default(), Tenant::default()];
        for (n, step) in steps {
            take(&mut fleet, n as u64, &mut tenants[n], step);
        }
        for (n, tenant) in tenants.iter_mut().enumerate() {
            while !tenant.cell.outbox.is_empty() {
                take(&mut fleet, n as u64, tenant, Step::Release { answer_lost: false });
            }
            take(&mut fleet, n as u64, tenant, Step::Ask);
            take(&mut fleet, n as u64, tenant, Step::Tell { remembered: 0 });
        }
        let held = read::bucket(&fleet.store, NAME).expect("readable");
        let exists = tenants.iter().any(|tenant| tenant.cell.bucket.is_some());
        prop_assert_eq!(held.is_some(), exists);
        prop_assert!(held.is_none_or(|held| held.committed));
    }
}
