//! The calls of the S3 API as typed functions: one file per call with its `Request`, its `Response` and `run`.
//!
//! Knows no HTTP, no XML and no s3s. Bytes are written first and named second; a write is answered after it is committed
//! and applied; a read begins with a linearizable view and stays on it.

pub mod abort_multipart_upload;
pub mod action;
pub mod body;
pub mod bucket;
pub mod budget;
pub mod caller;
pub mod checksum;
pub mod complete_multipart_upload;
pub mod conditions;
pub mod copy_object;
pub mod create_bucket;
pub mod create_multipart_upload;
pub mod delete_bucket;
pub mod delete_object;
pub mod delete_objects;
pub mod digests;
pub mod egress;
pub mod error;
pub mod etag;
pub mod get_object;
pub mod get_object_attributes;
pub mod head_bucket;
pub mod head_object;
pub mod ingest;
pub mod list_buckets;
pub mod list_multipart_uploads;
pub mod list_object_versions;
pub mod list_objects;
pub mod list_parts;
pub mod owner;
pub mod put_object;
pub mod range;
pub mod read;
pub mod store;
pub mod upload_id;
pub mod upload_part;
pub mod upload_part_copy;
pub mod uploads;
pub mod validate;

mod context;

pub use caller::Caller;
pub use context::Cell;
pub use error::OpError;
pub use owner::Owner;
