//! What one command is about to do: records to put and delete, and routing changes to publish with them.
//!
//! Reads see the state before the command; a command touches each record at most once.

use crate::{
    limits::CHANGES_KEPT,
    store::{
        format, keys, read,
        record::{Account, Bucket, Cell, Key, Meta},
    },
};
use bulkhead_model::{AccessKeyId, AccountId, CellId, Timestamp, routing};
use bulkhead_replica::{Family, Mutation, Reader, StoreError};
use serde::Serialize;

pub(super) struct ChangeSet<'a> {
    pub view: &'a dyn Reader,
    pub meta: Meta,
    mutations: Vec<Mutation>,
}

impl<'a> ChangeSet<'a> {
    /// Starts a command. Its time never goes back behind an earlier command's.
    pub fn new(view: &'a dyn Reader, time: Timestamp) -> Result<Self, StoreError> {
        let mut meta = read::meta(view)?;
        meta.time = meta.time.max(time);
        Ok(Self { view, meta, mutations: Vec::new() })
    }

    /// The command's time.
    pub fn time(&self) -> Timestamp {
        self.meta.time
    }

    fn put<T: Serialize>(&mut self, family: Family, key: Vec<u8>, value: &T) {
        self.mutations.push(Mutation::Put { family, key, value: format::encode(value) });
    }

    fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.mutations.push(Mutation::Delete { family, key });
    }

    pub fn put_account(&mut self, id: AccountId, record: &Account) {
        self.put(keys::ACCOUNTS, keys::account(id), record);
    }

    pub fn delete_account(&mut self, id: AccountId) {
        self.delete(keys::ACCOUNTS, keys::account(id));
    }

    pub fn put_email(&mut self, unique: &str, account: AccountId) {
        self.put(keys::EMAILS, unique.into(), &account);
    }

    pub fn delete_email(&mut self, unique: &str) {
        self.delete(keys::EMAILS, unique.into());
    }

    pub fn put_key(&mut self, id: &AccessKeyId, record: &Key) {
        self.put(keys::KEYS, keys::key(id), record);
    }

    pub fn delete_key(&mut self, id: &AccessKeyId) {
        self.delete(keys::KEYS, keys::key(id));
    }

    pub fn put_cell(&mut self, id: &CellId, record: &Cell) {
        self.put(keys::CELLS, keys::cell(id), record);
    }

    pub fn put_bucket(&mut self, name: &str, record: &Bucket) {
        self.put(keys::BUCKETS, name.into(), record);
    }

    pub fn delete_bucket(&mut self, name: &str) {
        self.delete(keys::BUCKETS, name.into());
    }

    /// Has the reconcilers look after a thing until it is settled.
    pub fn unsettled(&mut self, thing: &keys::Unsettled) {
        self.put(keys::UNSETTLED, thing.encode(), &());
    }

    pub fn settled(&mut self, thing: &keys::Unsettled) {
        self.delete(keys::UNSETTLED, thing.encode());
    }

    /// Tells routers of a change, under the next version, and forgets the oldest one kept.
    pub fn publish(&mut self, change: &routing::Change) {
        self.meta.routing_version += 1;
        let version = self.meta.routing_version;
        self.put(keys::CHANGES, keys::change(version), change);
        if let Some(expired) = version.checked_sub(CHANGES_KEPT).filter(|&expired| expired > 0) {
            self.delete(keys::CHANGES, keys::change(expired));
        }
    }

    /// Everything, with the counters.
    pub fn into_mutations(mut self) -> Vec<Mutation> {
        let meta = self.meta;
        self.put(keys::META, keys::META_KEY.into(), &meta);
        self.mutations
    }
}
