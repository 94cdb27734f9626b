//! The read side: one consistent state of the index, and typed questions to it.
//!
//! Says what is stored and decides nothing: who may see it is the business of `ops`.

use super::{
    bookkeeping::{AccountTotals, Errand},
    format,
    keys::{self, within},
    list::{
        BucketsPage, BucketsQuery, ListPage, ListQuery, PartsPage, PartsQuery, UploadsPage, UploadsQuery, list_buckets,
        list_objects, list_parts, list_uploads,
    },
    record::{
        Account, BlobId, Bucket, BucketId, Credential, LimitsRecord, Object, OpenEpoch, Part, Settings, Upload,
        UploadEpoch, UploadId, Usage,
    },
};
use bulkhead_model::{AccessKeyId, AccountId, Epoch, api::cell::CellUsage};
use bulkhead_replica::{Reader, StoreError, View};
use bytes::Bytes;

/// One consistent state of the index, for as long as it is held.
pub struct IndexView<R = View> {
    reader: R,
}

impl<R: Reader> IndexView<R> {
    /// The state that `reader` holds.
    pub fn new(reader: R) -> Self {
        Self { reader }
    }

    /// For questions this type does not know.
    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// An account that lives in this cell.
    ///
    /// # Errors
    /// As all questions: when the store cannot be read.
    pub fn account(&self, account: AccountId) -> Result<Option<Account>, StoreError> {
        keys::accounts::record(account).get(&self.reader)
    }

    /// The epoch under which this cell serves the account; `None` when it does not. Compare with what the router sent.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn epoch(&self, account: AccountId) -> Result<Option<Epoch>, StoreError> {
        Ok(self.account(account)?.map(|record| record.epoch))
    }

    /// What was set for an account; nothing when there is no such account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn account_limits(&self, account: AccountId) -> Result<LimitsRecord, StoreError> {
        Ok(keys::accounts::limits(account).get(&self.reader)?.unwrap_or_default())
    }

    /// What an account may hold, and who of it is refused.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn account_settings(&self, account: AccountId) -> Result<Settings, StoreError> {
        Ok(keys::accounts::settings(account).get(&self.reader)?.unwrap_or_default())
    }

    /// What an account holds; zeros when there is no such account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn account_totals(&self, account: AccountId) -> Result<AccountTotals, StoreError> {
        Ok(keys::accounts::totals(account).get(&self.reader)?.unwrap_or_default())
    }

    /// The credential of an access key, its secret sealed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn credential(&self, key: &AccessKeyId) -> Result<Option<Credential>, StoreError> {
        keys::credentials::by_key(key).get(&self.reader)
    }

    /// The bucket of this name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn bucket(&self, name: &str) -> Result<Option<Bucket>, StoreError> {
        keys::buckets::by_name(name).get(&self.reader)
    }

    /// What a bucket holds: objects, and the bytes of objects and of parts of uploads in progress.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn bucket_usage(&self, bucket: BucketId) -> Result<Option<Usage>, StoreError> {
        Ok(keys::buckets::state(bucket).get(&self.reader)?.map(|state| state.usage))
    }

    /// The current object of this key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn object(&self, bucket: BucketId, key: &str) -> Result<Option<Object>, StoreError> {
        keys::objects::row(bucket, key).get(&self.reader)
    }

    /// The body of an object whose layout is [`crate::meta::record::Layout::Inline`]. The bytes are shared, not copied.
    ///
    /// # Errors
    /// When the store cannot be read, or the body is not there: an object of this view always has its body in it.
    pub fn inline_body(&self, blob: BlobId) -> Result<Bytes, StoreError> {
        match self.reader.get(keys::inline::FAMILY, &keys::inline::key(blob))? {
            Some(bytes) => Ok(format::decode_body(&bytes)?),
            None => Err(StoreError::Corrupt { what: "an inline body", why: format!("{blob:?} is named but absent") }),
        }
    }

    /// An upload in progress.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn upload(&self, bucket: BucketId, key: &str, upload: UploadId) -> Result<Option<Upload>, StoreError> {
        keys::uploads::row(bucket, key, upload).get(&self.reader)
    }

    /// A part of an upload in progress.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn part(&self, bucket: BucketId, key: &str, upload: UploadId, number: u16) -> Result<Option<Part>, StoreError> {
        keys::parts::row(bucket, key, upload, number).get(&self.reader)
    }

    /// Whether bytes written under this epoch may still be named.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn epoch_is_open(&self, epoch: UploadEpoch) -> Result<bool, StoreError> {
        Ok(keys::meta::epoch(epoch).get(&self.reader)?.is_some())
    }

    /// All open upload epochs, oldest first: a few hundred for each node at most.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open_epochs(&self) -> Result<Vec<(UploadEpoch, OpenEpoch)>, StoreError> {
        let mut cursor = self.reader.cursor(keys::meta::FAMILY);
        cursor.seek(&keys::meta::EPOCHS)?;
        let mut epochs = Vec::new();
        while let Some((rest, value)) = within(&*cursor, &keys::meta::EPOCHS) {
            epochs.push((UploadEpoch(keys::meta::number(rest)?), format::decode(value)?));
            cursor.advance()?;
        }
        Ok(epochs)
    }

    /// What the cell holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn cell_usage(&self) -> Result<CellUsage, StoreError> {
        let cell = keys::meta::cell().get(&self.reader)?.unwrap_or_default();
        let Usage { bytes, objects } = cell.usage;
        Ok(CellUsage { bytes, objects, accounts: cell.accounts, buckets: cell.buckets })
    }

    /// What the cell counts as held although nobody holds it.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn ballast(&self) -> Result<Usage, StoreError> {
        Ok(keys::meta::ballast().get(&self.reader)?.unwrap_or_default())
    }

    /// The cell's ticks so far: see [`crate::meta::ticks`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn ticks(&self) -> Result<u64, StoreError> {
        Ok(keys::meta::cell().get(&self.reader)?.unwrap_or_default().ticks)
    }

    /// The oldest errands to the control plane, at most `max`, each with its number.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn errands(&self, max: usize) -> Result<Vec<(u64, Errand)>, StoreError> {
        let mut cursor = self.reader.cursor(keys::outbox::FAMILY);
        cursor.seek(&[])?;
        let mut errands = Vec::new();
        while let Some((key, value)) = within(&*cursor, &[]) {
            if errands.len() == max {
                break;
            }
            errands.push((keys::outbox::sequence(key)?, format::decode(value)?));
            cursor.advance()?;
        }
        Ok(errands)
    }

    /// A page of a bucket's objects: see [`list_objects`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list_objects(&self, bucket: BucketId, query: &ListQuery<'_>) -> Result<ListPage, StoreError> {
        list_objects(&self.reader, bucket, query)
    }

    /// A page of a bucket's uploads in progress: see [`list_uploads`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list_uploads(&self, bucket: BucketId, query: &UploadsQuery<'_>) -> Result<UploadsPage, StoreError> {
        list_uploads(&self.reader, bucket, query)
    }

    /// A page of an upload's parts: see [`list_parts`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list_parts(&self, bucket: BucketId, query: &PartsQuery<'_>) -> Result<PartsPage, StoreError> {
        list_parts(&self.reader, bucket, query)
    }

    /// A page of an account's buckets: see [`list_buckets`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list_buckets(&self, owner: AccountId, query: &BucketsQuery<'_>) -> Result<BucketsPage, StoreError> {
        list_buckets(&self.reader, owner, query)
    }
}
