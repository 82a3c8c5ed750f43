//! One kind of record: what it shall be, and what of it the dataplane has been told.

use std::collections::{BTreeMap, BTreeSet};

/// Entries of one kind, by key.
///
/// A key is *dirty* while the dataplane has not been told its present value. Any number of changes to a key
/// leave it dirty once, so what waits is bounded by the number of keys, however long the ring is full.
#[derive(Debug)]
pub struct Shelf<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    upserts: BTreeSet<K>,
    deletes: BTreeSet<K>,
    ids: Ids,
}

/// What a kind of record is referred to by.
#[derive(Debug)]
enum Ids {
    /// A number of the session, the smallest free one first, so that the dataplane may index by it.
    Numbers { next: u32, free: BTreeSet<u32> },
    /// Its key; there may be millions.
    None,
}

#[derive(Debug)]
struct Entry<V> {
    /// None: to be deleted.
    want: Option<V>,
    /// The dataplane knows this key, with this or an older value.
    told: bool,
    id: u32,
}

impl Ids {
    fn take(&mut self) -> u32 {
        match self {
            Ids::None => 0,
            Ids::Numbers { next, free } => free.pop_first().unwrap_or_else(|| {
                *next += 1;
                *next - 1
            }),
        }
    }

    fn give_back(&mut self, id: u32) {
        if let Ids::Numbers { free, .. } = self {
            free.insert(id);
        }
    }
}

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            upserts: BTreeSet::new(),
            deletes: BTreeSet::new(),
            ids: Ids::Numbers { next: 0, free: BTreeSet::new() },
        }
    }
}

impl<K: Ord + Clone, V: PartialEq> Shelf<K, V> {
    /// A kind that nothing refers to by number.
    pub fn without_ids() -> Self {
        Self { ids: Ids::None, ..Self::default() }
    }

    /// `key` is told again although it did not change; nothing happens to a key that is not wanted.
    pub fn say_again(&mut self, key: &K) {
        if self.get(key).is_some() {
            self.upserts.insert(key.clone());
        }
    }

    /// What `key` shall be; none to have it deleted.
    pub fn want(&mut self, key: &K, value: Option<V>) {
        match self.entries.get_mut(key) {
            Some(entry) if entry.want == value => {}
            Some(entry) if value.is_none() && !entry.told => self.forget(key),
            Some(entry) => {
                let (to, from) = match value {
                    Some(_) => (&mut self.upserts, &mut self.deletes),
                    None => (&mut self.deletes, &mut self.upserts),
                };
                entry.want = value;
                from.remove(key);
                to.insert(key.clone());
            }
            None if value.is_none() => {}
            None => {
                let entry = Entry { want: value, told: false, id: self.ids.take() };
                self.entries.insert(key.clone(), entry);
                self.upserts.insert(key.clone());
            }
        }
    }

    /// What all keys shall be; keys not in `all` are to be deleted.
    pub fn want_exactly(&mut self, all: BTreeMap<K, V>) {
        let gone: Vec<K> =
            self.wanted().filter(|(key, _)| !all.contains_key(key)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.want(&key, None);
        }
        for (key, value) in all {
            self.want(&key, Some(value));
        }
    }

    /// All keys and values that shall be.
    pub fn wanted(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().filter_map(|(key, entry)| Some((key, entry.want.as_ref()?)))
    }

    /// Keys that shall be.
    pub fn count(&self) -> usize {
        self.entries.len() - self.deletes.len()
    }

