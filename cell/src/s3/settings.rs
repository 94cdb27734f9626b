//! Settings that clients probe for and that no bucket here can have: each answers what S3 answers for a fresh bucket.
//!
//! Only where that answer is the truth. The bucket (or object) must exist and be the caller's first.

use super::{Api, Reply, Request, bucket::exists, caller::context, error::respond, object_read};
use s3s::{S3Error, S3ErrorCode, S3Response, S3Result, dto};

/// The owner may do everything: there are no other grants.
fn full_control(request_owner: String) -> (dto::Owner, dto::Grants) {
    let owner = dto::Owner { display_name: None, id: Some(request_owner) };
    let grantee = dto::Grantee {
        display_name: None,
        email_address: None,
        id: owner.id.clone(),
        type_: dto::Type::from_static(dto::Type::CANONICAL_USER),
        uri: None,
    };
    let permission = dto::Permission::from_static(dto::Permission::FULL_CONTROL);
    (owner, vec![dto::Grant { grantee: Some(grantee), permission: Some(permission) }])
}

fn canonical_id<T>(request: &Request<T>) -> S3Result<String> {
    Ok(context(request)?.caller()?.account.canonical_id())
}

pub async fn get_bucket_acl(api: &Api, request: Request<dto::GetBucketAclInput>) -> Reply<dto::GetBucketAclOutput> {
    exists(api, &request, &request.input.bucket).await?;
    let (owner, grants) = full_control(canonical_id(&request)?);
    Ok(S3Response::new(dto::GetBucketAclOutput { grants: Some(grants), owner: Some(owner) }))
}

pub async fn get_object_acl(api: &Api, request: Request<dto::GetObjectAclInput>) -> Reply<dto::GetObjectAclOutput> {
    object_exists(api, &request, &request.input.bucket, &request.input.key).await?;
    let (owner, grants) = full_control(canonical_id(&request)?);
    Ok(S3Response::new(dto::GetObjectAclOutput { grants: Some(grants), owner: Some(owner), request_charged: None }))
}

pub async fn get_object_tagging(
    api: &Api,
    request: Request<dto::GetObjectTaggingInput>,
) -> Reply<dto::GetObjectTaggingOutput> {
    object_exists(api, &request, &request.input.bucket, &request.input.key).await?;
    Ok(S3Response::new(dto::GetObjectTaggingOutput { tag_set: Vec::new(), version_id: None }))
}

async fn object_exists<T>(api: &Api, request: &Request<T>, bucket: &str, key: &str) -> S3Result<()> {
    let caller = context(request)?.caller()?;
    let asked = object_read::plain(bucket, key);
    crate::ops::head_object::run(&api.cell, &caller, asked).await.map(drop).map_err(respond)
}

pub async fn get_bucket_versioning(
    api: &Api,
    request: Request<dto::GetBucketVersioningInput>,
) -> Reply<dto::GetBucketVersioningOutput> {
    exists(api, &request, &request.input.bucket).await?;
    Ok(S3Response::new(dto::GetBucketVersioningOutput::default()))
}

/// Calls whose answer for a bucket without the setting is an error of its own.
macro_rules! never_set {
    ($($call:ident($input:ident) -> $output:ident: $code:ident, $message:literal;)+) => {$(
        pub async fn $call(api: &Api, request: Request<dto::$input>) -> Reply<dto::$output> {
            exists(api, &request, &request.input.bucket).await?;
            Err(S3Error::with_message(S3ErrorCode::$code, $message))
        }
    )+};
}

never_set! {
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput:
        NoSuchBucketPolicy, "The bucket policy does not exist";
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput:
        NoSuchCORSConfiguration, "The CORS configuration does not exist";
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput:
        NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist";
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput:
        NoSuchTagSet, "The TagSet does not exist";
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput:
        NoSuchWebsiteConfiguration, "The specified bucket does not have a website configuration";
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput:
        ReplicationConfigurationNotFoundError, "The replication configuration was not found";
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput:
        ObjectLockConfigurationNotFoundError, "Object Lock configuration does not exist for this bucket";
}
