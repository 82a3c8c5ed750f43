//! A store in one file (redb).

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{Loaded, Store, StoreError, code};
use crate::server::{Identity, RegistrationKey, Save, Saved, SubscriptionKey};

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

const XTRS: Bytes = TableDefinition::new("xtrs");
const REGISTRATIONS: Bytes = TableDefinition::new("registrations");
const CONTEXTS: Bytes = TableDefinition::new("contexts");
const SUBSCRIPTIONS: Bytes = TableDefinition::new("subscriptions");
const NUMBERS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("numbers");
const NOTICE_NONCES: &str = "notice_nonces";

/// Bytes of the file kept in memory: it is written to, and read once.
const CACHE: usize = 8 << 20;
/// Values given at a time.
const PART: usize = 4096;

/// A store in one file, which no other process may have open.
#[derive(Debug)]
pub struct FileStore {
    database: Database,
}

impl FileStore {
    /// Opens the file, or makes a new one. Errors: [`StoreError::Open`].
    pub fn open(path: &Path) -> Result<FileStore, StoreError> {
        let database = Database::builder()
            .set_cache_size(CACHE)
            .create(path)
            .map_err(|error| StoreError::Open(error.into()))?;
        let store = FileStore { database };
        // Makes the tables, so that reading need not care.
        store.change(|_| Ok(())).map_err(StoreError::Open)?;
        Ok(store)
    }

    fn change(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(XTRS)?;
        transaction.open_table(REGISTRATIONS)?;
        transaction.open_table(CONTEXTS)?;
        transaction.open_table(SUBSCRIPTIONS)?;
        transaction.open_table(NUMBERS)?;
        change(&transaction)?;
        transaction.commit()?;
        Ok(())
    }

    fn read<T>(
        &self,
        table: Bytes,
        decode: impl Fn(&[u8], &[u8]) -> Option<T>,
        loaded: &mut Loaded,
        mut each: impl FnMut(Vec<T>),
    ) -> Result<(), redb::Error> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(table)?;
        let mut part = Vec::with_capacity(PART);
        for entry in table.iter()? {
            let (key, value) = entry?;
            match decode(key.value(), value.value()) {
                Some(value) => part.push(value),
                None => loaded.unreadable += 1,
            }
            if part.len() == PART {
                loaded.values += part.len();
                each(std::mem::replace(&mut part, Vec::with_capacity(PART)));
            }
        }
        loaded.values += part.len();
        each(part);
        Ok(())
    }

    fn load_all(&self, each: &mut dyn FnMut(Saved)) -> Result<Loaded, redb::Error> {
        let mut loaded = Loaded::default();
        let notice_nonces = {
            let numbers = self.database.begin_read()?.open_table(NUMBERS)?;
            numbers.get(NOTICE_NONCES)?.map_or(0, |number| number.value())
        };
        each(Saved { notice_nonces, ..Saved::default() });
        self.read(XTRS, code::read_xtr, &mut loaded, |xtrs| each(Saved { xtrs, ..Saved::default() }))?;
        self.read(REGISTRATIONS, code::read_registration, &mut loaded, |registrations| {
            each(Saved { registrations, ..Saved::default() });
        })?;
        self.read(CONTEXTS, code::read_context, &mut loaded, |contexts| {
            each(Saved { contexts, ..Saved::default() });
        })?;
        self.read(SUBSCRIPTIONS, code::read_subscription, &mut loaded, |subscriptions| {
            each(Saved { subscriptions, ..Saved::default() });
        })?;
        Ok(loaded)
    }
}

/// Where a change goes. Places in order are neighbours in the file, as far as that matters: a million changes in the
/// order in which they came would touch a page of the file each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    Number,
    Xtr(&'a str, Identity),
    Registration(&'a RegistrationKey),
    Context(&'a RegistrationKey),
    Subscription(&'a SubscriptionKey),
}

impl Place<'_> {
    fn of(save: &Save) -> Place<'_> {
        match save {
            Save::NoticeNonces(_) => Place::Number,
            Save::Xtr(saved) => Place::Xtr(&saved.site, saved.identity),
            Save::XtrGone(site, identity) => Place::Xtr(site, *identity),
            Save::Registration(saved) => Place::Registration(&saved.key),
            Save::RegistrationGone(key) => Place::Registration(key),
            Save::Context(saved) => Place::Context(&saved.key),
            Save::ContextGone(key) => Place::Context(key),
            Save::Subscription(saved) => Place::Subscription(&saved.key),
            Save::SubscriptionGone(key) => Place::Subscription(key),
        }
    }
}

/// Changes in the order of their places. Of each place only the last one counts, the others need not be written.
fn in_place(saves: &[Save]) -> Vec<&Save> {
    let mut sorted: Vec<&Save> = saves.iter().collect();
    // Stable, so that turned round the newest of each place comes first, and is kept.
    sorted.sort_by(|a, b| Place::of(b).cmp(&Place::of(a)));
    sorted.reverse();
    sorted.dedup_by(|older, newest| Place::of(older) == Place::of(newest));
    sorted
}

impl Store for FileStore {
    fn write(&mut self, saves: &[Save]) -> Result<(), StoreError> {
        let write = |transaction: &WriteTransaction| {
            let mut xtrs = transaction.open_table(XTRS)?;
            let mut registrations = transaction.open_table(REGISTRATIONS)?;
            let mut contexts = transaction.open_table(CONTEXTS)?;
            let mut subscriptions = transaction.open_table(SUBSCRIPTIONS)?;
            let mut numbers = transaction.open_table(NUMBERS)?;
            for save in in_place(saves) {
                match save {
                    Save::Registration(saved) => {
                        let (key, value) = (code::registration_key(&saved.key), code::registration(saved));
                        registrations.insert(key.as_slice(), value.as_slice())?;
                    }
                    Save::RegistrationGone(key) => {
                        registrations.remove(code::registration_key(key).as_slice())?;
                    }
                    Save::Context(saved) => {
                        let (key, value) = (code::registration_key(&saved.key), code::context(saved));
                        contexts.insert(key.as_slice(), value.as_slice())?;
                    }
                    Save::ContextGone(key) => {
                        contexts.remove(code::registration_key(key).as_slice())?;
                    }
                    Save::Xtr(saved) => {
                        let (key, value) = (code::xtr_key(&saved.site, saved.identity), code::xtr(saved));
                        xtrs.insert(key.as_slice(), value.as_slice())?;
                    }
                    Save::XtrGone(site, identity) => {
                        xtrs.remove(code::xtr_key(site, *identity).as_slice())?;
                    }
                    Save::Subscription(saved) => {
                        let (key, value) = (code::subscription_key(&saved.key), code::subscription(saved));
                        subscriptions.insert(key.as_slice(), value.as_slice())?;
                    }
                    Save::SubscriptionGone(key) => {
                        subscriptions.remove(code::subscription_key(key).as_slice())?;
                    }
                    Save::NoticeNonces(nonce) => {
                        numbers.insert(NOTICE_NONCES, *nonce)?;
                    }
                }
            }
            Ok(())
        };
        self.change(write).map_err(StoreError::Write)
    }

    fn load(&mut self, each: &mut dyn FnMut(Saved)) -> Result<Loaded, StoreError> {
        self.load_all(each).map_err(StoreError::Read)
    }
}

#[cfg(test)]
#[path = "file/test.rs"]
mod test;
