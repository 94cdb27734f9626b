//! What exists before a run begins.

use super::{
    engine::Tenant,
    keys::{Ended, Keys, Standing, Writing},
};
use crate::{
    client::{Condition, Outcome, PayloadHash, Put, Session},
    limits::{FILL_CONNECTIONS, FILL_TRIES, POLL},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::task::JoinSet;

/// Writes all keys of one account. Each key is written until it is there: what is to be measured has not begun.
pub async fn fill(tenant: &Arc<Tenant>) -> anyhow::Result<()> {
    let next = Arc::new(AtomicU32::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..FILL_CONNECTIONS.min(tenant.keys.count()) {
        let (tenant, next) = (tenant.clone(), next.clone());
        writers.spawn(async move {
            let mut session = Session::new(tenant.target.clone(), PayloadHash::Unsigned);
            loop {
                let key = next.fetch_add(1, Ordering::Relaxed);
                if key >= tenant.keys.count() {
                    return anyhow::Ok(());
                }
                write(&tenant, &mut session, key).await?;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn write(tenant: &Tenant, session: &mut Session, wanted: u32) -> anyhow::Result<()> {
    let Writing { key, version, .. } =
        tenant.keys.begin_write(wanted).ok_or_else(|| anyhow::anyhow!("a key has two writers"))?;
    let name = Keys::name(key);
    let content = tenant.group.sizes.content(&name, version);
    let put = Put { bucket: &tenant.bucket, key: &name, version, content, condition: Condition::Always };
    let mut tries = 0;
    loop {
        // Putting the same again is harmless, whatever became of it.
        match session.put(&put).await {
            Outcome::Ok(_) => break,
            Outcome::Refused(refusal) if refusal.certain() => anyhow::bail!("filling {name}: {refusal}"),
            other if tries == FILL_TRIES => return other.required(&format!("filling {name}")).map(drop),
            Outcome::Refused(_) | Outcome::Unsent(_) | Outcome::Unknown(_) => {}
        }
        tries += 1;
        tokio::time::sleep(POLL).await;
    }
    tenant.keys.end_write(key, Ended::Took(Standing::Version(version)));
    Ok(())
}
