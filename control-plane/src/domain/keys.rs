//! New access keys. A secret is generated here, handed to the cell and to the caller, and kept nowhere else.

use bulkhead_model::AccessKeyId;
use bulkhead_service::env::Rng;

const PREFIX: &str = "BK";
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Letters and digits only: such a secret survives shells, URLs and configuration files unquoted.
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// As long as AWS's: 40 characters of 62 are 238 bits.
const SECRET_CHARS: usize = 40;

/// A random access key id: `BK` and 18 characters, 90 random bits.
pub fn access_key_id(rng: &Rng) -> AccessKeyId {
    let id = format!("{PREFIX}{}", random_text(rng, ID_ALPHABET, 20 - PREFIX.len()));
    id.parse().expect("20 characters of A-Z and 2-7")
}

/// A random secret of 40 letters and digits.
pub fn secret(rng: &Rng) -> String {
    random_text(rng, SECRET_ALPHABET, SECRET_CHARS)
}

/// A random bearer token or key: 64 hex digits, 256 bits.
pub fn token(rng: &Rng) -> String {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    hex::encode(bytes)
}

fn random_text(rng: &Rng, alphabet: &[u8], chars: usize) -> String {
    let pick = || alphabet.get(usize::try_from(rng.below(alphabet.len() as u64)).unwrap_or(0));
    (0..chars).filter_map(|_| pick()).map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_shape_that_s3_tools_expect() {
        let rng = Rng::from_seed(1);
        let (id, secret) = (access_key_id(&rng), secret(&rng));
        assert!(id.as_str().starts_with("BK") && id.as_str().len() == 20, "{id}");
        assert!(secret.len() == 40 && secret.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(access_key_id(&rng), id);
        assert_eq!(token(&rng).len(), 64);
    }
}
