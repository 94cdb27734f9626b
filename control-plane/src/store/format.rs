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
    use crate::store::{
        command::{Command, Envelope},
        record::{Bucket, Meta},
    };
    use bulkhead_model::{AccountId, ClaimId, Epoch, Timestamp, routing};
    use std::fmt::Debug;

    fn golden<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, bytes: &str) {
        assert_eq!(hex::encode(encode(value)), bytes, "{value:?}");
        let stored = hex::decode(bytes).expect("hex");
        assert_eq!(&decode::<T>("golden", &stored).expect("its own form"), value);
    }

    #[test]
    fn stored_forms_never_change_by_accident() {
        let account = AccountId::new(123_456_789_012).expect("twelve digits");
        golden(
            &Bucket { account, claim: ClaimId(7), committed: true, claimed: Timestamp(300) },
            "010c3132333435363738393031320701ac02",
        );
        golden(&Meta { routing_version: 9, accounts: 1, ..Meta::default() }, "01090000010000");
        let home = routing::Home { cell: "c1".parse().expect("label"), epoch: Epoch(1) };
        golden(&routing::Change::Account { account, home }, "01020c31323334353637383930313202633101");
        golden(&routing::Change::BucketGone { bucket: "abc".into() }, "010503616263");
        let command = Command::ReleaseBucket { bucket: "abc".into(), claim: ClaimId(7) };
        golden(&Envelope { time: Timestamp(300), command }, "01ac020d0361626307");
    }

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
