//! A checkpoint from the network to `incoming/`: checked file by file, synced, and renamed once it is whole.

use super::{
    Checkpoints, DATABASE, Saved,
    frames::{Head, PREFIX_BYTES, checksum, refused},
    seal,
};
use crate::{
    limits::{CHECKPOINT_PIECE_BYTES, CHECKPOINT_STALL_MAX},
    store::files::{self, Doomed},
    types::Vote,
};
use bulkhead_service::{env::Tasks, fail_point::FailPoint};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    sync::{Arc, atomic::Ordering},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

/// Takes in one checkpoint. What is left of a failed one is deleted here or at the next start; a whole one is deleted
/// after its last user, since installing it copies it.
///
/// # Errors
/// When another is being received, the stream stalls or ends early, or a checksum differs.
pub(crate) async fn receive<R: AsyncRead + Unpin>(
    to: &Checkpoints,
    tasks: &Tasks,
    mut from: R,
) -> io::Result<(Vote, Arc<Saved>)> {
    let _one = to.receiving.try_lock().map_err(|_| refused("another checkpoint is being received".into()))?;
    let mut prefix = [0; PREFIX_BYTES];
    fill(&mut from, &mut prefix).await?;
    let mut head = vec![0; Head::length(prefix)?];
    fill(&mut from, &mut head).await?;
    let head = Head::decode(&head)?;

    let name = format!("i-{:010}", to.next.fetch_add(1, Ordering::Relaxed));
    let (dir, tmp) = (to.incoming.join(&name), to.incoming.join(format!("{name}.tmp")));
    let unfinished = Doomed::new(tmp.clone());
    unfinished.doom();
    let files = tmp.join(DATABASE);
    on_disk(tasks, move || fs::create_dir_all(files)).await?;
    for (file, length) in &head.files {
        receive_file(&mut from, tasks, &tmp.join(DATABASE).join(file), *length).await?;
    }
    let (applied, whole) = (head.applied.clone(), dir.clone());
    let keep = move || {
        seal(&tmp, &applied)?;
        FailPoint::CheckpointReceived.pass();
        files::publish(&tmp, &whole)
    };
    on_disk(tasks, keep).await?;
    unfinished.spare();
    let dir = Doomed::new(dir);
    dir.doom();
    Ok((head.vote, Arc::new(Saved { dir, applied: head.applied })))
}

async fn receive_file<R: AsyncRead + Unpin>(from: &mut R, tasks: &Tasks, path: &Path, length: u64) -> io::Result<()> {
    let to = path.to_owned();
    let mut file = on_disk(tasks, move || File::create(to)).await?;
    let mut checksum = checksum();
    let mut left = length;
    while left > 0 {
        let wanted = usize::try_from(left).map_or(CHECKPOINT_PIECE_BYTES, |left| left.min(CHECKPOINT_PIECE_BYTES));
        let mut piece = vec![0; wanted];
        fill(from, &mut piece).await?;
        checksum.update(&piece);
        left -= wanted as u64;
        file = on_disk(tasks, move || file.write_all(&piece).map(|()| file)).await?;
    }
    on_disk(tasks, move || file.sync_all()).await?;
    let mut sum = [0; 8];
    fill(from, &mut sum).await?;
    if u64::from_be_bytes(sum) == checksum.finalize() {
        Ok(())
    } else {
        Err(refused(format!("the checksum of {} differs", path.display())))
    }
}

async fn on_disk<T: Send + 'static>(
    tasks: &Tasks,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tasks.blocking(work).await.map_err(io::Error::other)?
}

async fn fill<R: AsyncRead + Unpin>(from: &mut R, buffer: &mut [u8]) -> io::Result<()> {
    match timeout(CHECKPOINT_STALL_MAX, from.read_exact(buffer)).await {
        Ok(read) => read.map(drop),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the checkpoint's sender has stalled")),
    }
}
