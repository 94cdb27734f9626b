//! One RocksDB: its families, its options, and the record of what it has applied.
//!
//! The applied log id and membership lie in a family of this crate's own and change in the same write as the state.

use super::{AppliedState, engine::Make, files::Doomed};
use crate::{
    limits::{
        BACKGROUND_BYTES_PER_SECOND, BACKGROUND_REFILL, BLOB_BYTES_MIN, MEMTABLE_BYTES_MAX, OPEN_FILES_MAX,
        STATE_WAL_BYTES_MAX,
    },
    machine::{Cursor, Family, Reader, StoreError},
    types::{LogId, StoredMembership},
    version::BASE,
};
use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator,
    DBRecoveryMode, Options, ReadOptions, WriteBatch, checkpoint::Checkpoint,
};
use std::path::{Path, PathBuf};

/// This crate's own family. No machine may name one of its families like this.
pub(super) const OWN: &str = "_replica";
pub(super) const APPLIED: &[u8] = b"applied";
pub(super) const MEMBERSHIP: &[u8] = b"membership";
pub(super) const VERSION: &[u8] = b"version";
/// The version of the own records: one byte, then postcard.
const OWN_V1: u8 = 1;

/// An open RocksDB and its directory.
pub(crate) struct Rocks {
    // Closed before the directory may go: fields drop in this order.
    db: DB,
    dir: Doomed,
}

impl Rocks {
    /// Opens the database in `dir`. An absent one is made, if that `may` be.
    pub fn open(dir: PathBuf, families: &[Family], cache_bytes: usize, may: Make) -> Result<Self, StoreError> {
        let cache = Cache::new_lru_cache(cache_bytes);
        let mut options = database_options();
        options.create_if_missing(may == Make::Absent);
        let db = DB::open_cf_descriptors(&options, &dir, descriptors(families, &cache)).map_err(failed)?;
        Ok(Self { db, dir: Doomed::new(dir) })
    }

    /// What a checkpoint in `dir` has applied. The checkpoint is not changed.
    pub fn peek(dir: &Path, families: &[Family]) -> Result<AppliedState, StoreError> {
        let cache = Cache::new_lru_cache(0);
        let mut options = database_options();
        options.create_missing_column_families(false);
        let db =
            DB::open_cf_descriptors_read_only(&options, dir, descriptors(families, &cache), false).map_err(failed)?;
        applied(&db)
    }

    pub fn db(&self) -> &DB {
        &self.db
    }

    /// The files go when the last reader goes.
    pub fn doom(&self) {
        self.dir.doom();
    }

    /// What is applied in here.
    pub fn applied(&self) -> Result<AppliedState, StoreError> {
        applied(&self.db)
    }

    /// Puts everything written so far on stable storage.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.db.flush_wal(true).map_err(failed)
    }

    /// Writes a consistent copy of this database to `dir`, which must not exist. Mostly hard links.
    pub fn checkpoint(&self, dir: &Path) -> Result<(), StoreError> {
        Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(dir)).map_err(failed)
    }

    /// Adds a change to a batch.
    pub fn put(&self, batch: &mut WriteBatch, family: Family, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        batch.put_cf(handle(&self.db, family.name)?, key, value);
        Ok(())
    }

    /// Adds a deletion to a batch.
    pub fn delete(&self, batch: &mut WriteBatch, family: Family, key: &[u8]) -> Result<(), StoreError> {
        batch.delete_cf(handle(&self.db, family.name)?, key);
        Ok(())
    }

    /// Completes a batch with what it makes applied, and writes it.
    pub fn commit(
        &self,
        mut batch: WriteBatch,
        last: &LogId,
        membership: Option<&StoredMembership>,
        version: Option<u8>,
    ) -> Result<(), StoreError> {
        let own = handle(&self.db, OWN)?;
        batch.put_cf(own, APPLIED, encode(last)?);
        if let Some(membership) = membership {
            batch.put_cf(own, MEMBERSHIP, encode(membership)?);
        }
        if let Some(version) = version {
            batch.put_cf(own, VERSION, encode(&version)?);
        }
        self.db.write(batch).map_err(failed)
    }
}

