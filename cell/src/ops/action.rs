//! What each call does to a bucket, and who may do it. The only place that decides authorisation. Pure.
//!
//! Today a bucket's owner may do everything with it and nobody else anything: there are no policies and no ACLs. Calls without a
//! bucket (ListBuckets, CreateBucket) concern the caller's own account and need no permission.

use super::OpError;
use bulkhead_model::AccountId;

/// A call on a bucket or on something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    HeadBucket,
    DeleteBucket,
    PutObject,
    GetObject,
    HeadObject,
    GetObjectAttributes,
    DeleteObject,
    DeleteObjects,
    CopySource,
    CopyObject,
    ListObjects,
    ListObjectVersions,
    CreateMultipartUpload,
    UploadPart,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    ListMultipartUploads,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    ReadBucket,
    DeleteBucket,
    ListBucket,
    ListUploads,
    ReadObject,
    WriteObject,
    DeleteObject,
    AbortUpload,
}

impl Call {
    /// No `_` arm, on purpose: a new call must state its permission here first.
    pub fn action(self) -> Action {
        match self {
            Self::HeadBucket => Action::ReadBucket,
            Self::DeleteBucket => Action::DeleteBucket,
            Self::GetObject | Self::HeadObject | Self::GetObjectAttributes | Self::CopySource => Action::ReadObject,
            Self::PutObject
            | Self::CopyObject
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::CompleteMultipartUpload => Action::WriteObject,
            Self::DeleteObject | Self::DeleteObjects => Action::DeleteObject,
            Self::ListObjects | Self::ListObjectVersions => Action::ListBucket,
            Self::AbortMultipartUpload => Action::AbortUpload,
            Self::ListParts | Self::ListMultipartUploads => Action::ListUploads,
        }
    }
}

/// Whether `caller` may make this call on a bucket of `owner`.
///
/// # Errors
/// [`OpError::AccessDenied`].
pub fn authorise(call: Call, caller: AccountId, owner: AccountId) -> Result<(), OpError> {
    let allowed = match call.action() {
        Action::ReadBucket
        | Action::DeleteBucket
        | Action::ListBucket
        | Action::ListUploads
        | Action::ReadObject
        | Action::WriteObject
        | Action::DeleteObject
        | Action::AbortUpload => caller == owner,
    };
    if allowed { Ok(()) } else { Err(OpError::AccessDenied) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_may_do_anything() {
        let account = |n| AccountId::new(AccountId::FIRST + n).expect("in range");
        for call in [
            Call::HeadBucket,
            Call::DeleteBucket,
            Call::PutObject,
            Call::GetObject,
            Call::DeleteObjects,
            Call::CopySource,
            Call::ListObjects,
            Call::AbortMultipartUpload,
            Call::ListParts,
        ] {
            assert!(authorise(call, account(1), account(1)).is_ok());
            assert!(matches!(authorise(call, account(2), account(1)), Err(OpError::AccessDenied)), "{call:?}");
        }
    }
}
