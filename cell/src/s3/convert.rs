//! Small words in two languages: s3s's data types on one side, ours on the other. Pure.

use crate::{
    meta::{
        command::{Condition, EtagMatch},
        record::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag},
    },
    ops::{Owner, checksum, conditions::ReadConditions, etag, range::RangeSpec},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bulkhead_model::Timestamp;
use s3s::{S3Result, dto, s3_error};
use std::time::SystemTime;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A time as HTTP headers have it, in whole seconds.
pub fn http_date(time: Timestamp) -> String {
    // Only years beyond 9999 cannot be written; no clock is there.
    OffsetDateTime::from(SystemTime::from(time)).format(HTTP_DATE).unwrap_or_default()
}

/// A time as documents have it.
pub fn timestamp(time: Timestamp) -> dto::Timestamp {
    SystemTime::from(time).into()
}

/// A time out of a header; before 1970 counts as 1970.
pub fn from_timestamp(time: dto::Timestamp) -> Timestamp {
    let nanoseconds = OffsetDateTime::from(time).unix_timestamp_nanos();
    Timestamp(u64::try_from(nanoseconds / 1_000_000).unwrap_or_default())
}

/// An ETag, quoted by s3s.
pub fn etag(value: &Etag) -> dto::ETag {
    dto::ETag::Strong(etag::show(value))
}

/// An owner as documents show it.
pub fn owner(owner: &Owner) -> dto::Owner {
    dto::Owner { display_name: Some(owner.display_name.clone()), id: Some(owner.account.canonical_id()) }
}

/// Who began an upload: the owner, since nobody else may.
pub fn initiator(owner: &Owner) -> dto::Initiator {
    dto::Initiator { display_name: Some(owner.display_name.clone()), id: Some(owner.account.canonical_id()) }
}

/// A condition on an ETag. A weak tag matches only where weak comparison is allowed (`If-None-Match`).
fn etag_match(condition: &dto::ETagCondition, weak: bool) -> EtagMatch {
    match condition {
        dto::ETagCondition::Any => EtagMatch::Any,
        dto::ETagCondition::ETag(dto::ETag::Weak(_)) if !weak => EtagMatch::OneOf(Vec::new()),
        dto::ETagCondition::ETag(tag) => EtagMatch::OneOf(etag::parse(tag.value()).into_iter().collect()),
    }
}

/// The conditions of a write.
pub fn condition(if_match: Option<&dto::ETagCondition>, if_none_match: Option<&dto::ETagCondition>) -> Condition {
    Condition {
        if_match: if_match.map(|condition| etag_match(condition, false)),
        if_none_match: if_none_match.map(|condition| etag_match(condition, true)),
    }
}

/// The conditions of a read, or on a copy's source.
pub fn read_conditions(
    if_match: Option<&dto::ETagCondition>,
    if_none_match: Option<&dto::ETagCondition>,
    if_modified_since: Option<dto::Timestamp>,
    if_unmodified_since: Option<dto::Timestamp>,
) -> ReadConditions {
    ReadConditions {
        if_match: if_match.map(|condition| etag_match(condition, false)),
        if_none_match: if_none_match.map(|condition| etag_match(condition, true)),
        if_modified_since: if_modified_since.map(from_timestamp),
        if_unmodified_since: if_unmodified_since.map(from_timestamp),
    }
}

/// A range as asked for.
pub fn range(range: dto::Range) -> RangeSpec {
    match range {
        dto::Range::Int { first, last: None } => RangeSpec::From { first },
        dto::Range::Int { first, last: Some(last) } => RangeSpec::Span { first, last },
        dto::Range::Suffix { length } => RangeSpec::Suffix { len: length },
    }
}

/// `bytes=first-last`, both required, of `x-amz-copy-source-range`.
///
/// # Errors
/// `InvalidArgument` for anything else.
pub fn copy_range(text: &str) -> S3Result<(u64, u64)> {
    let parse = || {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        digits(first).zip(digits(last)).filter(|(first, last)| first <= last)
    };
    parse().ok_or_else(|| {
        s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based \
             offsets of the first and last bytes to copy"
        )
    })
}

/// A checksum's value as clients see it; a composite one of a whole object has the number of its parts behind it.
pub fn checksum_text(value: &Checksum, parts: Option<u32>) -> String {
    let text = BASE64.encode(&value.value);
    match (value.kind, parts) {
        (ChecksumKind::Composite, Some(parts)) => format!("{text}-{parts}"),
        (ChecksumKind::Composite | ChecksumKind::FullObject, _) => text,
    }
}

/// An algorithm's name in documents.
pub fn checksum_algorithm(algorithm: ChecksumAlgorithm) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(checksum::name(algorithm))
}

/// A kind's name in headers and documents.
pub fn checksum_kind(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::FullObject => dto::ChecksumType::FULL_OBJECT,
        ChecksumKind::Composite => dto::ChecksumType::COMPOSITE,
    }
}

