//! Load, fault drills and comparison; speaks only S3 and the public admin API.
