//! A lean S3 client over HTTP/1.1: one connection per [`Session`], bodies generated and checked while they stream.
//!
//! It never repeats a request that may have been executed, and it never takes an unknown outcome for a failure. It
//! speaks S3 and nothing else: what a value means is the oracle's business.

mod body;
mod bucket;
mod call;
mod connection;
mod list;
mod multipart;
mod object;
mod outcome;
mod road;
mod session;
mod sign;
#[cfg(test)]
mod tests;

pub use body::Payload;
pub use call::{Answer, Call};
pub use list::{ListQuery, Listed, ListedObject, Page};
pub use multipart::{Part, Upload};
pub use object::{Condition, Download, Put, Stored};
pub use outcome::{Lost, Outcome, Refusal};
pub use road::{Elsewhere, Line};
pub use session::{Credentials, Session, Target, TargetError};
pub use sign::PayloadHash;
