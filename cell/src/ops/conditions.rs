//! Conditional reads, and conditions on a copy's source: a pure function with the precedence of RFC 9110 §13.2.2.
//!
//! `If-Match` overrides `If-Unmodified-Since`, `If-None-Match` overrides `If-Modified-Since`; a failure of the first pair is
//! `412`, of the second `304`. Conditions on writes are decided inside `apply`, not here.

use crate::meta::{
    command::EtagMatch,
    record::{Etag, Object},
};
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

/// Evaluates the conditions against the object's ETag and time of modification.
pub fn evaluate(conditions: &ReadConditions, object: &Object) -> Verdict {
    let modified = object.modified.seconds();
    if let Some(wanted) = &conditions.if_match {
        if !matches(wanted, &object.etag) {
            return Verdict::Failed(ReadCondition::IfMatch);
        }
    } else if let Some(since) = conditions.if_unmodified_since
        && modified > since.seconds()
    {
        return Verdict::Failed(ReadCondition::IfUnmodifiedSince);
    }
    if let Some(unwanted) = &conditions.if_none_match {
        if matches(unwanted, &object.etag) {
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
