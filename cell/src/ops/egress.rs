//! Bodies as they go out: verified pieces of an object's bytes, read ahead by a bounded amount.

use bytes::Bytes;
use futures::Stream;
use std::pin::Pin;

/// Verified bytes of an object, in order.
pub type ReadStream = Pin<Box<dyn Stream<Item = Result<Bytes, ReadFault>> + Send>>;

/// Why a body ends before its end: no copy of a chunk could be read. The connection must be cut, not ended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the object's bytes cannot be read: {0}")]
pub struct ReadFault(pub String);
