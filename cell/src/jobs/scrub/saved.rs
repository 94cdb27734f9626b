//! How far scrub is, across restarts: a node that restarts often would otherwise never read its last chunks.
//!
//! A hint. When it cannot be read or written, scrub begins anew; nothing else depends on it.

use crate::chunks::ChunkId;
use bulkhead_model::Timestamp;
use bulkhead_service::env::Tasks;
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};

/// The format of the file.
const VERSION: u32 = 1;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// When the last whole reading began.
    pub whole_since: Option<Timestamp>,
    /// When the reading under way began, and up to where it is done.
    pub under_way: Option<(Timestamp, ChunkId)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    whole_since: Option<Timestamp>,
    /// Began, blob in hex, index.
    under_way: Option<(Timestamp, String, u32)>,
}

impl Saved {
    fn encode(&self) -> String {
        let under_way = self.under_way.map(|(began, done)| (began, format!("{:032x}", done.blob), done.index));
        let file = File { version: VERSION, whole_since: self.whole_since, under_way };
        serde_json::to_string(&file).expect("numbers and strings")
    }

    fn decode(text: &str) -> Option<Self> {
        let file: File = serde_json::from_str(text).ok().filter(|file: &File| file.version == VERSION)?;
        let under_way = match file.under_way {
            Some((began, blob, index)) => Some((began, ChunkId { blob: u128::from_str_radix(&blob, 16).ok()?, index })),
            None => None,
        };
        Some(Self { whole_since: file.whole_since, under_way })
    }

    /// What was saved last; nothing when that cannot be read.
    pub async fn load(path: &Path, tasks: &Tasks) -> Self {
        let path = path.to_owned();
        let read = tasks.blocking(move || fs::read_to_string(path)).await;
        match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(text) => Self::decode(&text).unwrap_or_default(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "how far scrub was cannot be read: it begins anew");
                }
                Self::default()
            }
        }
    }

    /// Replaces what was saved.
    ///
    /// # Errors
    /// When it cannot be written; what was there before may be there still.
    pub async fn save(&self, path: &Path, tasks: &Tasks) -> io::Result<()> {
        let (text, path, beside) = (self.encode(), path.to_owned(), path.with_extension("new"));
        let saved = tasks.blocking(move || fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)));
        saved.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_saved_is_read_and_anything_else_is_a_new_beginning() {
        let dir = tempfile::TempDir::new().expect("a temporary directory");
        let (path, tasks) = (dir.path().join("scrub.json"), Tasks::default());
        assert_eq!(Saved::load(&path, &tasks).await, Saved::default());
        let done = ChunkId { blob: (7 << 64) | 9, index: 3 };
        let saved = Saved { whole_since: Some(Timestamp(5)), under_way: Some((Timestamp(6), done)) };
        saved.save(&path, &tasks).await.expect("writable");
        assert_eq!(Saved::load(&path, &tasks).await, saved);
        let frozen = r#"{"version":1,"whole_since":5,"under_way":[6,"00000000000000070000000000000009",3]}"#;
        assert_eq!(saved.encode(), frozen);
        for nonsense in ["", "{}", &frozen.replace(":1,", ":2,"), &frozen[..40]] {
            fs::write(&path, nonsense).expect("writable");
            assert_eq!(Saved::load(&path, &tasks).await, Saved::default(), "{nonsense}");
        }
    }
}
