//! At the end: what the cell says it holds against a count of what it holds.

use crate::{client::BUCKET, host::Parts};
use bulkhead_cell::{
    meta::{
        apply::Index,
        list::{ListQuery, PartsQuery, UploadsQuery},
        record::Usage,
    },
    ops::OpError,
};
use bulkhead_model::Blueprint;
use bulkhead_replica::{Machine as _, Reader as _, Replica};
use tokio::time::Instant;

/// More than a run makes of anything.
const MANY: usize = 100_000;

/// Compares the bucket's and the cell's usage with a recount. Says what differs.
pub async fn recount(parts: Parts, deadline: Instant) -> Result<Option<String>, OpError> {
    let view = parts.cell.index.read(deadline).await?;
    let bucket = view.bucket(BUCKET)?.ok_or_else(|| OpError::Internal("the bucket is gone".into()))?.id;
    let query = ListQuery { prefix: "", delimiter: None, after: None, max_keys: MANY };
    let objects = view.list_objects(bucket, &query)?.objects;
    let mut counted =
        Usage { bytes: objects.iter().map(|object| object.head.len).sum(), objects: objects.len() as u64 };
    let uploads = view.list_uploads(bucket, &UploadsQuery { max_uploads: MANY, ..Default::default() })?.uploads;
    for listed in uploads {
        let query = PartsQuery { key: &listed.key, upload: listed.upload, after: 0, max_parts: MANY };
        counted.bytes += view.list_parts(bucket, &query)?.parts.iter().map(|(_, part)| part.len).sum::<u64>();
    }
    let said = view.bucket_usage(bucket)?.unwrap_or_default();
    let cell = view.cell_usage()?;
    let cell = Usage { bytes: cell.bytes, objects: cell.objects };
    let is_right = said == counted && cell == counted;
    let all = (said, cell, counted);
    Ok((!is_right).then(|| format!("usage of bucket and cell, and the recount, differ: {all:?}")))
}

/// Every row of a node's index as it has it now.
pub fn rows(replica: &Replica) -> Vec<(u8, Vec<u8>, Vec<u8>)> {
    let blueprint: Blueprint = crate::host::blueprint();
    let view = replica.local_view();
    let mut rows = Vec::new();
    for family in Index::new(blueprint.capacity).families() {
        let mut cursor = view.cursor(*family);
        let mut found = cursor.seek(b"");
        while let (Ok(()), Some((key, value))) = (found, cursor.entry()) {
            rows.push((family.index, key.to_vec(), value.to_vec()));
            found = cursor.advance();
        }
    }
    rows
}
