//! What stands in front of execution: what a request costs, whose turn it is, and how much may be executed at once.
//!
//! Knows no storage and no HTTP; of S3 only which calls there are.

pub mod cost;
