//! GetObject and HeadObject.

use super::{
    Api, Reply, Request, StatusOverride,
    caller::context,
    convert,
    error::respond,
    headers::{Wanted, object_headers},
};
use crate::ops::{get_object, head_object, read::ObjectHead};
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use http_body::Frame;
use http_body_util::StreamBody;
use s3s::{Body, S3Response, S3Result, dto, s3_error};
use std::ops::Range;

/// A read of a whole object without conditions.
pub fn plain(bucket: &str, key: &str) -> get_object::Request {
    get_object::Request {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        range: None,
        part_number: None,
        conditions: crate::ops::conditions::ReadConditions::default(),
    }
}

/// GetObject's and HeadObject's inputs have the same fields.
macro_rules! asked {
    ($input:expr) => {{
        let input = $input;
        if input.range.is_some() && input.part_number.is_some() {
            return Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter"));
        }
        get_object::Request {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            range: input.range.map(convert::range),
            // The query was checked: 1 to 10,000.
            part_number: input.part_number.and_then(|number| u16::try_from(number).ok()),
            conditions: convert::read_conditions(
                input.if_match.as_ref(),
                input.if_none_match.as_ref(),
                input.if_modified_since.clone(),
                input.if_unmodified_since.clone(),
            ),
        }
    }};
}

pub async fn get_object(api: &Api, request: Request<dto::GetObjectInput>) -> Reply<dto::GetObjectOutput> {
    let caller = context(&request)?.caller()?;
    let asked = asked!(&request.input);
    let part = asked.part_number.is_some();
    let found = get_object::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let mode = request.input.checksum_mode.is_some();
    let answer = Answer { head: &found.head, range: found.range.as_ref(), len: found.len, part, mode };
    let (status, headers) = answer.headers(&request.uri)?;
    let frames = StreamBody::new(found.body.map(|piece| piece.map(Frame::data)));
    let body = Body::http_body_unsync(frames).into();
    Ok(response(dto::GetObjectOutput { body: Some(body), ..dto::GetObjectOutput::default() }, status, headers))
}

pub async fn head_object(api: &Api, request: Request<dto::HeadObjectInput>) -> Reply<dto::HeadObjectOutput> {
    let caller = context(&request)?.caller()?;
    let asked = asked!(&request.input);
    let part = asked.part_number.is_some();
    let found = head_object::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let mode = request.input.checksum_mode.is_some();
    let answer = Answer { head: &found.head, range: found.range.as_ref(), len: found.len, part, mode };
    let (status, headers) = answer.headers(&request.uri)?;
    Ok(response(dto::HeadObjectOutput::default(), status, headers))
}

fn response<T>(output: T, status: StatusCode, headers: HeaderMap) -> S3Response<T> {
    let mut response = S3Response::with_headers(output, headers);
    response.extensions.insert(StatusOverride(status));
    response
}

/// What an answer tells, with or without a body.
struct Answer<'a> {
    head: &'a ObjectHead,
    range: Option<&'a Range<u64>>,
    len: u64,
    /// `?partNumber=`
    part: bool,
    /// `x-amz-checksum-mode: ENABLED`
    mode: bool,
}

impl Answer<'_> {
    fn headers(&self, uri: &Uri) -> S3Result<(StatusCode, HeaderMap)> {
        // A client that gets a checksum verifies the body with it, so it must be the body's.
        let whole = self.len == self.head.len;
        let wanted = Wanted { checksum: self.mode && (whole || self.part), part: self.part };
        let mut headers = object_headers(self.head, wanted, uri)?;
        headers.insert(header::CONTENT_LENGTH, self.len.into());
        let Some(range) = self.range.filter(|range| !range.is_empty()) else { return Ok((StatusCode::OK, headers)) };
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, self.head.len);
        let value = HeaderValue::try_from(text).map_err(|_| s3_error!(InternalError))?;
        headers.insert(header::CONTENT_RANGE, value);
        Ok((StatusCode::PARTIAL_CONTENT, headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::record::{Checksum, ChecksumAlgorithm, ChecksumKind, ContentHeaders, Etag};
    use bulkhead_model::Timestamp;

    fn head() -> ObjectHead {
        let checksum =
            Checksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::FullObject, value: vec![0, 0, 0, 1] };
        ObjectHead {
            len: 10,
            etag: Etag { md5: [1; 16], parts: None },
            modified: Timestamp(0),
            checksum: Some(checksum),
            headers: ContentHeaders::default(),
            parts: None,
        }
    }

    fn answer(range: Option<Range<u64>>, len: u64) -> (StatusCode, HeaderMap) {
        let head = head();
        let answer = Answer { head: &head, range: range.as_ref(), len, part: false, mode: true };
        answer.headers(&Uri::from_static("/b/k")).expect("valid")
    }

    #[test]
    fn a_whole_object_is_200_with_its_checksum() {
        let (status, headers) = answer(None, 10);
        assert_eq!((status, &headers[header::CONTENT_LENGTH]), (StatusCode::OK, &HeaderValue::from(10)));
        assert!(headers.contains_key("x-amz-checksum-crc32") && !headers.contains_key(header::CONTENT_RANGE));
    }

    #[test]
    fn a_range_is_206_and_says_which_without_the_checksum_of_the_whole() {
        let (status, headers) = answer(Some(2..5), 3);
        assert_eq!(
            (status, &headers[header::CONTENT_RANGE]),
            (StatusCode::PARTIAL_CONTENT, &HeaderValue::from_static("bytes 2-4/10"))
        );
        assert!(!headers.contains_key("x-amz-checksum-crc32"));
    }
}
