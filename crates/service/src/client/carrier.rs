//! What carries a call to another process: connections, or a simulated network.

use super::{Body, ClientError, Connector};
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy;
use std::{error::Error, fmt, sync::Arc};

/// Carries calls in place of a network.
pub trait Transport: Send + Sync {
    /// Carries one call. Its URI says where to.
    ///
    /// # Errors
    /// As a network's: what is known of the call is said by the kind.
    fn carry(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, ClientError>>;
}

/// Either of them.
#[derive(Clone)]
pub(super) enum Carrier {
    Pool(Box<legacy::Client<Connector, Body>>),
    Other(Arc<dyn Transport>),
}

impl Carrier {
    pub fn carry(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, ClientError>> {
        match self {
            Self::Pool(_) if is_lost(&request) => Box::pin(std::future::pending()),
            Self::Pool(pool) => {
                let answer = pool.request(request);
                Box::pin(async move {
                    let response = answer.await.map_err(|error| ClientError::from_pool(&error))?;
                    Ok(response.map(|body| body.map_err(boxed).boxed_unsync()))
                })
            }
            Self::Other(transport) => transport.carry(request),
        }
    }
}

/// Whether this process is cut off from where the request goes. Nobody answers then, until the caller's patience ends.
fn is_lost(request: &Request<Body>) -> bool {
    request.uri().authority().is_some_and(|to| crate::drill::faults().loses(to.as_str()))
}

fn boxed(error: hyper::Error) -> Box<dyn Error + Send + Sync> {
    Box::new(error)
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pool(_) => "Pool",
            Self::Other(_) => "Other",
        })
    }
}
