//! Who owns what is listed, and who may do what: today a bucket's owner may do everything, and nobody else anything.

use bulkhead_model::AccountId;

/// An owner as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub account: AccountId,
    pub display_name: String,
}
