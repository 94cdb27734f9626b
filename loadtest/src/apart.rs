//! Work on a thread of its own that gives way to all others on the machine: what it costs clients that misbehave is paid on their own
//! computers, and must not be what the others notice.

use crate::machine;
use anyhow::Context as _;
use tokio::sync::oneshot;

/// Runs `work` so, in a thread of this name, to its end.
///
/// # Errors
/// When there is no such thread, or it may not give way.
pub async fn apart<T, F>(name: &'static str, work: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (done, made) = oneshot::channel();
    let thread = move || {
        let outcome = machine::give_way().map_err(anyhow::Error::from).and_then(|()| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(work()))
        });
        // Nobody waits any more when the run was given up.
        drop(done.send(outcome));
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(thread)?;
    made.await.with_context(|| format!("the thread of {name} has ended"))?
}
