//! Listings: pages of objects, uploads, parts and buckets, in byte order of their keys.
//!
//! A common prefix costs one seek, however many keys it folds; a page decodes nothing it does not show.

mod buckets;
mod fold;
mod objects;
mod parts;
mod uploads;

pub use buckets::{BucketsPage, BucketsQuery, list_buckets};
pub use objects::{ListPage, ListQuery, ListedObject, list_objects};
pub use parts::{PartsPage, PartsQuery, list_parts};
pub use uploads::{ListedUpload, UploadMarker, UploadsPage, UploadsQuery, list_uploads};

#[cfg(test)]
mod tests;
