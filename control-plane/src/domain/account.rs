//! What an account may be called, and the life of an account.

use crate::limits::{EMAIL_BYTES_MAX, NAME_CHARS_MAX};
use bulkhead_model::{AccountId, api::control_plane::AccountState};
use bulkhead_service::env::Rng;

/// Why an account's particulars are refused, and what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAccount {
    #[error(
        "a name has 1 to {NAME_CHARS_MAX} characters, none of them a control character, and does not begin or end with a space"
    )]
    Name,
    #[error(
        "an email address has exactly one '@' with something on both sides, no spaces, and at most {EMAIL_BYTES_MAX} bytes"
    )]
    Email,
}

/// Whether routers know an account: one that is suspended is refused by its cell, which says why.
pub fn is_routed(state: AccountState) -> bool {
    match state {
        AccountState::Active | AccountState::Suspended | AccountState::Purging => true,
        AccountState::Creating | AccountState::Deleting => false,
    }
}

/// Checks a display name.
///
/// # Errors
/// [`InvalidAccount::Name`].
pub fn check_name(name: &str) -> Result<(), InvalidAccount> {
    let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count());
    let clean = name == name.trim() && !name.chars().any(char::is_control);
    if fits && clean { Ok(()) } else { Err(InvalidAccount::Name) }
}

/// Checks an email address: only what would break us, since only a delivered mail proves an address.
///
/// # Errors
/// [`InvalidAccount::Email`].
pub fn check_email(email: &str) -> Result<(), InvalidAccount> {
    let clean = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    match email.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains('@') => {
            if clean && email.len() <= EMAIL_BYTES_MAX { Ok(()) } else { Err(InvalidAccount::Email) }
        }
        Some(_) | None => Err(InvalidAccount::Email),
    }
}

/// The form under which an email address is unique.
pub fn unique_email(email: &str) -> String {
    email.to_lowercase()
}

/// A random account id. The caller makes sure that it is free.
pub fn random_id(rng: &Rng) -> AccountId {
    let value = AccountId::FIRST + rng.below(AccountId::RESERVED - AccountId::FIRST);
    AccountId::new(value).expect("a value between FIRST and RESERVED has twelve digits")
}

/// Whether an account may go from one state to another. See [`AccountState`] for the drawing.
pub fn may_become(from: AccountState, to: AccountState) -> bool {
    match (from, to) {
        (AccountState::Creating, AccountState::Active | AccountState::Deleting) => true,
        (AccountState::Active, AccountState::Suspended | AccountState::Purging | AccountState::Deleting) => true,
        (AccountState::Suspended, AccountState::Active | AccountState::Purging | AccountState::Deleting) => true,
        (AccountState::Purging, AccountState::Deleting) => true,
        (
            AccountState::Creating
            | AccountState::Active
            | AccountState::Suspended
            | AccountState::Purging
            | AccountState::Deleting,
            _,
        ) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_emails_are_checked() {
        let longest = "é".repeat(NAME_CHARS_MAX);
        for name in ["a", "Ada Lovelace", longest.as_str()] {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
        }
        let too_long = "a".repeat(NAME_CHARS_MAX + 1);
        for name in ["", " ", " a", "a\n", "a\u{0}b", too_long.as_str()] {
            assert_eq!(check_name(name), Err(InvalidAccount::Name), "{name:?}");
        }
        for email in ["a@b", "ada+s3@example.com"] {
            assert_eq!(check_email(email), Ok(()), "{email:?}");
        }
        let too_long = format!("{}@example.com", "a".repeat(EMAIL_BYTES_MAX));
        for email in ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "ada", too_long.as_str()] {
            assert_eq!(check_email(email), Err(InvalidAccount::Email), "{email:?}");
        }
    }

    #[test]
    fn an_account_never_comes_back_from_deletion() {
        use AccountState::{Active, Creating, Deleting, Purging, Suspended};
        let legal = [
            (Creating, Active),
            (Creating, Deleting),
            (Active, Suspended),
            (Active, Purging),
            (Active, Deleting),
            (Suspended, Active),
            (Suspended, Purging),
            (Suspended, Deleting),
            (Purging, Deleting),
        ];
        for from in [Creating, Active, Suspended, Purging, Deleting] {
            for to in [Creating, Active, Suspended, Purging, Deleting] {
                assert_eq!(may_become(from, to), legal.contains(&(from, to)), "{from:?} to {to:?}");
            }
        }
    }
}
