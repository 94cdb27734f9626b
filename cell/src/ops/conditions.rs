//! Conditional reads, and conditions on a copy's source: a pure function with the precedence of RFC 9110 §13.2.2.
//!
//! `If-Match` overrides `If-Unmodified-Since`, `If-None-Match` overrides `If-Modified-Since`; a failure of the first pair is
//! `412`, of the second `304`. Conditions on writes are decided inside `apply`, not here.

use crate::meta::{command::EtagMatch, record::Etag};
use bulkhead_model::Timestamp;

/// The four conditions a read may carry. Dates have HTTP's resolution: whole seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadConditions {
    pub if_match: Option<EtagMatch>,
    pub if_none_match: Option<EtagMatch>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

/// Names the condition that did not hold, for the error's `Condition` element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadCondition {
    IfMatch,
    IfNoneMatch,
    IfModifiedSince,
    IfUnmodifiedSince,
}

impl std::fmt::Display for ReadCondition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::IfMatch => "If-Match",
            Self::IfNoneMatch => "If-None-Match",
            Self::IfModifiedSince => "If-Modified-Since",
            Self::IfUnmodifiedSince => "If-Unmodified-Since",
        })
    }
}

/// What the conditions say about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Proceed,
    NotModified(ReadCondition),
    Failed(ReadCondition),
}

/// Evaluates the conditions against an existing object's ETag and time of modification.
pub fn evaluate(conditions: &ReadConditions, etag: &Etag, modified: Timestamp) -> Verdict {
    let modified = modified.seconds();
    if let Some(wanted) = &conditions.if_match {
        if !matches(wanted, etag) {
            return Verdict::Failed(ReadCondition::IfMatch);
        }
    } else if let Some(since) = conditions.if_unmodified_since
        && modified > since.seconds()
    {
        return Verdict::Failed(ReadCondition::IfUnmodifiedSince);
    }
    if let Some(unwanted) = &conditions.if_none_match {
        if matches(unwanted, etag) {
            return Verdict::NotModified(ReadCondition::IfNoneMatch);
        }
    } else if let Some(since) = conditions.if_modified_since
        && modified <= since.seconds()
    {
        return Verdict::NotModified(ReadCondition::IfModifiedSince);
    }
    Verdict::Proceed
}

/// Whether an existing object's ETag is one of those named.
pub fn matches(named: &EtagMatch, etag: &Etag) -> bool {
    match named {
        EtagMatch::Any => true,
        EtagMatch::OneOf(etags) => etags.contains(etag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODIFIED: Timestamp = Timestamp(100_900);
    const ETAG: Etag = Etag { md5: [1; 16], parts: None };

    fn same() -> Option<EtagMatch> {
        Some(EtagMatch::OneOf(vec![ETAG]))
    }

    fn other() -> Option<EtagMatch> {
        Some(EtagMatch::OneOf(vec![Etag { md5: [1; 16], parts: Some(1) }]))
    }

    fn seconds(seconds: u64) -> Option<Timestamp> {
        Some(Timestamp(seconds * 1000))
    }

    #[test]
    fn each_condition_alone_and_each_precedence() {
        use ReadCondition::{IfMatch, IfModifiedSince, IfNoneMatch, IfUnmodifiedSince};
        use Verdict::{Failed, NotModified, Proceed};
        let any = || Some(EtagMatch::Any);
        // If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since
        for (if_match, if_none_match, modified, unmodified, expected) in [
            (None, None, None, None, Proceed),
            (same(), None, None, None, Proceed),
            (any(), None, None, None, Proceed),
            (other(), None, None, None, Failed(IfMatch)),
            (None, same(), None, None, NotModified(IfNoneMatch)),
            (None, any(), None, None, NotModified(IfNoneMatch)),
            (None, other(), None, None, Proceed),
            (None, None, seconds(99), None, Proceed),
            (None, None, seconds(100), None, NotModified(IfModifiedSince)),
            (None, None, None, seconds(99), Failed(IfUnmodifiedSince)),
            (None, None, None, seconds(100), Proceed),
            (same(), None, None, seconds(99), Proceed),
            (None, other(), seconds(100), None, Proceed),
            (None, same(), seconds(99), None, NotModified(IfNoneMatch)),
            (other(), same(), None, None, Failed(IfMatch)),
            (same(), same(), None, None, NotModified(IfNoneMatch)),
            (None, same(), None, seconds(99), Failed(IfUnmodifiedSince)),
        ] {
            let conditions = ReadConditions {
                if_match,
                if_none_match,
                if_modified_since: modified,
                if_unmodified_since: unmodified,
            };
            assert_eq!(evaluate(&conditions, &ETAG, MODIFIED), expected, "{conditions:?}");
        }
    }
}
