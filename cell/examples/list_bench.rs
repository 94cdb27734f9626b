//! Measures listings over 100,000 objects in a store in memory: `cargo run --example list_bench`.
//!
//! It is the cost of the listing itself: cursor steps through a trait object, decoding of heads, building of pages.

use bulkhead_cell::meta::{
    format, keys,
    list::{ListQuery, list_objects},
    record::{BlobId, BucketId, ContentHeaders, Etag, Layout, Object, UploadEpoch},
};
use bulkhead_model::Timestamp;
use bulkhead_replica::{MemoryStore, Mutation, StoreError};
use bulkhead_service::env::Clock;

const OBJECTS: u64 = 100_000;
const BUCKET: BucketId = BucketId(1);

fn store() -> MemoryStore {
    let mut store = MemoryStore::default();
    for n in 0..OBJECTS {
        let object = Object {
            len: n,
            etag: Etag { md5: [1; 16], parts: None },
            modified: Timestamp(n),
            checksum: None,
            headers: ContentHeaders { content_type: Some("binary/octet-stream".into()), ..ContentHeaders::default() },
            layout: Layout::Inline(BlobId { epoch: UploadEpoch(1), number: n }),
            parts: Vec::new(),
        };
        let row = keys::objects::row(BUCKET, &format!("prefix-{}/object-{n:06}", n % 10));
        store.write(vec![Mutation::Put { family: row.family, key: row.key, value: format::encode(&object) }]);
    }
    store
}

fn main() -> Result<(), StoreError> {
    let (store, clock) = (store(), Clock::system());
    for delimiter in [None, Some("/")] {
        let (begun, mut pages, mut shown, mut touched, mut after) = (clock.now(), 0, 0, 0, None::<String>);
        loop {
            let query = ListQuery { prefix: "", delimiter, after: after.as_deref(), max_keys: 1_000 };
            let page = list_objects(&store, BUCKET, &query)?;
            pages += 1;
            shown += page.objects.len() + page.common_prefixes.len();
            touched += page.touched;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let per_second = f64::from(u32::try_from(shown).unwrap_or(u32::MAX)) / seconds;
        println!("delimiter {delimiter:?}: {shown} shown on {pages} pages, {touched} touched, {per_second:.0}/s");
    }
    Ok(())
}
