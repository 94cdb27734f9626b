//! The binary form of everything the directory persists: one version byte, then postcard.
//!
//! A record's fields are frozen once released: a change adds a version here and keeps the old one readable.

use bulkhead_replica::StoreError;
use serde::{Serialize, de::DeserializeOwned};

/// The version every value is written with.
const VERSION: u8 = 1;

/// The stored form of `value`.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("records are plain data, which postcard always encodes")
}

/// Reads a stored form back. `what` names the record in the error.
///
/// # Errors
/// When the version is unknown or the bytes do not decode: the node must stop rather than guess.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what, why };
    match bytes.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(corrupt(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(corrupt(error.to_string())),
        },
        Some((version, _)) => Err(corrupt(format!("format version {version}, but this build reads {VERSION}"))),
        None => Err(corrupt("it is empty".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::ClaimId;

    #[test]
    fn what_is_cut_short_too_long_or_of_another_version_is_refused() {
        let good = encode(&ClaimId(300));
        let longer = [good.as_slice(), &[0]].concat();
        let newer = [&[2], &good[1..]].concat();
        for bad in [&[][..], &good[..2], &longer, &newer] {
            assert!(decode::<ClaimId>("claim", bad).is_err(), "{bad:?}");
        }
    }
}
