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
use std::{
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
};
use tokio::{
    fs::{self, File},
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    task,
    time::timeout,
};

/// Takes in one checkpoint. What is left of a failed one is deleted here or at the next start; a whole one is deleted
/// after its last user, since installing it copies it.
///
/// # Errors
/// When another is being received, the stream stalls or ends early, or a checksum differs.
pub(crate) async fn receive<R: AsyncRead + Unpin>(to: &Checkpoints, mut from: R) -> io::Result<(Vote, Arc<Saved>)> {
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
    fs::create_dir_all(tmp.join(DATABASE)).await?;
    for (file, length) in &head.files {
        receive_file(&mut from, &tmp.join(DATABASE).join(file), *length).await?;
    }
    let (applied, whole) = (head.applied.clone(), dir.clone());
    task::spawn_blocking(move || seal(&tmp, &applied).and_then(|()| files::publish(&tmp, &whole)))
        .await
        .map_err(io::Error::other)??;
    unfinished.spare();
    let dir = Doomed::new(dir);
    dir.doom();
    Ok((head.vote, Arc::new(Saved { dir, applied: head.applied })))
}

async fn receive_file<R: AsyncRead + Unpin>(from: &mut R, path: &Path, length: u64) -> io::Result<()> {
    let mut file = File::create(path).await?;
    let mut checksum = checksum();
    let mut piece = vec![0; CHECKPOINT_PIECE_BYTES];
    let mut left = length;
    while left > 0 {
        let wanted = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        fill(from, &mut piece[..wanted]).await?;
        checksum.update(&piece[..wanted]);
        file.write_all(&piece[..wanted]).await?;
        left -= wanted as u64;
    }
    file.sync_all().await?;
    let mut sum = [0; 8];
    fill(from, &mut sum).await?;
    if u64::from_be_bytes(sum) == checksum.finalize() {
        Ok(())
    } else {
        Err(refused(format!("the checksum of {} differs", path.display())))
    }
}

async fn fill<R: AsyncRead + Unpin>(from: &mut R, buffer: &mut [u8]) -> io::Result<()> {
    match timeout(CHECKPOINT_STALL_MAX, from.read_exact(buffer)).await {
        Ok(read) => read.map(drop),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the checkpoint's sender has stalled")),
    }
}
