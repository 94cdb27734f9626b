//! Identifiers. Each is a newtype that cannot be built from a string it would not print itself.

#![allow(clippy::disallowed_methods, reason = "what `JsonSchema` derives unwraps literals of its own")]

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// Why a text is not an identifier. Names what was wrong and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {allowed}")]
pub struct InvalidId {
    text: String,
    what: &'static str,
    allowed: &'static str,
}

impl InvalidId {
    fn new(text: &str, what: &'static str, allowed: &'static str) -> Self {
        Self { text: text.chars().take(64).collect(), what, allowed }
    }
}

/// Serde through `Display` and `FromStr`, so that JSON and the binary form hold the same text a person reads.
macro_rules! serde_as_text {
    ($($id:ty),+) => {$(
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )+};
}

/// An account: 12 decimal digits, as in ARNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl AccountId {
    const ALLOWED: &'static str = "exactly 12 decimal digits, the first not 0";
    /// The smallest account id: ids never start with 0, so that tools which drop leading zeros do no harm.
    pub const FIRST: u64 = 100_000_000_000;
    /// One past the largest account id.
    pub const END: u64 = 1_000_000_000_000;

    /// From here on ids are given to nobody: those who try a cell before it takes tenants use them, and the control plane knows none of them.
    pub const RESERVED: u64 = Self::END - 1_000_000;

    /// Whether it belongs to who tries a cell.
    pub fn is_reserved(self) -> bool {
        self.0 >= Self::RESERVED
    }

    /// The id with this numeric value.
    ///
    /// # Errors
    /// When the value does not have exactly 12 digits.
    pub fn new(value: u64) -> Result<Self, InvalidId> {
        if (Self::FIRST..Self::END).contains(&value) {
            Ok(Self(value))
        } else {
            Err(InvalidId::new(&value.to_string(), "an account id", Self::ALLOWED))
        }
    }

    /// The numeric value, for compact keys.
    pub fn value(self) -> u64 {
        self.0
    }

    /// The canonical user id S3 shows as an owner: hex SHA-256 of the 12 digits.
    pub fn canonical_id(self) -> String {
        hex::encode(Sha256::digest(self.to_string()))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new(text, "an account id", Self::ALLOWED);
        if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        text.parse().ok().and_then(|value| Self::new(value).ok()).ok_or_else(invalid)
    }
}

/// Text identifiers that differ only in their alphabet and length.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(InvalidId::new(text, $what, $allowed)) }
            }
        }
    };
}

fn is_label(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

text_id!(
    /// A cell, for example `c1`.
    CellId, "a cell id", "1 to 32 of a-z, 0-9 and '-', not at either end", is_label
);
text_id!(
    /// An availability zone, for example `az-a`. A failure domain that is lost as a whole.
    Az, "an AZ", "1 to 32 of a-z, 0-9 and '-', not at either end", is_label
);
text_id!(
    /// The public half of a credential: 20 characters, as AWS has them.
    AccessKeyId, "an access key id", "exactly 20 of A-Z and 0-9",
    |text| text.len() == 20 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
);

/// Numeric identifiers that print as a decimal number.
macro_rules! number_id {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.parse().map(Self).map_err(|_| InvalidId::new(text, $what, "a decimal number below 2^64"))
            }
        }
    )+};
}

number_id! {
    /// A node of a cell or of the control plane. Never reused: a wiped node joins anew under another id.
    NodeId, "a node id";
    /// Counts the moves of an account between cells. A request carries the epoch it was routed under.
    Epoch, "an epoch";
    /// One claim of a bucket name. A later claim of the same name has a larger id.
    ClaimId, "a claim id";
}

/// One client request, unique for ever: 128 random bits, 32 upper-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032X}", self.0)
    }
}

impl FromStr for RequestId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new(text, "a request id", "exactly 32 hex digits");
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| invalid())
    }
}

serde_as_text!(AccountId, CellId, Az, AccessKeyId, RequestId);

/// The schema of an identifier that is written as text.
macro_rules! schema_as_text {
    ($($id:ident: $pattern:literal),+ $(,)?) => {$(
        impl JsonSchema for $id {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($id).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )+};
}

schema_as_text!(
    AccountId: "^[1-9][0-9]{11}$",
    CellId: "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$",
    Az: "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$",
    AccessKeyId: "^[A-Z0-9]{20}$",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_is_twelve_digits() {
        let id: AccountId = "123456789012".parse().expect("twelve digits");
        assert_eq!(id.to_string(), "123456789012");
        for bad in ["12345678901", "1234567890123", "12345678901a", "012345678901", ""] {
            assert!(bad.parse::<AccountId>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn the_canonical_id_is_the_hash_of_the_digits() {
        let id: AccountId = "123456789012".parse().expect("twelve digits");
        assert_eq!(id.canonical_id(), "2a33349e7e606a8ad2e30e3c84521f9377450cf09083e162e0a9b1480ce0f972");
    }

    #[test]
    fn a_refused_id_says_what_is_allowed() {
        let error = "AKIA".parse::<AccessKeyId>().expect_err("too short");
        assert_eq!(error.to_string(), "\"AKIA\" is not an access key id: exactly 20 of A-Z and 0-9");
    }

    #[test]
    fn a_request_id_keeps_its_leading_zeros() {
        let id = RequestId(0xAB);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
    }

    #[test]
    fn a_cell_id_is_a_label() {
        assert!("c1".parse::<CellId>().is_ok());
        for bad in ["", "C1", "-c", "c-", "c_1"] {
            assert!(bad.parse::<CellId>().is_err(), "{bad} was accepted");
        }
    }
}
