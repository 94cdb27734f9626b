//! The calls on buckets as such.

use super::{Api, Reply, Request, caller::context, convert, error::respond};
use crate::{
    meta::command::Refusal,
    ops::{OpError, create_bucket, delete_bucket, head_bucket, list_buckets},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{S3Response, S3Result, dto, s3_error};

/// Where a bucket is when nobody asked for a place.
const DEFAULT_REGION: &str = "us-east-1";
/// Bytes of a location constraint.
const REGION_BYTES_MAX: usize = 32;

pub async fn list_buckets(api: &Api, request: Request<dto::ListBucketsInput>) -> Reply<dto::ListBucketsOutput> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let max = match input.max_buckets {
        None => None,
        Some(max) => {
            let max = usize::try_from(max).ok().filter(|max| (1..=10_000).contains(max));
            Some(max.ok_or_else(|| {
                s3_error!(InvalidArgument, "Argument max-buckets must be an integer between 1 and 10000")
            })?)
        }
    };
    let asked = list_buckets::Request {
        prefix: input.prefix.clone(),
        after: input.continuation_token.as_deref().map(untoken).transpose()?,
        max,
    };
    let listed = list_buckets::run(&api.cell, &caller, asked).await.map_err(respond)?;
    let wanted = |location: &Option<String>| match &input.bucket_region {
        None => true,
        Some(region) => location.as_deref().unwrap_or(DEFAULT_REGION) == region,
    };
    let buckets = listed.buckets.into_iter().filter(|bucket| wanted(&bucket.location)).map(|bucket| dto::Bucket {
        name: Some(bucket.name),
        creation_date: Some(convert::timestamp(bucket.created)),
        // Told only when the client pages or filters, as S3 does.
        bucket_region: (max.is_some() || input.bucket_region.is_some())
            .then(|| bucket.location.unwrap_or_else(|| DEFAULT_REGION.to_owned())),
    });
    Ok(S3Response::new(dto::ListBucketsOutput {
        buckets: Some(buckets.collect()),
        owner: Some(convert::owner(&listed.owner)),
        continuation_token: listed.next.as_deref().map(token),
        prefix: input.prefix,
    }))
}

/// A name or key as an opaque continuation token.
pub fn token(after: &str) -> String {
    URL_SAFE_NO_PAD.encode(after)
}

/// The name or key in a continuation token.
///
/// # Errors
/// `InvalidArgument` when it is none of ours.
pub fn untoken(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| !bytes.is_empty());
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

pub async fn create_bucket(api: &Api, request: Request<dto::CreateBucketInput>) -> Reply<dto::CreateBucketOutput> {
    let caller = context(&request)?.caller()?;
    let bucket = request.input.bucket;
    let location = match request.input.create_bucket_configuration {
        None => None,
        Some(dto::CreateBucketConfiguration { bucket: None, location: None, location_constraint }) => {
            location_constraint.map(|constraint| location(constraint.as_str())).transpose()?
        }
        Some(_) => return Err(s3_error!(NotImplemented, "Directory buckets are not implemented.")),
    };
    let created =
        create_bucket::run(&api.cell, &caller, create_bucket::Request { bucket: bucket.clone(), location }).await;
    match created {
        Ok(()) => {}
        // As S3 does in its first region, and only there.
        Err(OpError::Refused(Refusal::BucketAlreadyOwnedByYou)) if api.region == DEFAULT_REGION => {}
        Err(error) => return Err(respond(error)),
    }
    Ok(S3Response::new(dto::CreateBucketOutput { location: Some(format!("/{bucket}")) }))
}

/// A location constraint that could be a region. Which one is the operator's naming, so any is taken and told again.
fn location(constraint: &str) -> S3Result<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !(1..=REGION_BYTES_MAX).contains(&constraint.len()) || !constraint.bytes().all(allowed) {
        return Err(s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid"));
    }
    Ok(constraint.to_owned())
}

async fn head<T>(api: &Api, request: &Request<T>, bucket: &str) -> S3Result<head_bucket::Response> {
    let caller = context(request)?.caller()?;
    let asked = head_bucket::Request { bucket: bucket.to_owned() };
    head_bucket::run(&api.cell, &caller, asked).await.map_err(respond)
}

pub async fn head_bucket(api: &Api, request: Request<dto::HeadBucketInput>) -> Reply<dto::HeadBucketOutput> {
    let found = head(api, &request, &request.input.bucket).await?;
    let region = found.location.unwrap_or_else(|| DEFAULT_REGION.to_owned());
    Ok(S3Response::new(dto::HeadBucketOutput { bucket_region: Some(region), ..dto::HeadBucketOutput::default() }))
}

pub async fn get_bucket_location(
    api: &Api,
    request: Request<dto::GetBucketLocationInput>,
) -> Reply<dto::GetBucketLocationOutput> {
    let found = head(api, &request, &request.input.bucket).await?;
    let constraint = found.location.map(dto::BucketLocationConstraint::from);
    Ok(S3Response::new(dto::GetBucketLocationOutput { location_constraint: constraint }))
}

pub async fn delete_bucket(api: &Api, request: Request<dto::DeleteBucketInput>) -> Reply<dto::DeleteBucketOutput> {
    let caller = context(&request)?.caller()?;
    let asked = delete_bucket::Request { bucket: request.input.bucket };
    delete_bucket::run(&api.cell, &caller, asked).await.map_err(respond)?;
    Ok(S3Response::new(dto::DeleteBucketOutput {}))
}

/// Whether the bucket is there and the caller's; for calls that read a setting no bucket has.
///
/// # Errors
/// As [`head_bucket::run`].
pub async fn exists<T>(api: &Api, request: &Request<T>, bucket: &str) -> S3Result<()> {
    head(api, request, bucket).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_opaque_and_comes_back() {
        let key = "a key/with ü and \u{1}";
        assert_eq!(untoken(&token(key)).expect("ours"), key);
        for bad in ["", "not a token!", "_w"] {
            assert!(untoken(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_location_is_any_name_a_region_could_have() {
        assert_eq!(location("eu-central-1").expect("a region"), "eu-central-1");
        assert_eq!(location("EU").expect("a region"), "EU");
        for bad in ["", "a b", "x/y", &"a".repeat(33)] {
            assert!(location(bad).is_err(), "{bad}");
        }
    }
}
