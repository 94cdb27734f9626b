//! Who owns what is listed.

use super::OpError;
use crate::meta::view::IndexView;
use bulkhead_model::AccountId;

/// An owner as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub account: AccountId,
    pub display_name: String,
}

impl Owner {
    /// The account as the view has it; without a display name when it is not there.
    pub(super) fn of(view: &IndexView, account: AccountId) -> Result<Self, OpError> {
        let display_name = view.account(account)?.map(|record| record.display_name).unwrap_or_default();
        Ok(Self { account, display_name })
    }
}
