//! CompleteMultipartUpload: the listed parts become the object, the others garbage. Decided inside `apply`.

use super::{Caller, Cell, OpError, action::Call, bucket, context::unexpected, uploads};
use crate::{
    limits::PART_NUMBER_MAX,
    meta::{
        command::{Command, CompleteUpload, Condition, Done, ListedPart, Refusal},
        record::{Checksum, ChecksumAlgorithm, ChecksumKind, Etag, UploadId},
    },
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub bucket: String,
    pub key: String,
    pub upload: UploadId,
    /// As listed by the client, in its order.
    pub parts: Vec<Listed>,
    pub condition: Condition,
    /// The whole object's checksum as the client states it, raw bytes (of a composite one without `-<parts>`).
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
    /// `x-amz-checksum-type`, if stated: must be the upload's.
    pub kind: Option<ChecksumKind>,
    /// `x-amz-mp-object-size`.
    pub len: Option<u64>,
}

/// A part as the client lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub number: u16,
    /// `None` when it cannot be a part's ETag: then the part is invalid.
    pub etag: Option<Etag>,
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub etag: Etag,
    pub len: u64,
    pub checksum: Option<Checksum>,
}

/// # Errors
/// `NoSuchUpload`, `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall`, `EntityTooLarge`, `BadDigest`, `PreconditionFailed`;
/// [`OpError::MalformedXml`] when no part is listed.
pub async fn run(cell: &Cell, caller: &Caller, request: Request) -> Result<Response, OpError> {
    if request.parts.is_empty() || request.parts.len() > usize::from(PART_NUMBER_MAX) {
        return Err(OpError::MalformedXml("1 to 10,000 parts are listed"));
    }
    let target = bucket::for_write(cell, caller, Call::CompleteMultipartUpload, &request.bucket).await?;
    let agreed = match uploads::find(cell, caller, &target, &request.key, request.upload).await {
        Ok(upload) => agree(&request, upload.checksum)?,
        // Completed by this very request, repeated, or not there at all: the index knows.
        Err(OpError::Refused(Refusal::NoSuchUpload)) => agree(&request, None)?,
        Err(error) => return Err(error),
    };
    let command = |bucket| {
        Command::CompleteUpload(CompleteUpload {
            bucket,
            key: request.key.clone(),
            upload: request.upload,
            condition: request.condition.clone(),
            listed: agreed.listed.clone(),
            checksum: agreed.checksum.clone(),
            len: request.len,
        })
    };
    match target.execute(cell, caller, caller.request, caller.deadline, command).await? {
        Done::UploadCompleted { etag, checksum, len, .. } => Ok(Response { etag, len, checksum }),
        other => Err(unexpected(&other)),
    }
}

/// What of the request goes into the command: raw values, their algorithm being the upload's.
#[derive(Debug)]
struct Agreed {
    listed: Vec<ListedPart>,
    checksum: Option<Vec<u8>>,
}

/// Checks the request's algorithms and kind against the upload's. Of an upload without a checksum, those of the request say nothing. Pure.
fn agree(request: &Request, upload: Option<(ChecksumAlgorithm, ChecksumKind)>) -> Result<Agreed, OpError> {
    let Some((algorithm, kind)) = upload else {
        let listed = request.parts.iter().map(|part| list(part, None)).collect::<Result<_, _>>()?;
        return Ok(Agreed { listed, checksum: None });
    };
    if request.kind.is_some_and(|stated| stated != kind) {
        return Err(OpError::InvalidRequest("The checksum type is not the one the upload was created with."));
    }
    let checksum = match &request.checksum {
        Some((stated, _)) if *stated != algorithm => {
            return Err(OpError::InvalidRequest("The checksum is of another algorithm than the upload's."));
        }
        Some((_, value)) => Some(value.clone()),
        None => None,
    };
    let listed = request.parts.iter().map(|part| list(part, Some(algorithm))).collect::<Result<_, _>>()?;
    Ok(Agreed { listed, checksum })
}

fn list(part: &Listed, algorithm: Option<ChecksumAlgorithm>) -> Result<ListedPart, OpError> {
    let number = part.number;
    let invalid = || OpError::from(Refusal::InvalidPart { number });
    let etag = part.etag.filter(|etag| etag.parts.is_none()).ok_or_else(invalid)?;
    let checksum = match (&part.checksum, algorithm) {
        (Some((stated, value)), Some(algorithm)) if *stated == algorithm => Some(value.clone()),
        (Some(_), Some(_)) => return Err(invalid()),
        (Some(_), None) | (None, _) => None,
    };
    Ok(ListedPart { number, md5: etag.md5, checksum })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRC32: ChecksumAlgorithm = ChecksumAlgorithm::Crc32;

    fn request(part: Listed) -> Request {
        Request {
            bucket: "b".into(),
            key: "k".into(),
            upload: UploadId(1),
            parts: vec![part],
            condition: Condition::default(),
            checksum: None,
            kind: None,
            len: None,
        }
    }

    fn part(checksum: Option<(ChecksumAlgorithm, Vec<u8>)>) -> Listed {
        Listed { number: 3, etag: Some(Etag { md5: [1; 16], parts: None }), checksum }
    }

    #[test]
    fn a_part_of_the_uploads_algorithm_is_listed_with_its_value() {
        let agreed =
            agree(&request(part(Some((CRC32, vec![9])))), Some((CRC32, ChecksumKind::Composite))).expect("agrees");
        assert_eq!(agreed.listed, [ListedPart { number: 3, md5: [1; 16], checksum: Some(vec![9]) }]);
    }

    #[test]
    fn a_part_of_another_algorithm_or_without_an_etag_is_invalid() {
        let other = request(part(Some((ChecksumAlgorithm::Sha1, vec![9]))));
        let no_etag = request(Listed { etag: None, ..part(None) });
        for request in [other, no_etag] {
            let refused = agree(&request, Some((CRC32, ChecksumKind::Composite)));
            assert!(matches!(refused, Err(OpError::Refused(Refusal::InvalidPart { number: 3 }))), "{refused:?}");
        }
    }

    #[test]
    fn checksums_of_an_upload_without_one_are_left_aside() {
        let mut request = request(part(Some((CRC32, vec![9]))));
        request.checksum = Some((CRC32, vec![8]));
        let agreed = agree(&request, None).expect("nothing to disagree with");
        assert_eq!((agreed.listed[0].checksum.as_ref(), agreed.checksum), (None, None));
    }

    #[test]
    fn another_kind_than_the_uploads_is_refused() {
        let request = Request { kind: Some(ChecksumKind::FullObject), ..request(part(None)) };
        let refused = agree(&request, Some((CRC32, ChecksumKind::Composite)));
        assert!(matches!(refused, Err(OpError::InvalidRequest(_))));
    }
}
