//! What a signed request may not contain: names, query parameters and headers that would be ignored although they matter.
//!
//! Pure. A parameter or header that asks for something not built is refused by name, never passed over.

use super::{
    calls::{S3Op, SELECTORS},
    stated::text,
};
use bulkhead_model::names::check_bucket_name;
use http::HeaderMap;
use s3s::{S3Result, path::S3Path, s3_error};

/// Checks the bucket's name. Its rules are those for new buckets: no other bucket can exist.
///
/// # Errors
/// `InvalidBucketName`
pub fn names(path: &S3Path) -> S3Result<()> {
    match path.get_bucket_name().map(check_bucket_name) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(why)) => Err(s3_error!(InvalidBucketName, "The specified bucket is not valid: {why}.")),
    }
}

/// Checks the query against what the call understands. Parameters that S3 does not know are ignored, as S3 does.
///
/// # Errors
/// `NotImplemented` or `InvalidArgument`, naming the parameter.
pub fn query(op: S3Op, query: &[(String, String)]) -> S3Result<()> {
    for (at, (name, value)) in query.iter().enumerate() {
        if !SELECTORS.contains(&name.as_str()) {
            continue;
        }
        if query[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(s3_error!(InvalidArgument, "The query parameter {name} is there twice."));
        }
        if !op.selectors().contains(&name.as_str()) {
            return Err(misplaced(op, name));
        }
        match name.as_str() {
            "versionId" => version(value)?,
            "partNumber" => part_number(value)?,
            _ => {}
        }
    }
    Ok(())
}

fn misplaced(op: S3Op, name: &str) -> s3s::S3Error {
    match name {
        "versionId" => s3_error!(InvalidArgument, "{} does not accept a version-id.", op.name()),
        "partNumber" | "uploadId" => s3_error!(InvalidArgument, "{} does not accept {name} like this.", op.name()),
        "list-type" => s3_error!(InvalidArgument, "Invalid List Type specified in Request"),
        _ => s3_error!(NotImplemented, "The query parameter {name} is not implemented for {}.", op.name()),
    }
}

/// Without versioning every object has the one version `null`.
pub fn version(id: &str) -> S3Result<()> {
    match id {
        "null" => Ok(()),
        "" => Err(s3_error!(InvalidArgument, "Version id cannot be the empty string")),
        _ => Err(s3_error!(InvalidArgument, "Invalid version id specified")),
    }
}

fn part_number(text: &str) -> S3Result<()> {
    match text.parse::<u16>() {
        Ok(number) if (1..=crate::limits::PART_NUMBER_MAX).contains(&number) => Ok(()),
        Ok(_) | Err(_) => Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and {}, inclusive",
            crate::limits::PART_NUMBER_MAX
        )),
    }
}

/// Checks the headers.
///
/// # Errors
/// `NotImplemented`, `InvalidArgument` and the like, naming the header.
pub fn headers(op: S3Op, headers: &HeaderMap) -> S3Result<()> {
    for name in headers.keys() {
        let name = name.as_str();
        if NEVER.iter().any(|(prefix, exact)| if *exact { name == *prefix } else { name.starts_with(prefix) }) {
            return Err(s3_error!(NotImplemented, "The header {name} is not implemented."));
        }
    }
    for (name, allowed) in ONLY {
        if let Some(value) = text(headers, name)?
            && !allowed.contains(&value)
        {
            return Err(s3_error!(NotImplemented, "The header {name} is implemented for {} only.", allowed.join(", ")));
        }
    }
    if let Some(class) = text(headers, "x-amz-storage-class")?
        && class != "STANDARD"
    {
        return Err(s3_error!(
            InvalidStorageClass,
            "The storage class you specified is not valid: there is STANDARD only."
        ));
    }
    if headers.contains_key("x-amz-security-token") {
        return Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."));
    }
    conditions(op, headers)
}

/// Headers that are refused whatever they say: a name, and whether it is the whole name or how names begin.
const NEVER: &[(&str, bool)] = &[
    ("x-amz-server-side-encryption", false),
    ("x-amz-copy-source-server-side-encryption", false),
    ("x-amz-object-lock-", false),
    ("x-amz-grant-", false),
    ("x-amz-tagging", true),
    ("x-amz-write-offset-bytes", true),
    ("x-amz-rename-source", false),
    ("x-amz-if-match-last-modified-time", true),
    ("x-amz-if-match-size", true),
];

/// Headers of which some values ask for what is the case anyway.
const ONLY: &[(&str, &[&str])] = &[
    ("x-amz-acl", &["private", "bucket-owner-full-control", "bucket-owner-read"]),
    ("x-amz-bucket-object-lock-enabled", &["false", "False"]),
    ("x-amz-bypass-governance-retention", &["false", "False"]),
    ("x-amz-object-ownership", &["BucketOwnerEnforced"]),
    ("x-amz-tagging-directive", &["COPY", "REPLACE"]),
    ("x-amz-metadata-directive", &["COPY", "REPLACE"]),
    ("x-amz-checksum-mode", &["ENABLED"]),
];

/// A condition on a write that the call does not evaluate must not be ignored.
fn conditions(op: S3Op, headers: &HeaderMap) -> S3Result<()> {
    if !op.action().writes() {
        return Ok(());
    }
    let evaluated: &[&str] = match op {
        S3Op::PutObject | S3Op::CompleteMultipartUpload | S3Op::CopyObject => &["if-match", "if-none-match"],
        S3Op::DeleteObject => &["if-match"],
        _ => &[],
    };
    for name in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"] {
        if headers.contains_key(name) && !evaluated.contains(&name) {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented: {name} on {}.",
                op.name()
            ));
        }
    }
    match text(headers, "if-none-match")? {
        None | Some("*") => Ok(()),
        Some(_) => Err(s3_error!(
            NotImplemented,
            "A header you provided implies functionality that is not implemented: If-None-Match on a write takes * only."
        )),
    }
}

