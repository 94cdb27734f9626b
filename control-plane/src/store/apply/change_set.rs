//! What one command is about to do: records to put and delete, with the routing changes, the operation and the audit entries that go
//! with them.
//!
//! Reads see the state before the command; a command touches each record at most once. Who asked for a command stands in the audit
//! log with what each record was before and is after; nobody is named in version 1, and nothing is noted.

use crate::{
    limits::{AUDIT_KEPT, CHANGES_KEPT, IDEMPOTENT_KEPT, OPERATION_STEPS_MAX, OPERATIONS_KEPT},
    store::{
        command::Envelope,
        format::{self, Stored},
        keys, read,
        record::{
            Account, AuditRecord, Bucket, Cell, CertificateRecord, Counters, Idempotent, Key, Meta, OperationRecord,
            TokenRecord,
            setting::{SettingRecord, SettingsVersion},
        },
    },
};
use bulkhead_model::{
    AccessKeyId, AccountId, CellId, Timestamp,
    api::control_plane::{OperationKind, OperationState, OperationStep},
    routing,
};
use bulkhead_replica::{Family, Mutation, Reader, StoreError};
use serde::Serialize;

pub(super) struct ChangeSet<'a> {
    pub view: &'a dyn Reader,
    pub meta: Meta,
    counters: Counters,
    counted: Counters,
    who: Option<String>,
    what: String,
    mutations: Vec<Mutation>,
}

impl<'a> ChangeSet<'a> {
    /// Starts a command. Its time never goes back behind an earlier command's.
    pub fn new(view: &'a dyn Reader, envelope: &Envelope) -> Result<Self, StoreError> {
        let (mut meta, counters) = (read::meta(view)?, read::counters(view)?);
        meta.time = meta.time.max(envelope.time);
        let (who, what) = (envelope.who.clone(), envelope.command.name());
        Ok(Self { view, meta, counters, counted: counters, who, what, mutations: Vec::new() })
    }

    /// The command's time.
    pub fn time(&self) -> Timestamp {
        self.meta.time
    }

    /// Who asked for it.
    pub fn who(&self) -> String {
        self.who.clone().unwrap_or_default()
    }

    /// Whether what version 2 brought may be written: a command of version 1 names nobody, and a member might be of that.
    pub fn names_somebody(&self) -> bool {
        self.who.is_some()
    }

    fn put<T: Stored>(&mut self, family: Family, key: Vec<u8>, value: &T) {
        self.mutations.push(Mutation::Put { family, key, value: format::encode(value) });
    }

    fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.mutations.push(Mutation::Delete { family, key });
    }

    pub fn put_account(&mut self, id: AccountId, record: &Account) -> Result<(), StoreError> {
        self.audit(format!("account {id}"), read::account(self.view, id)?.as_ref(), Some(record));
        self.put(keys::ACCOUNTS, keys::account(id), record);
        Ok(())
    }

    pub fn delete_account(&mut self, id: AccountId) -> Result<(), StoreError> {
        self.audit(format!("account {id}"), read::account(self.view, id)?.as_ref(), None);
        self.delete(keys::ACCOUNTS, keys::account(id));
        Ok(())
    }

    /// An account whose bucket names changed: its tenants did that, and it is no matter of the audit log.
    pub fn count_buckets(&mut self, id: AccountId, record: &Account) {
        self.put(keys::ACCOUNTS, keys::account(id), record);
    }

    pub fn put_email(&mut self, unique: &str, account: AccountId) {
        self.put(keys::EMAILS, unique.into(), &account);
    }

    pub fn delete_email(&mut self, unique: &str) {
        self.delete(keys::EMAILS, unique.into());
    }

    pub fn put_key(&mut self, id: &AccessKeyId, record: &Key) -> Result<(), StoreError> {
        self.audit(format!("key {id}"), read::key(self.view, id)?.as_ref(), Some(record));
        self.put(keys::KEYS, keys::key(id), record);
        Ok(())
    }

    pub fn delete_key(&mut self, id: &AccessKeyId) -> Result<(), StoreError> {
        self.audit(format!("key {id}"), read::key(self.view, id)?.as_ref(), None);
        self.delete(keys::KEYS, keys::key(id));
        Ok(())
    }

    pub fn put_cell(&mut self, id: &CellId, record: &Cell) -> Result<(), StoreError> {
        self.audit(format!("cell {id}"), read::cell(self.view, id)?.as_ref(), Some(record));
        self.put(keys::CELLS, keys::cell(id), record);
        Ok(())
    }

    /// A cell of which more or less is reserved: the account it is reserved for stands in the audit log.
    pub fn reserve(&mut self, id: &CellId, record: &Cell) {
        self.put(keys::CELLS, keys::cell(id), record);
    }

    pub fn delete_cell(&mut self, id: &CellId) -> Result<(), StoreError> {
        self.audit(format!("cell {id}"), read::cell(self.view, id)?.as_ref(), None);
        self.delete(keys::CELLS, keys::cell(id));
        self.delete(keys::CERTIFICATES, keys::cell(id));
        Ok(())
    }

    pub fn put_certificate(&mut self, id: &CellId, document: String) {
        self.put(keys::CERTIFICATES, keys::cell(id), &CertificateRecord { document });
    }

    pub fn put_bucket(&mut self, name: &str, record: &Bucket) {
        self.put(keys::BUCKETS, name.into(), record);
    }

    pub fn delete_bucket(&mut self, name: &str) {
        self.delete(keys::BUCKETS, name.into());
    }

    pub fn put_apart(&mut self, group: &str, cell: &CellId) {
        self.put(keys::APART, keys::apart(group, cell), &());
    }

    pub fn delete_apart(&mut self, group: &str, cell: &CellId) {
        self.delete(keys::APART, keys::apart(group, cell));
    }

    pub fn put_token(&mut self, name: &str, record: &TokenRecord) -> Result<(), StoreError> {
        let role = |record: &TokenRecord| record.role;
        self.audit(
            format!("token {name}"),
            read::token(self.view, name)?.as_ref().map(role).as_ref(),
            Some(&role(record)),
        );
        self.put(keys::TOKENS, name.into(), record);
        Ok(())
    }

    pub fn delete_token(&mut self, name: &str) -> Result<(), StoreError> {
        let role = read::token(self.view, name)?.map(|record| record.role);
        self.audit(format!("token {name}"), role.as_ref(), None);
        self.delete(keys::TOKENS, name.into());
        Ok(())
    }

    /// Counts a change of a setting.
    pub fn next_settings_version(&mut self) -> Result<u64, StoreError> {
        let version = SettingsVersion(read::settings_version(self.view)?.0 + 1);
        self.put(keys::META, keys::SETTINGS_KEY.into(), &version);
        Ok(version.0)
    }

    /// The history stands in the audit log already, change by change.
    pub fn put_setting(&mut self, name: &str, record: &SettingRecord) -> Result<(), StoreError> {
        let shown = |record: SettingRecord| SettingRecord { history: Vec::new(), ..record };
        let before = read::setting(self.view, name)?.map(shown);
        self.audit(format!("setting {name}"), before.as_ref(), Some(&shown(record.clone())));
        self.put(keys::SETTINGS, name.into(), record);
        Ok(())
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

    /// Begins work that is watched, and forgets the oldest that is kept if it has ended.
    pub fn begin_operation(&mut self, kind: OperationKind, target: String, step: &str) -> Result<u64, StoreError> {
        self.counters.last_operation += 1;
        let (number, at) = (self.counters.last_operation, self.time());
        let steps = vec![OperationStep { at, what: step.into() }];
        let record = OperationRecord { kind, target, state: OperationState::Running, steps, began: at, by: self.who() };
        self.put(keys::OPERATIONS, keys::number(number), &record);
        if let Some(expired) = number.checked_sub(OPERATIONS_KEPT).filter(|&expired| expired > 0) {
            let ended = read::operation(self.view, expired)?.is_some_and(|old| old.state != OperationState::Running);
            if ended {
                self.delete(keys::OPERATIONS, keys::number(expired));
            }
        }
        Ok(number)
    }

    /// Notes a step of work that is watched. One that has ended stays as it ended.
    pub fn note_operation(
        &mut self,
        number: Option<u64>,
        step: Option<String>,
        state: OperationState,
    ) -> Result<(), StoreError> {
        let Some(number) = number else { return Ok(()) };
        let known = read::operation(self.view, number)?;
        let Some(mut record) = known.filter(|record| record.state == OperationState::Running) else { return Ok(()) };
        if let Some(what) = step.filter(|what| record.steps.last().is_none_or(|last| last.what != *what)) {
            if record.steps.len() >= OPERATION_STEPS_MAX {
                record.steps.remove(1);
            }
            record.steps.push(OperationStep { at: self.time(), what });
        }
        record.state = state;
        self.put(keys::OPERATIONS, keys::number(number), &record);
        Ok(())
    }

    /// Remembers a new request by its key, and forgets the oldest.
    pub fn begin_idempotent(&mut self, key: String, request: String) -> Result<(), StoreError> {
        self.counters.last_idempotent += 1;
        let number = self.counters.last_idempotent;
        self.put_idempotent(&key, &Idempotent { request, began: self.time(), answer: None });
        self.put(keys::IDEMPOTENT, keys::idempotent_number(number), &key);
        if let Some(expired) = number.checked_sub(IDEMPOTENT_KEPT).filter(|&expired| expired > 0) {
            if let Some(old) = read::idempotent_number(self.view, expired)? {
                self.delete_idempotent(&old);
            }
            self.delete(keys::IDEMPOTENT, keys::idempotent_number(expired));
        }
        Ok(())
    }

    pub fn put_idempotent(&mut self, key: &str, record: &Idempotent) {
        self.put(keys::IDEMPOTENT, keys::idempotent(key), record);
    }

    pub fn delete_idempotent(&mut self, key: &str) {
        self.delete(keys::IDEMPOTENT, keys::idempotent(key));
    }

    fn audit<T: Serialize + PartialEq>(&mut self, target: String, before: Option<&T>, after: Option<&T>) {
        let Some(who) = self.who.clone().filter(|_| before != after) else { return };
        let json = |record: &T| serde_json::to_string(record).expect("records have string keys and plain values");
        let (before, after) = (before.map(json), after.map(json));
        self.counters.last_audit += 1;
        let (number, at) = (self.counters.last_audit, self.time());
        let record = AuditRecord { at, who, what: self.what.clone(), target, before, after };
        self.put(keys::AUDIT, keys::number(number), &record);
        if let Some(expired) = number.checked_sub(AUDIT_KEPT).filter(|&expired| expired > 0) {
            self.delete(keys::AUDIT, keys::number(expired));
        }
    }

    /// Everything, with the counters.
    pub fn into_mutations(mut self) -> Vec<Mutation> {
        let (meta, counters) = (self.meta, self.counters);
        self.put(keys::META, keys::META_KEY.into(), &meta);
        if counters != self.counted {
            self.put(keys::META, keys::COUNTERS_KEY.into(), &counters);
        }
        self.mutations
    }
}
