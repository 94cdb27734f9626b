//! PutObject, and the bodies that it shares with UploadPart.

use super::{
    Api, Reply, Request,
    caller::{RequestCx, context},
    convert,
    error::respond,
    front,
    headers::{content_headers, put_checksum},
    stated::Stated,
};
use crate::{
    limits::PART_BYTES_MAX,
    meta::{command::Refusal, record::Checksum},
    ops::{OpError, body::Body, put_object},
};
use s3s::{S3Response, S3Result, dto, s3_error};

pub async fn put_object(api: &Api, request: Request<dto::PutObjectInput>) -> Reply<dto::PutObjectOutput> {
    let cx = context(&request)?;
    let caller = cx.caller()?;
    let headers = front::effective_headers(&request.headers, &request.uri)?;
    let body = body(&request, cx, Stated::read(&headers)?.with_default_checksum())?;
    let input = &request.input;
    let asked = put_object::Request {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        headers: content_headers(&headers)?,
        condition: convert::condition(input.if_match.as_ref(), input.if_none_match.as_ref()),
        body,
    };
    let put = put_object::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let output = dto::PutObjectOutput { e_tag: Some(convert::etag(&put.etag)), ..dto::PutObjectOutput::default() };
    with_checksum(output, put.checksum.as_ref())
}

/// The request's body as an object's bytes. Takes it; reads nothing yet.
///
/// # Errors
/// When no length is stated, or one that is too large.
pub fn body<T>(request: &Request<T>, cx: &RequestCx, stated: Stated) -> S3Result<Body> {
    let Some(len) = stated.len else {
        return Err(s3_error!(MissingContentLength, "You must provide the Content-Length HTTP header."));
    };
    if len > PART_BYTES_MAX {
        return Err(respond(OpError::Refused(Refusal::EntityTooLarge { len, max: PART_BYTES_MAX })));
    }
    let Some(credentials) = &request.credentials else { return Err(s3_error!(AccessDenied, "Access Denied")) };
    Ok(cx.body.clone().into_bytes(stated, &credentials.secret_key))
}

/// An answer that tells the checksum of what was stored.
///
/// # Errors
/// Never: a checksum is a header value.
pub fn with_checksum<T>(output: T, checksum: Option<&Checksum>) -> Reply<T> {
    let mut response = S3Response::new(output);
    if let Some(checksum) = checksum {
        put_checksum(&mut response.headers, checksum, None)?;
    }
    Ok(response)
}