impl Reader for Rocks {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.db.get_cf(handle(&self.db, family.name)?, key).map_err(failed)?;
        Ok(value.map(Bytes::from))
    }

    fn cursor(&self, family: Family) -> Box<dyn Cursor + '_> {
        let steps =
            handle(&self.db, family.name).map(|handle| self.db.raw_iterator_cf_opt(handle, ReadOptions::default()));
        Box::new(RocksCursor { steps, family })
    }
}

/// Steps through one family of a database or a snapshot of it.
pub(super) struct RocksCursor<'a> {
    /// An error when the family does not exist; told at the first seek.
    pub steps: Result<DBRawIterator<'a>, StoreError>,
    pub family: Family,
}

impl RocksCursor<'_> {
    fn step(&mut self, step: impl FnOnce(&mut DBRawIterator<'_>)) -> Result<(), StoreError> {
        let steps = self.steps.as_mut().map_err(|error| StoreError::Store(format!("{}: {error}", self.family.name)))?;
        step(steps);
        steps.status().map_err(failed)
    }
}

impl Cursor for RocksCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.step(|steps| steps.seek(key))
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        self.steps.as_ref().ok()?.item()
    }

    fn advance(&mut self) -> Result<(), StoreError> {
        self.step(|steps| {
            if steps.valid() {
                steps.next();
            }
        })
    }
}

/// The handle of a family.
pub(super) fn handle<'a>(db: &'a DB, name: &str) -> Result<&'a ColumnFamily, StoreError> {
    db.cf_handle(name).ok_or_else(|| StoreError::Store(format!("there is no column family {name}")))
}

pub(super) fn failed(error: rocksdb::Error) -> StoreError {
    StoreError::Store(error.into_string())
}

fn applied(db: &DB) -> Result<AppliedState, StoreError> {
    let own = handle(db, OWN)?;
    let last = db.get_cf(own, APPLIED).map_err(failed)?;
    let membership = db.get_cf(own, MEMBERSHIP).map_err(failed)?;
    let version = db.get_cf(own, VERSION).map_err(failed)?;
    Ok(AppliedState {
        last: last.map(|bytes| decode("the applied log id", &bytes)).transpose()?,
        membership: membership.map(|bytes| decode("the membership", &bytes)).transpose()?.unwrap_or_default(),
        version: version.map(|bytes| decode("the group's version", &bytes)).transpose()?.unwrap_or(BASE),
    })
}

pub(super) fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    postcard::to_extend(value, vec![OWN_V1]).map_err(|error| StoreError::Store(error.to_string()))
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what, why };
    match bytes.split_first() {
        Some((&OWN_V1, rest)) => postcard::from_bytes(rest).map_err(|error| corrupt(error.to_string())),
        Some((version, _)) => Err(corrupt(format!("version {version} is not known here"))),
        None => Err(corrupt("it is empty".into())),
    }
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_missing_column_families(true);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_db_write_buffer_size(MEMTABLE_BYTES_MAX);
    options.set_max_total_wal_size(STATE_WAL_BYTES_MAX);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    // Flushes before compactions; writes of requests are not touched.
    options.set_ratelimiter(BACKGROUND_BYTES_PER_SECOND, BACKGROUND_REFILL.as_micros() as i64, 10);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(8 << 20);
    options
}

fn descriptors(families: &[Family], cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let own = ColumnFamilyDescriptor::new(OWN, family_options(false, cache));
    let machine = families
        .iter()
        .map(|family| ColumnFamilyDescriptor::new(family.name, family_options(family.large_values, cache)));
    machine.chain([own]).collect()
}

fn family_options(large_values: bool, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    // Index and filter blocks count against the cache, or memory would grow with the number of keys.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_write_buffer_size(MEMTABLE_BYTES_MAX / 4);
    options.set_compression_type(DBCompressionType::Lz4);
    if large_values {
        // Tenants' bytes: often compressed already, and moving them in every compaction would wear the disk.
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_compression_type(DBCompressionType::None);
        options.set_enable_blob_gc(true);
        options.set_compression_type(DBCompressionType::None);
    }
    options
}
