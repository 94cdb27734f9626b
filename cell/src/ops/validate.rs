//! What a request's keys, metadata and numbers may be. Pure.

use super::OpError;
use crate::{
    limits::{PART_NUMBER_MAX, USER_METADATA_BYTES_MAX},
    meta::record::ContentHeaders,
};
use bulkhead_model::names::KEY_BYTES_MAX;

/// A key names an object: 1 to [`KEY_BYTES_MAX`] bytes of UTF-8.
///
/// # Errors
/// [`OpError::KeyTooLong`]; [`OpError::InvalidArgument`] when it is empty.
pub fn key(key: &str) -> Result<(), OpError> {
    let (len, max) = (key.len(), KEY_BYTES_MAX);
    if len > max {
        return Err(OpError::KeyTooLong { len, max });
    }
    if key.is_empty() {
        return Err(OpError::InvalidArgument {
            name: "key",
            value: String::new(),
            why: "A key has at least one byte.",
        });
    }
    Ok(())
}

/// Names and values of user metadata together are bounded.
///
/// # Errors
/// [`OpError::MetadataTooLarge`].
pub fn headers(headers: &ContentHeaders) -> Result<(), OpError> {
    let len = headers.user.iter().map(|(name, value)| name.len() + value.len()).sum();
    let max = USER_METADATA_BYTES_MAX;
    if len > max { Err(OpError::MetadataTooLarge { len, max }) } else { Ok(()) }
}

/// Part numbers begin at 1.
///
/// # Errors
/// [`OpError::InvalidArgument`].
pub fn part_number(number: u16) -> Result<(), OpError> {
    if (1..=PART_NUMBER_MAX).contains(&number) {
        return Ok(());
    }
    let why = "Part number must be an integer between 1 and 10000, inclusive";
    Err(OpError::InvalidArgument { name: "partNumber", value: number.to_string(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_measured_in_bytes() {
        assert!(key(&"ü".repeat(512)).is_ok());
        assert!(matches!(key(&"ü".repeat(513)), Err(OpError::KeyTooLong { len: 1026, max: 1024 })));
        assert!(matches!(key(""), Err(OpError::InvalidArgument { .. })));
    }

    #[test]
    fn parts_are_numbered_from_1_to_10_000() {
        for (number, valid) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
            assert_eq!(part_number(number).is_ok(), valid, "{number}");
        }
    }
}
