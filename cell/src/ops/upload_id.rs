//! Upload ids as text: 32 hex digits.

use super::OpError;
use crate::meta::{command::Refusal, record::UploadId};

/// The id as clients see it.
pub fn show(upload: UploadId) -> String {
    format!("{:032x}", upload.0)
}

/// Reads an id.
///
/// # Errors
/// `NoSuchUpload` when it is none that [`show`] prints.
pub fn parse(text: &str) -> Result<UploadId, OpError> {
    u128::from_str_radix(text, 16)
        .ok()
        .map(UploadId)
        .filter(|upload| show(*upload) == text)
        .ok_or(OpError::Refused(Refusal::NoSuchUpload))
}
