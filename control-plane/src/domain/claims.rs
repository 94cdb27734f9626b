//! Who owns a bucket name. The namespace is global; a name is claimed here before the bucket is created in a cell.
//!
//! ```text
//!  (free) ─► Pending ─► Committed ─► (free)
//!               └──────────────────────┘  settled: the cell does not have it and never will under this claim
//! ```
//! Invariant: from the moment a claim is given until its release is decided, no other account gets the name. Release
//! names the claim, so a late release never frees a later claim; the cell fences a claim before it is released.

use bulkhead_model::{AccountId, ClaimId};

/// The current holder of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub account: AccountId,
    pub claim: ClaimId,
}

/// What a request for a name comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The name was free: it is given under a new claim.
    Granted,
    /// It is the same account's already, under this claim.
    Repeated(ClaimId),
    /// It is another account's.
    Taken,
}

/// Decides a request of `account` for a name.
pub fn claim(held: Option<Held>, account: AccountId) -> Verdict {
    match held {
        None => Verdict::Granted,
        Some(held) if held.account == account => Verdict::Repeated(held.claim),
        Some(_) => Verdict::Taken,
    }
}

/// Whether a message about `claim` (commit or release) is about the present holder.
pub fn concerns(held: Option<Held>, claim: ClaimId) -> bool {
    held.is_some_and(|held| held.claim == claim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u64) -> AccountId {
        AccountId::new(AccountId::FIRST + n).expect("in range")
    }

    #[test]
    fn a_name_is_granted_once_and_repeated_to_its_holder() {
        let held = Some(Held { account: account(1), claim: ClaimId(7) });
        assert_eq!(claim(None, account(1)), Verdict::Granted);
        assert_eq!(claim(held, account(1)), Verdict::Repeated(ClaimId(7)));
        assert_eq!(claim(held, account(2)), Verdict::Taken);
    }

    #[test]
    fn a_late_message_about_an_earlier_claim_concerns_nobody() {
        let held = Some(Held { account: account(1), claim: ClaimId(7) });
        assert!(concerns(held, ClaimId(7)));
        assert!(!concerns(held, ClaimId(6)));
        assert!(!concerns(None, ClaimId(7)));
    }
}