/// Whether the bucket's owner is who the client expects. The owner is the signer: nobody else is let in.
///
/// # Errors
/// `AccessDenied`
pub fn expected_owner(signer: bulkhead_model::AccountId, headers: &HeaderMap) -> S3Result<()> {
    for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
        if let Some(expected) = text(headers, name)?
            && expected != signer.to_string()
        {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn check_query(op: S3Op, text: &str) -> Option<String> {
        let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        query(op, &pairs).err().map(|error| error.code().as_str().to_owned())
    }

    fn check_header(op: S3Op, name: &'static str, value: &'static str) -> Option<String> {
        let map = [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect();
        headers(op, &map).err().map(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn what_a_call_understands_and_what_s3_does_not_know_passes() {
        for (op, text) in [
            (S3Op::ListObjects, "prefix=a&foo&x-id=ListObjects"),
            (S3Op::ListObjectsV2, "list-type=2&start-after=b"),
            (S3Op::GetObject, "versionId=null&partNumber=3"),
            (S3Op::UploadPart, "partNumber=1&uploadId=x"),
            (S3Op::DeleteObjects, "delete"),
        ] {
            assert_eq!(check_query(op, text), None, "{} {text}", op.name());
        }
    }

    #[test]
    fn a_parameter_that_means_another_call_is_refused() {
        for (op, text, code) in [
            (S3Op::PutObject, "tagging", "NotImplemented"),
            (S3Op::PutObject, "renameObject", "NotImplemented"),
            (S3Op::PutObject, "uploadId=x", "InvalidArgument"),
            (S3Op::PutObject, "partNumber=1", "InvalidArgument"),
            (S3Op::PutObject, "versionId=null", "InvalidArgument"),
            (S3Op::ListObjects, "list-type=3", "InvalidArgument"),
            (S3Op::ListObjects, "delete", "NotImplemented"),
            (S3Op::DeleteBucket, "abac", "NotImplemented"),
            (S3Op::HeadBucket, "policy", "NotImplemented"),
            (S3Op::GetObject, "versionId=", "InvalidArgument"),
            (S3Op::GetObject, "versionId=abc", "InvalidArgument"),
            (S3Op::GetObject, "partNumber=0", "InvalidArgument"),
            (S3Op::GetObject, "partNumber=10001", "InvalidArgument"),
            (S3Op::UploadPart, "partNumber=1&uploadId=x&uploadId=y", "InvalidArgument"),
        ] {
            assert_eq!(check_query(op, text).as_deref(), Some(code), "{} {text}", op.name());
        }
    }

    #[test]
    fn a_header_that_asks_for_what_is_not_built_is_refused_by_name() {
        for (name, value, code) in [
            ("x-amz-server-side-encryption", "AES256", "NotImplemented"),
            ("x-amz-server-side-encryption-customer-key", "a", "NotImplemented"),
            ("x-amz-copy-source-server-side-encryption-customer-key", "a", "NotImplemented"),
            ("x-amz-object-lock-mode", "GOVERNANCE", "NotImplemented"),
            ("x-amz-grant-read", "id=1", "NotImplemented"),
            ("x-amz-tagging", "a=b", "NotImplemented"),
            ("x-amz-acl", "public-read", "NotImplemented"),
            ("x-amz-storage-class", "GLACIER", "InvalidStorageClass"),
            ("x-amz-bucket-object-lock-enabled", "true", "NotImplemented"),
            ("x-amz-write-offset-bytes", "5", "NotImplemented"),
            ("x-amz-security-token", "t", "InvalidToken"),
            ("if-none-match", "\"abc\"", "NotImplemented"),
            ("if-unmodified-since", "Wed, 21 Oct 2015 07:28:00 GMT", "NotImplemented"),
        ] {
            assert_eq!(check_header(S3Op::PutObject, name, value).as_deref(), Some(code), "{name}");
        }
    }

    #[test]
    fn headers_that_ask_for_what_is_the_case_pass() {
        for (name, value) in [
            ("x-amz-acl", "private"),
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-tagging-directive", "COPY"),
            ("if-none-match", "*"),
            ("if-match", "\"abc\""),
        ] {
            assert_eq!(check_header(S3Op::PutObject, name, value), None, "{name}");
        }
    }

    #[test]
    fn a_condition_that_a_write_does_not_evaluate_is_refused() {
        for op in [S3Op::UploadPart, S3Op::CreateMultipartUpload, S3Op::DeleteObjects, S3Op::CreateBucket] {
            assert_eq!(check_header(op, "if-match", "\"a\"").as_deref(), Some("NotImplemented"), "{}", op.name());
        }
        assert_eq!(check_header(S3Op::DeleteObject, "if-none-match", "*").as_deref(), Some("NotImplemented"));
        assert_eq!(check_header(S3Op::GetObject, "if-modified-since", "x"), None);
    }

    #[test]
    fn a_bucket_name_that_cannot_exist_is_refused() {
        assert!(names(&S3Path::bucket("good-name")).is_ok());
        for bad in ["ab", "Upper", "a..b", "192.168.0.1", ""] {
            let error = names(&S3Path::object(bad, "key")).expect_err("refused");
            assert_eq!(error.code().as_str(), "InvalidBucketName", "{bad}");
        }
    }
}
