//! UploadPart: bytes first, then the part. A part put again replaces its predecessor.

use super::{
    Caller, Cell, OpError,
    action::Call,
    body::{Body, StatedChecksum},
    bucket::{self, Target},
    context::unexpected,
    ingest::{Cut, Ingested},
    store::{self, Taken},
    uploads, validate,
};
use crate::meta::{
    command::{Command, Done},
    record::{self, Checksum, Etag, Upload, UploadId},
};
use bulkhead_model::Timestamp;

pub struct Request {
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
    /// 1 to [`crate::limits::PART_NUMBER_MAX`].
    pub number: u16,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub etag: Etag,
    pub modified: Timestamp,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// `NoSuchUpload`; [`OpError::InvalidRequest`] when the checksum is of another algorithm than the upload's.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    let Request { bucket, key, upload, number, mut body } = request;
    validate::key(&key)?;
    validate::part_number(number)?;
    let target = bucket::for_write(cell, caller, Call::UploadPart, &bucket).await?;
    let record = uploads::find(cell, caller, &target, &key, upload).await?;
    body.stated.checksum = checksum_of_part(&record, body.stated.checksum)?;
    let part = Part { key, upload, number, record };
    store_part(cell, caller, &target, part, body).await
}

/// The part that bytes are to become.
pub(super) struct Part {
    pub key: String,
    pub upload: UploadId,
    pub number: u16,
    pub record: Upload,
}

/// Takes the body in and makes it the part. Shared with UploadPartCopy.
pub(super) async fn store_part(
    cell: &Cell,
    caller: &Caller,
    target: &Target,
    part: Part,
    body: Body,
) -> Result<Response, OpError> {
    let cut = Cut { inline_bytes_max: None, ..cell.cut };
    let taken = store::take(cell, caller, target.bucket.owner, cut, body).await?;
    let segments = if taken.body.len == 0 { vec![] } else { vec![taken.segment()] };
    let Taken { lease: _held_until_named, body, .. } = taken;
    let Ingested { len, etag, checksum, .. } = body;
    let Part { key, upload, number, record } = part;
    let stored = record::Part {
        len,
        etag,
        modified: Timestamp::default(),
        checksum: checksum.clone().filter(|_| record.checksum.is_some()),
        segments,
    };
    let command = |bucket| Command::PutPart { bucket, key: key.clone(), upload, number, part: stored.clone() };
    match target.execute(cell, caller, caller.request, cell.commit_deadline(), command).await? {
        Done::PartPut { modified } => Ok(Response { etag, modified, checksum }),
        other => Err(unexpected(&other)),
    }
}

/// What to compute over a part: what its upload needs, which the client may not contradict. Of an upload without a checksum a part's is
/// compared and returned, but not kept.
fn checksum_of_part(upload: &Upload, stated: Option<StatedChecksum>) -> Result<Option<StatedChecksum>, OpError> {
    match (upload.checksum, stated) {
        (Some((algorithm, _)), Some(stated)) if stated.algorithm != algorithm => {
            Err(OpError::InvalidRequest("The part's checksum is of another algorithm than the upload's."))
        }
        (Some((algorithm, _)), None) => Ok(Some(StatedChecksum::unstated(algorithm))),
        (Some(_) | None, stated) => Ok(stated),
    }
}
