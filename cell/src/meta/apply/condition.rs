//! Preconditions of writes. Pure.

use crate::meta::{
    command::{Condition, EtagMatch, Refusal},
    record::Etag,
};

/// Whether `condition` holds of the current object. `If-Match` of a key that has none is `NoSuchKey`.
///
/// # Errors
/// `NoSuchKey` or `PreconditionFailed`.
pub fn check(condition: &Condition, current: Option<Etag>) -> Result<(), Refusal> {
    if let Some(wanted) = &condition.if_match {
        let Some(current) = current else { return Err(Refusal::NoSuchKey) };
        if !matches(wanted, current) {
            return Err(Refusal::PreconditionFailed);
        }
    }
    if let (Some(unwanted), Some(current)) = (&condition.if_none_match, current)
        && matches(unwanted, current)
    {
        return Err(Refusal::PreconditionFailed);
    }
    Ok(())
}

fn matches(wanted: &EtagMatch, current: Etag) -> bool {
    match wanted {
        EtagMatch::Any => true,
        EtagMatch::OneOf(etags) => etags.contains(&current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etag(n: u8) -> Etag {
        Etag { md5: [n; 16], parts: None }
    }

    #[test]
    fn each_condition_is_decided_against_the_current_object() {
        let one = || Some(EtagMatch::OneOf(vec![etag(1), etag(2)]));
        let any = || Some(EtagMatch::Any);
        for (if_match, if_none_match, current, expected) in [
            (None, None, None, Ok(())),
            (None, None, Some(1), Ok(())),
            (any(), None, None, Err(Refusal::NoSuchKey)),
            (any(), None, Some(9), Ok(())),
            (one(), None, None, Err(Refusal::NoSuchKey)),
            (one(), None, Some(2), Ok(())),
            (one(), None, Some(9), Err(Refusal::PreconditionFailed)),
            (None, any(), None, Ok(())),
            (None, any(), Some(9), Err(Refusal::PreconditionFailed)),
            (None, one(), None, Ok(())),
            (None, one(), Some(1), Err(Refusal::PreconditionFailed)),
            (None, one(), Some(9), Ok(())),
            (one(), any(), Some(1), Err(Refusal::PreconditionFailed)),
        ] {
            let condition = Condition { if_match, if_none_match };
            assert_eq!(check(&condition, current.map(etag)), expected, "{condition:?} of {current:?}");
        }
    }

    #[test]
    fn an_etag_of_parts_differs_from_a_plain_one() {
        let condition = Condition { if_match: Some(EtagMatch::OneOf(vec![etag(1)])), if_none_match: None };
        let of_parts = Etag { parts: Some(1), ..etag(1) };
        assert_eq!(check(&condition, Some(of_parts)), Err(Refusal::PreconditionFailed));
    }
}
