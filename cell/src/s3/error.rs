//! One S3 error for each reason why a call was not done: code, status, message.
//!
//! The maps are exhaustive, without `_`: a new reason must be given its answer here before it compiles.

use crate::{
    admit::Refused,
    meta::command::Refusal,
    ops::{OpError, body::BodyError, checksum, error::Digest, etag},
};
use bulkhead_model::headers;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use s3s::{S3Error, S3ErrorCode};
use std::borrow::Cow;

/// What the client gets.
struct Answer {
    code: S3ErrorCode,
    /// When the code does not say it.
    status: Option<StatusCode>,
    message: Cow<'static, str>,
    headers: Vec<(HeaderName, String)>,
}

impl Answer {
    fn new(code: S3ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, status: None, message: message.into(), headers: Vec::new() }
    }

    /// A code that S3's documentation has and s3s does not.
    fn custom(code: &'static str, status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: Some(status), ..Self::new(S3ErrorCode::Custom(code.into()), message) }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The router may send the request to another node.
    fn not_executed(self) -> Self {
        self.with(HeaderName::from_static(headers::NOT_EXECUTED), "1")
    }
}

/// The S3 error for a call that was not done.
pub fn respond(error: OpError) -> S3Error {
    let answer = answer(&error);
    let mut response = S3Error::with_message(answer.code, answer.message);
    if let Some(status) = answer.status {
        response.set_status_code(status);
    }
    let mut map = HeaderMap::new();
    for (name, value) in answer.headers {
        // Figures and dates; a value that is no header says nothing a client needs.
        if let Ok(value) = HeaderValue::try_from(value) {
            map.insert(name, value);
        }
    }
    response.set_headers(map);
    response.set_source(Box::new(error));
    response
}

impl From<Refused> for S3Error {
    fn from(refused: Refused) -> Self {
        respond(refused.into())
    }
}

