//! CopyObject: the source's bytes are streamed into a new object, as a PUT of them would be.

use super::{
    Caller, Cell, OpError,
    action::Call,
    body::{Body, Stated, StatedChecksum},
    bucket,
    conditions::{self, ReadConditions, Verdict},
    put_object::{self, New},
    store, validate,
};
use crate::{
    limits::PART_BYTES_MAX,
    meta::{
        command::{Condition, Refusal},
        record::{Checksum, ChecksumAlgorithm, ContentHeaders, Etag, Object},
        view::IndexView,
    },
};
use bulkhead_model::Timestamp;

const TO_ITSELF: &str = "This copy request is illegal because it is trying to copy an object to itself without changing \
                         the object's metadata, storage class, website redirect location or encryption attributes.";
pub(super) const TOO_LARGE: &str =
    "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120";

/// What is copied, and what must hold of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub bucket: String,
    pub key: String,
    pub conditions: ReadConditions,
}

/// `x-amz-metadata-directive`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MetadataDirective {
    #[default]
    Copy,
    Replace,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub source: Source,
    pub bucket: String,
    pub key: String,
    pub directive: MetadataDirective,
    /// As in the request. With [`MetadataDirective::Copy`] only the website redirect counts.
    pub headers: ContentHeaders,
    /// The algorithm asked for; the source's is used when absent.
    pub checksum: Option<ChecksumAlgorithm>,
    /// What must hold of the destination.
    pub condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// As GET for the source (its conditions fail with `412` only) and as PUT for the destination.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let Request { source, bucket, key, directive, headers, checksum, condition } = request;
    validate::key(&key)?;
    validate::headers(&headers)?;
    let to_itself = source.bucket == bucket && source.key == key;
    if to_itself && directive == MetadataDirective::Copy && headers.website_redirect_location.is_none() {
        return Err(OpError::InvalidRequest(TO_ITSELF));
    }
    let target = bucket::for_write(cell, caller, Call::CopyObject, &bucket).await?;
    let (view, object) = find(cell, caller, &source).await?;
    if object.len > PART_BYTES_MAX {
        return Err(OpError::InvalidRequest(TOO_LARGE));
    }
    let headers = match directive {
        MetadataDirective::Copy => kept(&object.headers, headers),
        MetadataDirective::Replace => headers,
    };
    let algorithm = checksum.or(object.checksum.map(|checksum| checksum.algorithm));
    let stated = Stated { checksum: algorithm.map(StatedChecksum::unstated), ..Stated::default() };
    let stream = store::copy(cell, caller, view, object.layout, 0..object.len).await?;
    let body = Body { stream, len: Some(object.len), stated };
    let taken = store::take(cell, caller, target.bucket.owner, cell.cut, body).await?;
    let put_object::Response { etag, modified, checksum, .. } =
        put_object::name(cell, caller, &target, taken, New { key, headers, condition }).await?;
    Ok(Response { etag, modified, checksum })
}

/// The source as it is now, if its conditions hold. Shared with UploadPartCopy.
pub(super) async fn find(cell: &Cell, caller: &Caller, source: &Source) -> Result<(IndexView, Object), OpError> {
    let view = cell.view(caller).await?;
    let bucket = bucket::in_view(&view, caller, Call::CopySource, &source.bucket)?;
    let object = view.object(bucket.id, &source.key)?.ok_or(Refusal::NoSuchKey)?;
    match conditions::evaluate(&source.conditions, &object.etag, object.modified) {
        Verdict::Proceed => Ok((view, object)),
        Verdict::NotModified(condition) | Verdict::Failed(condition) => Err(OpError::ReadConditionFailed(condition)),
    }
}

/// With the directive COPY all of the source's headers are kept but the redirect, which is never copied. Pure.
fn kept(source: &ContentHeaders, requested: ContentHeaders) -> ContentHeaders {
    ContentHeaders { website_redirect_location: requested.website_redirect_location, ..source.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_not_copied() {
        let headers = |text: &str| ContentHeaders {
            content_type: Some(text.into()),
            website_redirect_location: Some(text.into()),
            ..ContentHeaders::default()
        };
        let copied = kept(&headers("old"), ContentHeaders::default());
        assert_eq!((copied.content_type.as_deref(), copied.website_redirect_location), (Some("old"), None));
        let copied = kept(&headers("old"), headers("new"));
        assert_eq!(copied.content_type.as_deref(), Some("old"));
        assert_eq!(copied.website_redirect_location.as_deref(), Some("new"));
    }
}
