//! Sealing of secret access keys: AES-256-GCM under the cell's key, bound to the account and the access key they belong to.
//!
//! The proposer seals, with a random nonce; `apply` only stores. A sealed secret that is moved to another access key does not
//! open.

use super::record::Credential;
use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use bulkhead_model::{AccessKeyId, AccountId};
use bulkhead_service::env::Rng;

/// Bytes of the nonce in front of a sealed secret.
const NONCE_BYTES: usize = 12;

/// Why a secret could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the sealed secret is too short to hold a nonce")]
    TooShort,
    #[error("the sealed secret was not sealed for this access key with this cell's key")]
    NotAuthentic,
    #[error("the secret is not UTF-8")]
    NotText,
}

/// Why a text is not a cell key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cell key is 64 hex digits (32 bytes)")]
pub struct InvalidCellKey;

/// The cell's key. Every node of the cell has the same; it never leaves them.
#[derive(Clone)]
pub struct CellKey {
    cipher: Aes256Gcm,
}

impl std::fmt::Debug for CellKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CellKey(<redacted>)")
    }
}

impl CellKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { cipher: Aes256Gcm::new(&bytes.into()) }
    }

    /// A key from 64 hex digits, as they stand in the key file.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_hex(text: &str) -> Result<Self, InvalidCellKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| InvalidCellKey)?;
        Ok(Self::new(bytes))
    }

    /// A credential that only this key opens. Nonces are random: 2³² secrets may be sealed before two are likely to meet.
    pub fn seal(&self, rng: &Rng, account: AccountId, key: &AccessKeyId, secret: &str) -> Credential {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill(&mut nonce);
        let bound = bound_to(account, key);
        let payload = Payload { msg: secret.as_bytes(), aad: &bound };
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), payload).expect("a secret is far below 64 GiB");
        let mut sealed_secret = nonce.to_vec();
        sealed_secret.extend_from_slice(&sealed);
        Credential { account, sealed_secret }
    }

    /// The secret of an access key.
    ///
    /// # Errors
    /// [`SealError`], when the record was not sealed for this access key with this key.
    pub fn open(&self, key: &AccessKeyId, credential: &Credential) -> Result<String, SealError> {
        let (nonce, sealed) = credential.sealed_secret.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::TooShort)?;
        let bound = bound_to(credential.account, key);
        let payload = Payload { msg: sealed, aad: &bound };
        let secret = self.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| SealError::NotAuthentic)?;
        String::from_utf8(secret).map_err(|_| SealError::NotText)
    }
}

fn bound_to(account: AccountId, key: &AccessKeyId) -> Vec<u8> {
    format!("{account}/{key}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AccessKeyId {
        text.parse().expect("twenty characters")
    }

    #[test]
    fn a_sealed_secret_opens_only_for_its_own_access_key_account_and_cell() {
        let (cell, rng) = (CellKey::new([7; 32]), Rng::from_seed(1));
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        let (mine, other) = (key("AAAAAAAAAAAAAAAAAAAA"), key("BBBBBBBBBBBBBBBBBBBB"));
        let sealed = cell.seal(&rng, account, &mine, "secret");
        assert_eq!(cell.open(&mine, &sealed), Ok("secret".to_owned()));
        assert!(!sealed.sealed_secret.windows(6).any(|window| window == b"secret"));
        assert_eq!(cell.open(&other, &sealed), Err(SealError::NotAuthentic));
        assert_eq!(CellKey::new([8; 32]).open(&mine, &sealed), Err(SealError::NotAuthentic));
        let elsewhere = Credential { account: AccountId::new(AccountId::FIRST + 1).expect("in range"), ..sealed };
        assert_eq!(cell.open(&mine, &elsewhere), Err(SealError::NotAuthentic));
    }

    #[test]
    fn two_seals_of_one_secret_differ() {
        let (cell, rng) = (CellKey::new([7; 32]), Rng::from_seed(1));
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        let mine = key("AAAAAAAAAAAAAAAAAAAA");
        assert_ne!(cell.seal(&rng, account, &mine, "s"), cell.seal(&rng, account, &mine, "s"));
    }

    #[test]
    fn a_cell_key_is_64_hex_digits() {
        assert!(CellKey::from_hex(&"0f".repeat(32)).is_ok());
        assert!(CellKey::from_hex("0f").is_err());
    }
}