    /// What `key` shall be.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)?.want.as_ref()
    }

    /// A dataplane that knows nothing of ours: everything is dirty, nothing needs deleting.
    pub fn tell_all_again(&mut self) {
        let (ids, upserts) = (&mut self.ids, &mut self.upserts);
        self.entries.retain(|_, entry| {
            entry.told = false;
            if entry.want.is_none() {
                ids.give_back(entry.id);
            }
            entry.want.is_some()
        });
        upserts.extend(self.entries.keys().cloned());
        self.deletes.clear();
    }

    /// The number of `key` within the session.
    pub fn id(&self, key: &K) -> Option<u32> {
        self.entries.get(key).map(|entry| entry.id)
    }

    /// The first key to upsert, with its number and value.
    pub fn first_upsert(&self) -> Option<(&K, u32, &V)> {
        let key = self.upserts.first()?;
        let entry = self.entries.get(key)?;
        Some((key, entry.id, entry.want.as_ref()?))
    }

    /// The dataplane has been told the first upsert.
    pub fn told_upsert(&mut self) {
        if let Some(entry) = self.upserts.pop_first().and_then(|key| self.entries.get_mut(&key)) {
            entry.told = true;
        }
    }

    /// The first key to delete, with its number.
    pub fn first_delete(&self) -> Option<(&K, u32)> {
        let key = self.deletes.first()?;
        Some((key, self.entries.get(key)?.id))
    }

    /// The dataplane has been told the first delete; its number is free again.
    pub fn told_delete(&mut self) {
        if let Some(key) = self.deletes.first().cloned() {
            self.forget(&key);
        }
    }

    /// Keys the dataplane has not been told of.
    pub fn dirty(&self) -> usize {
        self.upserts.len() + self.deletes.len()
    }

    fn forget(&mut self, key: &K) {
        self.upserts.remove(key);
        self.deletes.remove(key);
        if let Some(entry) = self.entries.remove(key) {
            self.ids.give_back(entry.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upserts(shelf: &mut Shelf<char, u32>) -> Vec<(char, u32, u32)> {
        let mut told = Vec::new();
        while let Some((key, id, value)) = shelf.first_upsert() {
            told.push((*key, id, *value));
            shelf.told_upsert();
        }
        told
    }

    #[test]
    fn changes_of_a_key_coalesce() {
        let mut shelf = Shelf::default();
        for value in 0..100 {
            shelf.want(&'a', Some(value));
        }
        assert_eq!(shelf.dirty(), 1);
        assert_eq!(upserts(&mut shelf), vec![('a', 0, 99)]);
        shelf.want(&'a', Some(99));
        assert_eq!(shelf.dirty(), 0, "the same value is no change");
    }

    #[test]
    fn a_key_that_was_never_told_is_simply_forgotten() {
        let mut shelf = Shelf::default();
        shelf.want(&'a', Some(1));
        shelf.want(&'a', None);
        assert_eq!(shelf.dirty(), 0);
        shelf.want(&'b', Some(1));
        assert_eq!(upserts(&mut shelf), vec![('b', 0, 1)], "and its number is free");
    }

    #[test]
    fn a_delete_keeps_the_number_until_it_is_told() {
        let mut shelf = Shelf::default();
        shelf.want(&'a', Some(1));
        upserts(&mut shelf);
        shelf.want(&'a', None);
        shelf.want(&'b', Some(2));
        assert_eq!(upserts(&mut shelf), vec![('b', 1, 2)]);
        assert_eq!(shelf.first_delete(), Some((&'a', 0)));
        shelf.told_delete();
        assert_eq!(shelf.first_delete(), None);
        shelf.want(&'c', Some(3));
        assert_eq!(upserts(&mut shelf), vec![('c', 0, 3)]);
    }

    #[test]
    fn a_key_that_comes_back_is_told_again_not_deleted() {
        let mut shelf = Shelf::default();
        shelf.want(&'a', Some(1));
        upserts(&mut shelf);
        shelf.want(&'a', None);
        shelf.want(&'a', Some(2));
        assert_eq!(shelf.first_delete(), None);
        assert_eq!(upserts(&mut shelf), vec![('a', 0, 2)]);
    }

    #[test]
    fn a_confirmation_is_said_once_and_only_of_what_is_wanted() {
        let mut shelf = Shelf::without_ids();
        shelf.want(&'a', Some(1));
        upserts(&mut shelf);
        shelf.say_again(&'a');
        shelf.say_again(&'a');
        shelf.say_again(&'b');
        assert_eq!(upserts(&mut shelf), vec![('a', 0, 1)]);
        shelf.want(&'a', None);
        shelf.say_again(&'a');
        assert_eq!(upserts(&mut shelf), vec![], "a deletion is not taken back");
        assert_eq!(shelf.first_delete(), Some((&'a', 0)));
    }

    #[test]
    fn a_new_dataplane_is_told_everything_and_no_delete() {
        let mut shelf = Shelf::default();
        shelf.want_exactly([('a', 1), ('b', 2), ('c', 3)].into());
        upserts(&mut shelf);
        shelf.want_exactly([('a', 1), ('c', 4)].into());
        shelf.tell_all_again();
        assert_eq!(shelf.first_delete(), None);
        let told = upserts(&mut shelf);
        assert_eq!(
            told.iter().map(|(key, _, value)| (*key, *value)).collect::<Vec<_>>(),
            vec![('a', 1), ('c', 4)]
        );
    }
}
