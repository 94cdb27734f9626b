//! The key that certificates are signed with, in a file only its owner may read, and its public half beside it.

use anyhow::Context as _;
use bulkhead_model::{SigningKey, VerifyingKey};
use rand::{RngExt as _, rngs::StdRng};
use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Reads the key, or makes one, and writes its public half beside it.
///
/// # Errors
/// When a file cannot be read or written, or holds something else.
pub fn read_or_make(file: &Path) -> anyhow::Result<SigningKey> {
    if !file.exists() {
        if let Some(directory) = file.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let seed = hex::encode(dice().random::<[u8; 32]>());
        let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        writeln!(made, "{seed}").with_context(|| format!("writing {}", file.display()))?;
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let key = SigningKey::from_hex(&text).with_context(|| format!("{}", file.display()))?;
    let public = public_file(file);
    if !public.exists() {
        std::fs::write(&public, format!("{}\n", key.verifying()))
            .with_context(|| format!("writing {}", public.display()))?;
    }
    Ok(key)
}

/// Seeded by the operating system; fit for secrets (the generator is cryptographic).
pub(super) fn dice() -> StdRng {
    rand::make_rng()
}

/// Reads a public key: from a file, or as it is.
///
/// # Errors
/// When it is none.
pub fn read_public(key: &str) -> anyhow::Result<VerifyingKey> {
    if let Ok(key) = key.parse() {
        return Ok(key);
    }
    let text = std::fs::read_to_string(key).with_context(|| format!("{key} is neither 64 hex digits nor a file"))?;
    text.trim().parse().with_context(|| format!("the key in {key}"))
}

fn public_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_its_public_half_for_everybody() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("below/certify.key");
        let made = read_or_make(&file).expect("made");
        let again = read_or_make(&file).expect("read");
        assert_eq!(made.verifying(), again.verifying());
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = public_file(&file);
        let shown = public.to_str().expect("a name");
        assert_eq!(read_public(shown).expect("the public half"), made.verifying());
        assert_eq!(read_public(&made.verifying().to_string()).expect("as it is"), made.verifying());
        assert!(
            read_public(file.to_str().expect("a name")).is_ok_and(|key| key != made.verifying()),
            "a secret is no public key"
        );
    }
}
