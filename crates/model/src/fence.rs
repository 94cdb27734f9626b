//! Which claims of a bucket name still create a bucket in a cell. Pure; the cell applies it, the model of claims checks it.
//!
//! Invariant: a fence never falls. A claim that it refuses once it refuses for ever.

use crate::ClaimId;

/// Whether a bucket may be created under `claim`, when claims up to `fence` were given up.
pub fn admits(fence: Option<ClaimId>, claim: ClaimId) -> bool {
    fence.is_none_or(|fence| claim > fence)
}

/// The fence once `claim` is given up too.
pub fn raised(fence: Option<ClaimId>, claim: ClaimId) -> ClaimId {
    fence.map_or(claim, |fence| fence.max(claim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_was_given_up_creates_nothing_and_no_earlier_one_does() {
        assert!(admits(None, ClaimId(1)));
        for (claim, admitted) in [(4, false), (5, false), (6, true)] {
            assert_eq!(admits(Some(ClaimId(5)), ClaimId(claim)), admitted, "{claim}");
        }
    }

    #[test]
    fn a_fence_never_falls() {
        assert_eq!(raised(None, ClaimId(3)), ClaimId(3));
        assert_eq!(raised(Some(ClaimId(5)), ClaimId(3)), ClaimId(5));
        assert_eq!(raised(Some(ClaimId(5)), ClaimId(8)), ClaimId(8));
    }
}
