//! The binary form of everything the directory persists: one version byte, then postcard.
//!
//! A record's fields are frozen once released: a change adds a version and keeps the old one readable. A value is written in the
//! oldest version that can hold it, so that a group of which a member is older is sent nothing that this member cannot read.

use super::command::{Envelope, Outcome};
use super::record::{
    Account, AuditRecord, Bucket, Cell, CertificateRecord, Counters, Idempotent, Key, Meta, OperationRecord,
    TokenRecord,
    setting::{SettingRecord, SettingsVersion},
};
use bulkhead_model::{AccountId, routing::Change};
use bulkhead_replica::StoreError;
use serde::{Serialize, de::DeserializeOwned};

/// The first version of everything.
pub const V1: u8 = 1;
/// What came with the gate: see each record.
pub const V2: u8 = 2;
/// What came with settings.
pub const V3: u8 = 3;

/// Something the directory persists or sends through its log.
pub trait Stored: Sized {
    /// Its name in errors.
    const WHAT: &'static str;

    /// The oldest version that holds this value, and its body.
    fn write(&self) -> (u8, Vec<u8>);

    /// Reads the body of a version; `None` when this build does not know the version.
    fn read(version: u8, body: &[u8]) -> Option<Result<Self, postcard::Error>>;
}

/// A body in postcard.
pub fn body<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("records are plain data, which postcard always encodes")
}

/// The whole of a body.
pub fn whole<T: DeserializeOwned>(body: &[u8]) -> Result<T, postcard::Error> {
    match postcard::take_from_bytes(body)? {
        (value, []) => Ok(value),
        (_, _) => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// Declares records that have one version, which they were born with.
macro_rules! one_version {
    ($($record:ty => $version:expr, $what:literal);+ $(;)?) => {$(
        impl Stored for $record {
            const WHAT: &'static str = $what;
            fn write(&self) -> (u8, Vec<u8>) {
                ($version, body(self))
            }
            fn read(version: u8, body: &[u8]) -> Option<Result<Self, postcard::Error>> {
                (version == $version).then(|| whole(body))
            }
        }
    )+};
}

one_version! {
    AccountId => V1, "email";
    Bucket => V1, "bucket";
    Meta => V1, "meta";
    Change => V1, "change";
    () => V1, "mark";
    String => V2, "name";
    CertificateRecord => V2, "certificate";
    OperationRecord => V2, "operation";
    AuditRecord => V2, "audit entry";
    TokenRecord => V2, "token";
    Idempotent => V2, "idempotent request";
    Counters => V2, "counters";
    SettingRecord => V3, "setting";
    SettingsVersion => V3, "version of settings";
}

/// The stored form of `value`.
pub fn encode<T: Stored>(value: &T) -> Vec<u8> {
    let (version, body) = value.write();
    [&[version], body.as_slice()].concat()
}

/// Reads a stored form back.
///
/// # Errors
/// When the version is unknown or the bytes do not decode: the node must stop rather than guess.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: T::WHAT, why };
    let (&version, body) = bytes.split_first().ok_or_else(|| corrupt("it is empty".into()))?;
    let read = T::read(version, body);
    let read = read.ok_or_else(|| corrupt(format!("format version {version}, which this build does not read")))?;
    read.map_err(|error| corrupt(error.to_string()))
}

/// Of a record that differs by appended fields, all of them with a default that version 1 stands for.
macro_rules! grown {
    ($record:ty, $first:ty, $what:literal) => {
        impl Stored for $record {
            const WHAT: &'static str = $what;
            fn write(&self) -> (u8, Vec<u8>) {
                match self.first_form() {
                    Some(first) => (V1, body(&first)),
                    None => (V2, body(self)),
                }
            }
            fn read(version: u8, body: &[u8]) -> Option<Result<Self, postcard::Error>> {
                match version {
                    V1 => Some(whole::<$first>(body).map(Into::into)),
                    V2 => Some(whole(body)),
                    _ => None,
                }
            }
        }
    };
}

grown!(Account, super::record::v1::Account, "account");
grown!(Key, super::record::v1::Key, "key");
grown!(Cell, super::record::v1::Cell, "cell");

impl Stored for Envelope {
    const WHAT: &'static str = "command";

    fn write(&self) -> (u8, Vec<u8>) {
        match self.first_form() {
            Some(first) => (V1, body(&first)),
            None => (self.command.version().max(V2), body(self)),
        }
    }

    fn read(version: u8, body: &[u8]) -> Option<Result<Self, postcard::Error>> {
        match version {
            V1 => Some(whole::<super::command::v1::Envelope>(body).map(Into::into)),
            // Version 3 has more commands, behind those of version 2.
            V2 | V3 => Some(whole(body)),
            _ => None,
        }
    }
}

impl Stored for Outcome {
    const WHAT: &'static str = "outcome";

    fn write(&self) -> (u8, Vec<u8>) {
        let version = match self {
            Ok(done) => done.version(),
            Err(refusal) => refusal.version(),
        };
        (version, body(self))
    }

    fn read(version: u8, body: &[u8]) -> Option<Result<Self, postcard::Error>> {
        // Each version has more variants, behind those of the one before.
        matches!(version, V1..=V3).then(|| whole(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::ClaimId;

    #[test]
    fn what_is_cut_short_too_long_or_of_another_version_is_refused() {
        let good = encode(&AccountId::new(AccountId::FIRST).expect("in range"));
        let longer = [good.as_slice(), &[0]].concat();
        let newer = [&[3], &good[1..]].concat();
        for bad in [&[][..], &good[..2], &longer, &newer] {
            assert!(decode::<AccountId>(bad).is_err(), "{bad:?}");
        }
        assert!(whole::<ClaimId>(&[1, 2]).is_err());
    }
}
