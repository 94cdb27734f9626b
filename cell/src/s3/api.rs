//! Which function answers which call of s3s.

use super::{Api, Reply, bucket, copy, delete, list, multipart, object_read, object_write, settings};
use s3s::{S3, S3Request, dto};

/// One line for each call that is built; s3s answers `NotImplemented` for the rest.
macro_rules! answers {
    ($($call:ident($input:ident) -> $output:ident: $module:ident;)+) => {
        #[async_trait::async_trait]
        impl S3 for Api {
            $(async fn $call(&self, request: S3Request<dto::$input>) -> Reply<dto::$output> {
                $module::$call(self, request).await
            })+
        }
    };
}

answers! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput: bucket;
    create_bucket(CreateBucketInput) -> CreateBucketOutput: bucket;
    head_bucket(HeadBucketInput) -> HeadBucketOutput: bucket;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput: bucket;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput: bucket;
    put_object(PutObjectInput) -> PutObjectOutput: object_write;
    get_object(GetObjectInput) -> GetObjectOutput: object_read;
    head_object(HeadObjectInput) -> HeadObjectOutput: object_read;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput: delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput: delete;
    copy_object(CopyObjectInput) -> CopyObjectOutput: copy;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput: copy;
    list_objects(ListObjectsInput) -> ListObjectsOutput: list;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output: list;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput: list;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput: multipart;
    upload_part(UploadPartInput) -> UploadPartOutput: multipart;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput: multipart;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput: multipart;
    list_parts(ListPartsInput) -> ListPartsOutput: multipart;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput: multipart;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput: settings;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput: settings;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput: settings;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput: settings;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput: settings;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput: settings;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput: settings;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput: settings;
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput: settings;
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput: settings;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput: settings;
}
