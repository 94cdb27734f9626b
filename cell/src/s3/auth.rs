//! The secret of an access key, for s3s to verify signatures with.
//!
//! The node's own view of the index is asked first; it may be behind, so a key it does not know is looked up once more in a
//! linearizable view before it is refused. Opening a sealed secret takes two microseconds, so none is kept in the clear.

use super::caller::{CURRENT, RequestCx};
use crate::meta::{index::IndexHandle, record::Credential, seal::CellKey};
use bulkhead_model::{AccessKeyId, AccountId};
use s3s::{
    S3Error, S3Result,
    auth::{S3Auth, SecretKey},
    s3_error,
};
use std::sync::Arc;

/// Looks up secrets in the index.
pub struct Auth {
    pub index: IndexHandle,
    pub key: CellKey,
}

#[async_trait::async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let request: Arc<RequestCx> =
            CURRENT.try_with(Arc::clone).map_err(|_| s3_error!(InternalError, "The request has no context."))?;
        let Ok(key) = access_key.parse::<AccessKeyId>() else { return Err(unknown(request.signer_hint)) };
        let Some(credential) = self.find(&key, &request).await? else { return Err(unknown(request.signer_hint)) };
        self.may_ask(&key, credential.account)?;
        let secret = self.key.open(&key, &credential).map_err(|error| {
            tracing::error!(access_key = %key, %error, "a stored secret cannot be opened");
            s3_error!(InternalError)
        })?;
        // s3s asks once for each request; a second answer would be the same.
        let _ = request.signer.set(credential.account);
        Ok(SecretKey::from(secret))
    }
}

impl Auth {
    /// Refuses an account that is suspended, and a key that is disabled: as this node has it, which may be a moment behind.
    fn may_ask(&self, key: &AccessKeyId, account: AccountId) -> S3Result<()> {
        let settings = self.index.local().account_settings(account).map_err(|error| {
            tracing::error!(%error, "an account's settings cannot be read");
            s3_error!(InternalError)
        })?;
        if settings.suspended {
            return Err(s3_error!(AccessDenied, "The account is suspended"));
        }
        if settings.disabled_keys.contains(key) {
            return Err(s3_error!(AccessDenied, "The access key is disabled"));
        }
        Ok(())
    }

    async fn find(&self, key: &AccessKeyId, request: &RequestCx) -> S3Result<Option<Credential>> {
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a credential cannot be read");
            s3_error!(InternalError)
        };
        if let Some(known) = self.index.local().credential(key).map_err(|error| unreadable(&error))? {
            return Ok(Some(known));
        }
        let view = self.index.read(request.deadline).await;
        let view = view.map_err(|error| super::error::respond(crate::ops::OpError::NotExecuted(error.to_string())))?;
        view.credential(key).map_err(|error| unreadable(&error))
    }
}

/// An access key that this cell does not know: another cell's, or nobody's.
fn unknown(signer_hint: Option<AccountId>) -> S3Error {
    match signer_hint {
        Some(_) => s3_error!(AccessDenied, "Access Denied"),
        None => s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_cells_account_is_denied_and_nobodys_key_is_unknown() {
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        assert_eq!(unknown(Some(account)).code().as_str(), "AccessDenied");
        assert_eq!(unknown(None).code().as_str(), "InvalidAccessKeyId");
    }
}