/// A kind out of a header.
///
/// # Errors
/// `InvalidRequest`
pub fn kind_of(text: &str) -> S3Result<ChecksumKind> {
    match text {
        dto::ChecksumType::FULL_OBJECT => Ok(ChecksumKind::FullObject),
        dto::ChecksumType::COMPOSITE => Ok(ChecksumKind::Composite),
        _ => Err(s3_error!(InvalidRequest, "Value for x-amz-checksum-type header is invalid.")),
    }
}

/// An algorithm out of a header.
///
/// # Errors
/// `InvalidRequest`
pub fn algorithm_of(name: &str) -> S3Result<ChecksumAlgorithm> {
    super::stated::algorithm(name).ok_or_else(|| {
        s3_error!(
            InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                                   [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )
    })
}

/// Writes a checksum's text into the one of a document's five fields that is its algorithm's.
macro_rules! put_checksum {
    ($document:expr, $algorithm:expr, $text:expr) => {
        match $algorithm {
            $crate::meta::record::ChecksumAlgorithm::Crc32 => $document.checksum_crc32 = Some($text),
            $crate::meta::record::ChecksumAlgorithm::Crc32c => $document.checksum_crc32c = Some($text),
            $crate::meta::record::ChecksumAlgorithm::Crc64Nvme => $document.checksum_crc64nvme = Some($text),
            $crate::meta::record::ChecksumAlgorithm::Sha1 => $document.checksum_sha1 = Some($text),
            $crate::meta::record::ChecksumAlgorithm::Sha256 => $document.checksum_sha256 = Some($text),
        }
    };
}

/// A document's five checksum fields, in the order of [`super::stated::CHECKSUMS`].
macro_rules! checksum_fields {
    ($document:expr) => {
        [
            $document.checksum_crc32.as_deref(),
            $document.checksum_crc32c.as_deref(),
            $document.checksum_crc64nvme.as_deref(),
            $document.checksum_sha1.as_deref(),
            $document.checksum_sha256.as_deref(),
        ]
    };
}

pub(super) use {checksum_fields, put_checksum};

/// The one checksum among a document's five fields; of a composite one, what stands before `-<parts>`.
///
/// # Errors
/// `InvalidRequest` when a value is malformed or there is more than one.
pub fn one_checksum(fields: [Option<&str>; 5]) -> S3Result<Option<(ChecksumAlgorithm, Vec<u8>)>> {
    let mut found = None;
    for ((algorithm, name), text) in super::stated::CHECKSUMS.into_iter().zip(fields) {
        let Some(text) = text else { continue };
        let text = text.split_once('-').map_or(text, |(value, _)| value);
        let invalid = || s3_error!(InvalidRequest, "Value for {name} header is invalid.");
        let value = super::stated::value_of(algorithm, text).ok_or_else(invalid)?;
        if found.replace((algorithm, value)).is_some() {
            return Err(s3_error!(InvalidRequest, "Multiple checksum Types are not allowed."));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_date_is_rfc_9110s_preferred_form() {
        assert_eq!(http_date(Timestamp(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn times_survive_the_way_there_and_back() {
        assert_eq!(from_timestamp(timestamp(Timestamp(1_800_000_000_123))), Timestamp(1_800_000_000_123));
    }

    #[test]
    fn a_copy_range_names_both_ends() {
        assert_eq!(copy_range("bytes=0-9").expect("whole"), (0, 9));
        for bad in ["bytes=0-", "bytes=-5", "bytes=9-0", "0-9", "bytes=0-9,11-12", "bytes=+1-2", ""] {
            assert!(copy_range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tag_that_no_object_can_have_matches_nothing() {
        let strange = dto::ETagCondition::ETag(dto::ETag::Strong("strange".to_owned()));
        assert_eq!(etag_match(&strange, true), EtagMatch::OneOf(Vec::new()));
        let weak = dto::ETagCondition::ETag(dto::ETag::Weak("ab".repeat(16)));
        assert_eq!(etag_match(&weak, false), EtagMatch::OneOf(Vec::new()));
        assert_ne!(etag_match(&weak, true), EtagMatch::OneOf(Vec::new()));
    }

    #[test]
    fn only_a_whole_composite_checksum_counts_its_parts() {
        let composite =
            Checksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::Composite, value: vec![0, 0, 0, 1] };
        assert_eq!(checksum_text(&composite, Some(3)), "AAAAAQ==-3");
        assert_eq!(checksum_text(&composite, None), "AAAAAQ==");
        let full = Checksum { kind: ChecksumKind::FullObject, ..composite };
        assert_eq!(checksum_text(&full, Some(3)), "AAAAAQ==");
    }

    #[test]
    fn one_checksum_is_read_and_two_are_refused() {
        let one = one_checksum([Some("AAAAAQ==-2"), None, None, None, None]).expect("well formed");
        assert_eq!(one, Some((ChecksumAlgorithm::Crc32, vec![0, 0, 0, 1])));
        assert!(one_checksum([Some("AAAAAQ=="), Some("AAAAAQ=="), None, None, None]).is_err());
        assert!(one_checksum([Some("AAA"), None, None, None, None]).is_err());
    }
}
