//! In whose name something is done: known for the length of one request, for the audit log.

use bulkhead_model::api::control_plane::Role;

/// Who acts when nobody asked.
pub const ITSELF: &str = "control-plane";

/// Whoever presented a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name.
    pub name: String,
    pub role: Role,
}

tokio::task_local! {
    static CALLER: Caller;
}

/// Runs `work` in the name of `caller`.
pub async fn scope<F: Future>(caller: Caller, work: F) -> F::Output {
    CALLER.scope(caller, work).await
}

/// The name under which changes are noted now.
pub fn name() -> String {
    CALLER.try_with(|caller| caller.name.clone()).unwrap_or_else(|_| ITSELF.to_owned())
}