fn answer(error: &OpError) -> Answer {
    match error {
        OpError::Refused(refusal) => refused(refusal),
        OpError::AccessDenied => access_denied(),
        OpError::NotModified { etag, modified } => Answer::new(S3ErrorCode::NotModified, "Not Modified")
            .with(header::ETAG, format!("\"{}\"", etag::show(etag)))
            .with(header::LAST_MODIFIED, super::convert::http_date(*modified)),
        OpError::ReadConditionFailed(condition) => Answer::new(
            S3ErrorCode::PreconditionFailed,
            format!("At least one of the pre-conditions you specified did not hold: {condition}"),
        ),
        OpError::InvalidRange { len } => {
            Answer::new(S3ErrorCode::InvalidRange, "The requested range is not satisfiable")
                .with(header::CONTENT_RANGE, format!("bytes */{len}"))
        }
        OpError::InvalidPartNumber { .. } => Answer::custom(
            "InvalidPartNumber",
            StatusCode::RANGE_NOT_SATISFIABLE,
            "The requested partnumber is not satisfiable",
        ),
        OpError::BadDigest(digest) => bad_digest(*digest),
        OpError::IncompleteBody { .. } => Answer::new(
            S3ErrorCode::IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header.",
        ),
        OpError::BodyLongerThanDeclared { .. } => Answer::new(
            S3ErrorCode::IncompleteBody,
            "You provided more bytes than specified by the Content-Length HTTP header.",
        ),
        OpError::Body(fault) => body_fault(fault),
        OpError::KeyTooLong { .. } => Answer::new(S3ErrorCode::KeyTooLongError, "Your key is too long"),
        OpError::MetadataTooLarge { .. } => {
            Answer::new(S3ErrorCode::MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size")
        }
        OpError::InvalidBucketName(why) => {
            Answer::new(S3ErrorCode::InvalidBucketName, format!("The specified bucket is not valid: {why}."))
        }
        OpError::InvalidArgument { .. } => Answer::new(S3ErrorCode::InvalidArgument, error.to_string()),
        OpError::InvalidRequest(why) => Answer::new(S3ErrorCode::InvalidRequest, *why),
        OpError::MalformedXml(why) => Answer::new(
            S3ErrorCode::MalformedXML,
            format!("The XML you provided was not well-formed or did not validate against our published schema: {why}"),
        ),
        OpError::NamesUnavailable(_) => unavailable("Bucket names cannot be claimed at the moment. Please try again."),
        OpError::SlowDown(_) => Answer::new(S3ErrorCode::SlowDown, "Please reduce your request rate.")
            .with(header::RETRY_AFTER, "1")
            .not_executed(),
        // Not for a router to try elsewhere: retries of one account would use up what its neighbours may retry.
        OpError::Overloaded(_) => Answer::new(S3ErrorCode::SlowDown, "Please reduce your request rate.")
            .with(header::RETRY_AFTER, "1"),
        // Not for a router to try elsewhere, again and again until the client has gone: it is the cell that is full.
        OpError::DiskFull => Answer::new(
            S3ErrorCode::SlowDown,
            "The disks of the cell that holds this bucket are full: nothing can be written until space is given back. Reading, \
             listing and deleting work.",
        )
        .with(header::RETRY_AFTER, "30"),
        OpError::NotExecuted(_) => unavailable("Service is unable to handle request.").not_executed(),
        OpError::Unknown(_) => unavailable("The outcome of the request is not known. It may have been carried out.")
            .with(HeaderName::from_static(headers::OUTCOME_UNKNOWN), "1"),
        OpError::Internal(_) => internal(),
    }
}

fn refused(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Moved { current } => {
            Answer::custom("Moved", StatusCode::MISDIRECTED_REQUEST, "The account is not served here under this epoch.")
                .with(HeaderName::from_static(headers::MOVED), current.to_string())
        }
        Refusal::NoSuchAccount => access_denied(),
        // Answers to the admin API's commands; a tenant's call cannot get them.
        Refusal::AccountNotEmpty { .. } | Refusal::KeyOfAnotherAccount | Refusal::TooManyKeys { .. } => internal(),
        Refusal::BucketAlreadyOwnedByYou => Answer::new(
            S3ErrorCode::BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it.",
        ),
        Refusal::BucketAlreadyExists => Answer::new(
            S3ErrorCode::BucketAlreadyExists,
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. \
             Please select a different name and try again.",
        ),
        Refusal::ClaimFenced => Answer::new(
            S3ErrorCode::OperationAborted,
            "A conflicting conditional operation is currently in progress against this resource. Please try again.",
        ),
        Refusal::NoSuchBucket => Answer::new(S3ErrorCode::NoSuchBucket, "The specified bucket does not exist"),
        Refusal::BucketNotEmpty => {
            Answer::new(S3ErrorCode::BucketNotEmpty, "The bucket you tried to delete is not empty")
        }
        Refusal::NoSuchKey => Answer::new(S3ErrorCode::NoSuchKey, "The specified key does not exist."),
        Refusal::PreconditionFailed => Answer::new(
            S3ErrorCode::PreconditionFailed,
            "At least one of the pre-conditions you specified did not hold",
        ),
        Refusal::EpochClosed { .. } | Refusal::TooManyRecent { .. } => {
            unavailable("Service is unable to handle request.").not_executed()
        }
        Refusal::NoSuchUpload => Answer::new(
            S3ErrorCode::NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
        ),
        Refusal::InvalidPart { number } => invalid_part(*number),
        Refusal::InvalidPartOrder => Answer::new(
            S3ErrorCode::InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        ),
        Refusal::EntityTooSmall { .. } => Answer::new(
            S3ErrorCode::EntityTooSmall,
            format!("Your proposed upload is smaller than the minimum allowed size: {refusal}."),
        ),
        Refusal::EntityTooLarge { len, max } => Answer::new(
            S3ErrorCode::EntityTooLarge,
            format!("Your proposed upload exceeds the maximum allowed size: {len} bytes, at most {max} are allowed."),
        ),
        Refusal::BadDigest => Answer::new(
            S3ErrorCode::BadDigest,
            "The checksum or size you specified is not that of the parts put together.",
        ),
        // Not a 5xx that clients repeat: repeating cannot help.
        Refusal::CellFull { .. } => {
            Answer::custom("InsufficientStorage", StatusCode::INSUFFICIENT_STORAGE, refusal.to_string())
        }
        // As other stores with quotas say it.
        Refusal::AccountFull { .. } => Answer::custom("QuotaExceeded", StatusCode::FORBIDDEN, refusal.to_string()),
        Refusal::TooManyBuckets { .. } => Answer::new(
            S3ErrorCode::TooManyBuckets,
            format!("You have attempted to create more buckets than allowed: {refusal}"),
        ),
        Refusal::TooManyDeletes { .. } => Answer::new(S3ErrorCode::MalformedXML, refusal.to_string()),
        Refusal::TooManyUploads { .. } => {
            Answer::new(S3ErrorCode::InvalidRequest, format!("There are too many uploads in progress: {refusal}"))
        }
    }
}

fn invalid_part(number: u16) -> Answer {
    Answer::new(
        S3ErrorCode::InvalidPart,
        format!(
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified \
             entity tag may not match the part's entity tag. (part {number})"
        ),
    )
}

