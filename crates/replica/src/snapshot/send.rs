//! A checkpoint as the body of a request: file after file, in small pieces.

use super::{
    Saved,
    frames::{Head, checksum},
};
use crate::{limits::CHECKPOINT_PIECE_BYTES, store::files, types::Vote};
use bulkhead_service::env::Tasks;
use bytes::Bytes;
use crc_fast::Digest;
use futures::{Stream, stream};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
    sync::Arc,
};

/// Describes a checkpoint. RocksDB's own logs of what it did are left out.
pub(crate) fn head(vote: Vote, saved: &Saved) -> io::Result<Head> {
    let mut files = Vec::new();
    for path in files::children(&saved.database())? {
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or_else(|| io::Error::other("an odd file name"))?;
        if name.starts_with("LOG") || name == "LOCK" {
            continue;
        }
        files.push((name.to_owned(), path.metadata()?.len()));
    }
    Ok(Head { vote, applied: saved.applied().clone(), files })
}

/// The bytes of a described checkpoint. Keeps the checkpoint until they are sent.
pub(crate) fn body(
    head: &Head,
    saved: Arc<Saved>,
    tasks: Tasks,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
    let dir = saved.database();
    let files = head.files.iter().map(|(name, length)| (dir.join(name), *length)).collect();
    let sending = Sending { head: Some(head.encode()?), files, open: None, tasks, _saved: saved };
    Ok(stream::try_unfold(
        sending,
        |mut sending| async move { Ok(sending.next().await?.map(|piece| (piece, sending))) },
    ))
}

struct Sending {
    head: Option<Bytes>,
    files: VecDeque<(PathBuf, u64)>,
    open: Option<Open>,
    tasks: Tasks,
    _saved: Arc<Saved>,
}

struct Open {
    file: File,
    left: u64,
    checksum: Digest,
}

impl Sending {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let Some((path, left)) = self.files.pop_front() else { return Ok(None) };
                let file = self.tasks.blocking(move || File::open(path)).await.map_err(io::Error::other)??;
                Open { file, left, checksum: checksum() }
            }
        };
        if open.left == 0 {
            return Ok(Some(Bytes::copy_from_slice(&open.checksum.finalize().to_be_bytes())));
        }
        let wanted = usize::try_from(open.left).map_or(CHECKPOINT_PIECE_BYTES, |left| left.min(CHECKPOINT_PIECE_BYTES));
        let read = self.tasks.blocking(move || {
            let mut piece = vec![0; wanted];
            open.file.read_exact(&mut piece)?;
            Ok::<_, io::Error>((open, piece))
        });
        let (mut open, piece) = read.await.map_err(io::Error::other)??;
        open.checksum.update(&piece);
        open.left -= piece.len() as u64;
        self.open = Some(open);
        Ok(Some(piece.into()))
    }
}
