//! Configuration files: TOML, unknown fields rejected by the types, checked before anything starts.
//!
//! An error names the file and what is wrong with it. Secrets live in files of their own and are never printed.

use crate::auth::Token;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A configuration that can say whether its values make sense together.
pub trait Validate {
    /// # Errors
    /// What is wrong: both numbers and the reason.
    fn validate(&self) -> Result<(), String>;
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{} cannot be read: {why}", file.display())]
    Unreadable { file: PathBuf, why: std::io::Error },
    #[error("{} is not valid: {why}", file.display())]
    Malformed { file: PathBuf, why: String },
}

/// Reads and checks a configuration file.
///
/// # Errors
/// When the file cannot be read, is not what `T` expects, or `T` finds a fault in it.
pub fn load<T: DeserializeOwned + Validate>(file: &Path) -> Result<T, ConfigError> {
    let text = read(file)?;
    let malformed = |why| ConfigError::Malformed { file: file.to_owned(), why };
    let config: T = toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    config.validate().map_err(malformed)?;
    Ok(config)
}

/// Reads a bearer token: one line.
///
/// # Errors
/// When the file cannot be read, or the token is too short to be a secret.
pub fn read_token(file: &Path) -> Result<Token, ConfigError> {
    Token::new(read(file)?.trim()).map_err(|why| ConfigError::Malformed { file: file.to_owned(), why: why.to_string() })
}

/// Reads a 32-byte key: 64 hex digits on one line.
///
/// # Errors
/// When the file cannot be read or does not hold exactly that.
pub fn read_key(file: &Path) -> Result<[u8; 32], ConfigError> {
    let text = read(file)?;
    let digits = text.trim();
    let mut key = [0; 32];
    hex::decode_to_slice(digits, &mut key).map_err(|_| ConfigError::Malformed {
        file: file.to_owned(),
        why: format!("a key is 64 hex digits, this has {} characters", digits.len()),
    })?;
    Ok(key)
}

fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|why| ConfigError::Unreadable { file: file.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        low: u64,
        high: u64,
    }

    impl Validate for Sample {
        fn validate(&self) -> Result<(), String> {
            if self.low > self.high {
                return Err(format!("low ({}) must not exceed high ({})", self.low, self.high));
            }
            Ok(())
        }
    }

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("sample.toml");
        std::fs::write(&path, content).expect("writable");
        (dir, path)
    }

    #[test]
    fn an_error_names_the_file_and_the_reason() {
        for (content, reason) in [
            ("low = 2\nhigh = 1", "low (2) must not exceed high (1)"),
            ("low = 1\nhigh = 2\nother = 3", "unknown field `other`"),
            ("low = \"one\"\nhigh = 2", "invalid type"),
        ] {
            let (_dir, path) = file(content);
            let error = load::<Sample>(&path).expect_err("not valid").to_string();
            assert!(error.contains("sample.toml") && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<Sample>(Path::new("/nowhere/at/all.toml")).expect_err("absent").to_string();
        assert!(error.contains("/nowhere/at/all.toml"), "{error}");
    }

    #[test]
    fn a_key_is_64_hex_digits_and_a_token_is_long_enough() {
        let (_dir, path) = file(&format!("{}\n", "ab".repeat(32)));
        assert_eq!(read_key(&path).expect("a key"), [0xab; 32]);
        let (_dir, path) = file("short");
        assert!(read_key(&path).is_err());
        assert!(read_token(&path).is_err());
    }
}