fn bad_digest(digest: Digest) -> Answer {
    match digest {
        Digest::ContentMd5 => {
            Answer::new(S3ErrorCode::BadDigest, "The Content-MD5 you specified did not match what we received.")
        }
        Digest::ContentSha256 => Answer::custom(
            "XAmzContentSHA256Mismatch",
            StatusCode::BAD_REQUEST,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
        Digest::Checksum(algorithm) => Answer::new(
            S3ErrorCode::BadDigest,
            format!("The {} you specified did not match the calculated checksum.", checksum::name(algorithm)),
        ),
    }
}

fn body_fault(fault: &BodyError) -> Answer {
    match fault {
        BodyError::Incomplete(_) => {
            Answer::new(S3ErrorCode::IncompleteBody, "The request body terminated unexpectedly")
        }
        BodyError::SignatureMismatch => Answer::new(
            S3ErrorCode::SignatureDoesNotMatch,
            "The chunk or trailer signature we calculated does not match the signature you provided.",
        ),
        BodyError::Malformed(why) => {
            Answer::new(S3ErrorCode::InvalidRequest, format!("The aws-chunked body is malformed: {why}."))
        }
        // Of a copy: its source's bytes.
        BodyError::Unreadable(_) => internal(),
        BodyError::TooSlow => Answer::new(
            S3ErrorCode::RequestTimeout,
            "Your socket connection to the server was not read from or written to within the timeout period.",
        ),
    }
}

fn access_denied() -> Answer {
    Answer::new(S3ErrorCode::AccessDenied, "Access Denied")
}

fn unavailable(message: &'static str) -> Answer {
    Answer::new(S3ErrorCode::ServiceUnavailable, message)
}

fn internal() -> Answer {
    Answer::new(S3ErrorCode::InternalError, "We encountered an internal error. Please try again.")
}

/// The message of an error that s3s made without one.
pub fn default_message(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our published schema",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "MissingRequestBodyError" => "Request Body is empty",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        }
        _ => "The request was refused.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        meta::{
            command::CapacityDimension,
            record::{BlobId, ChecksumAlgorithm, Etag, UploadEpoch},
        },
        ops::conditions::ReadCondition,
    };
    use bulkhead_model::{Epoch, Timestamp};

    fn code_and_status(error: OpError) -> (String, u16) {
        let response = respond(error);
        (response.code().as_str().to_owned(), response.status_code().expect("every code has a status").as_u16())
    }

    #[test]
    fn each_refusal_has_its_code_and_status() {
        let blob = BlobId { epoch: UploadEpoch(1), number: 1 };
        for (refusal, code, status) in [
            (Refusal::Moved { current: Epoch(3) }, "Moved", 421),
            (Refusal::NoSuchAccount, "AccessDenied", 403),
            (Refusal::AccountNotEmpty { buckets: 1 }, "InternalError", 500),
            (Refusal::KeyOfAnotherAccount, "InternalError", 500),
            (Refusal::BucketAlreadyOwnedByYou, "BucketAlreadyOwnedByYou", 409),
            (Refusal::BucketAlreadyExists, "BucketAlreadyExists", 409),
            (Refusal::ClaimFenced, "OperationAborted", 409),
            (Refusal::NoSuchBucket, "NoSuchBucket", 404),
            (Refusal::BucketNotEmpty, "BucketNotEmpty", 409),
            (Refusal::NoSuchKey, "NoSuchKey", 404),
            (Refusal::PreconditionFailed, "PreconditionFailed", 412),
            (Refusal::EpochClosed { blob }, "ServiceUnavailable", 503),
            (Refusal::NoSuchUpload, "NoSuchUpload", 404),
            (Refusal::InvalidPart { number: 2 }, "InvalidPart", 400),
            (Refusal::InvalidPartOrder, "InvalidPartOrder", 400),
            (Refusal::EntityTooSmall { number: 1, len: 1, min: 2 }, "EntityTooSmall", 400),
            (Refusal::EntityTooLarge { len: 2, max: 1 }, "EntityTooLarge", 400),
            (Refusal::BadDigest, "BadDigest", 400),
            (Refusal::CellFull { what: CapacityDimension::Bytes, used: 1, max: 1 }, "InsufficientStorage", 507),
            (Refusal::AccountFull { what: CapacityDimension::Bytes, used: 1, max: 1 }, "QuotaExceeded", 403),
            (Refusal::TooManyBuckets { used: 1, max: 1 }, "TooManyBuckets", 400),
            (Refusal::TooManyUploads { used: 1, max: 1 }, "InvalidRequest", 400),
            (Refusal::TooManyDeletes { keys: 2, max: 1 }, "MalformedXML", 400),
            (Refusal::TooManyRecent { max: 1 }, "ServiceUnavailable", 503),
        ] {
            assert_eq!(code_and_status(OpError::Refused(refusal)), (code.to_owned(), status));
        }
    }

    #[test]
    fn each_other_error_has_its_code_and_status() {
        let etag = Etag { md5: [0; 16], parts: None };
        for (error, code, status) in [
            (OpError::AccessDenied, "AccessDenied", 403),
            (OpError::NotModified { etag, modified: Timestamp(0) }, "NotModified", 304),
            (OpError::ReadConditionFailed(ReadCondition::IfMatch), "PreconditionFailed", 412),
            (OpError::InvalidRange { len: 1 }, "InvalidRange", 416),
            (OpError::InvalidPartNumber { number: 2, parts: 1 }, "InvalidPartNumber", 416),
            (OpError::BadDigest(Digest::ContentMd5), "BadDigest", 400),
            (OpError::BadDigest(Digest::ContentSha256), "XAmzContentSHA256Mismatch", 400),
            (OpError::BadDigest(Digest::Checksum(ChecksumAlgorithm::Crc32)), "BadDigest", 400),
            (OpError::IncompleteBody { declared: 2, received: 1 }, "IncompleteBody", 400),
            (OpError::BodyLongerThanDeclared { declared: 1 }, "IncompleteBody", 400),
            (OpError::Body(BodyError::Incomplete(String::new())), "IncompleteBody", 400),
            (OpError::Body(BodyError::SignatureMismatch), "SignatureDoesNotMatch", 403),
            (OpError::Body(BodyError::Malformed(String::new())), "InvalidRequest", 400),
            (OpError::Body(BodyError::TooSlow), "RequestTimeout", 400),
            (OpError::Body(BodyError::Unreadable(String::new())), "InternalError", 500),
            (OpError::KeyTooLong { len: 2, max: 1 }, "KeyTooLongError", 400),
            (OpError::MetadataTooLarge { len: 2, max: 1 }, "MetadataTooLarge", 400),
            (OpError::InvalidBucketName(String::new()), "InvalidBucketName", 400),
            (OpError::InvalidArgument { name: "a", value: String::new(), why: "b" }, "InvalidArgument", 400),
            (OpError::InvalidRequest("a"), "InvalidRequest", 400),
            (OpError::MalformedXml("a"), "MalformedXML", 400),
            (OpError::NamesUnavailable(String::new()), "ServiceUnavailable", 503),
            (OpError::SlowDown("a"), "SlowDown", 503),
            (OpError::Overloaded("a"), "SlowDown", 503),
            (OpError::DiskFull, "SlowDown", 503),
            (OpError::NotExecuted(String::new()), "ServiceUnavailable", 503),
            (OpError::Unknown(String::new()), "ServiceUnavailable", 503),
            (OpError::Internal(String::new()), "InternalError", 500),
        ] {
            assert_eq!(code_and_status(error), (code.to_owned(), status));
        }
    }

    #[test]
    fn a_full_disk_is_told_as_such_and_what_still_works() {
        let response = respond(OpError::DiskFull);
        let message = response.message().expect("it has one");
        for said in ["disks", "full", "written", "Reading", "deleting"] {
            assert!(message.contains(said), "{said:?} is not in {message:?}");
        }
    }

    #[test]
    fn only_what_was_certainly_not_executed_says_so() {
        let says_so = |error| respond(error).headers().is_some_and(|map| map.contains_key(headers::NOT_EXECUTED));
        assert!(says_so(OpError::SlowDown("a")));
        assert!(!says_so(OpError::Overloaded("a")), "one account's retries would be all of the cell's");
        assert!(!says_so(OpError::DiskFull), "a router would go on trying until the client has gone");
        assert!(says_so(OpError::NotExecuted(String::new())));
        assert!(!says_so(OpError::Unknown(String::new())));
        assert!(!says_so(OpError::Internal(String::new())));
    }

    #[test]
    fn only_an_unknown_outcome_may_be_settled_by_a_repetition() {
        let says_so = |error| respond(error).headers().is_some_and(|map| map.contains_key(headers::OUTCOME_UNKNOWN));
        assert!(says_so(OpError::Unknown(String::new())));
        assert!(!says_so(OpError::NotExecuted(String::new())));
        assert!(!says_so(OpError::Internal(String::new())));
    }

    #[test]
    fn a_move_names_the_epoch() {
        let response = respond(OpError::Refused(Refusal::Moved { current: Epoch(3) }));
        assert_eq!(response.headers().and_then(|map| map.get(headers::MOVED)).expect("named"), "3");
    }
}
