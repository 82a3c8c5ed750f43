//! The second pass's eyes: typed values out of the parsed tree, each with its place.
//!
//! It says nothing: whatever is wrong with a value by itself was reported by [`crate::shape`],
//! so here it is only [`Given::Bad`], and rules that need it are not asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use sterna_wire::{Iid, Mac, Prefix, VlanId};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::field::{Field, Kind, Section};
use crate::finding::{At, Findings, Located};
use crate::{form, shape};

/// A table of the tree with its section and its place.
pub(crate) struct Node<'a, 'd> {
    pub section: &'static Section,
    pub table: &'a DeTable<'d>,
    pub at: At,
}

/// What stands under a key.
pub(crate) enum Given<T> {
    /// Nothing; the place is where it would belong.
    Absent(At),
    /// Something that was reported already.
    Bad,
    Is(Located<T>),
}

/// The entries of a list that are right, and whether that is all of them.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub entries: Vec<Located<T>>,
    pub whole: bool,
    pub at: At,
}

impl<T> Given<T> {
    /// The value, or nothing when it is bad or absent.
    pub fn required(self) -> Option<Located<T>> {
        match self {
            Given::Is(located) => Some(located),
            Given::Absent(_) | Given::Bad => None,
        }
    }

    /// The value or its default; nothing only when it is bad.
    pub fn or(self, default: T) -> Option<Located<T>> {
        match self {
            Given::Is(located) => Some(located),
            Given::Absent(at) => Some(Located { value: default, at }),
            Given::Bad => None,
        }
    }

    /// The value or that there is none; nothing only when it is bad.
    pub fn optional(self) -> Option<Located<Option<T>>> {
        match self {
            Given::Is(Located { value, at }) => Some(Located { value: Some(value), at }),
            Given::Absent(at) => Some(Located { value: None, at }),
            Given::Bad => None,
        }
    }
}

impl<T> Listed<T> {
    /// The values alone; nothing when one was bad.
    pub fn into_values(self) -> Option<Vec<T>> {
        self.whole.then(|| self.entries.into_iter().map(|entry| entry.value).collect())
    }
}

impl<'a, 'd> Node<'a, 'd> {
    /// The value under a key.
    pub fn get<T: FromToml>(&self, key: &str) -> Given<T> {
        match (self.section.field(key), self.table.get(key)) {
            (None, _) => Given::Bad,
            (Some(_), None) => {
                Given::Absent(At { path: self.at.key(key, 0..0).path, span: self.at.span.clone() })
            }
            (Some(field), Some(value)) => {
                let at = self.at.key(key, value.span());
                match fits(field, &field.kind, value, &at).then(|| T::from_toml(value.get_ref())).flatten() {
                    Some(value) => Given::Is(Located { value, at }),
                    None => Given::Bad,
                }
            }
        }
    }

    /// The entries under a key; none when it is absent.
    pub fn list<T>(
        &self,
        key: &str,
        mut entry: impl FnMut(&Spanned<DeValue<'d>>, At) -> Option<T>,
    ) -> Listed<T> {
        let Some(value) = self.table.get(key) else {
            let at = At { path: self.at.key(key, 0..0).path, span: self.at.span.clone() };
            return Listed { entries: Vec::new(), whole: true, at };
        };
        let at = self.at.key(key, value.span());
        let Some(array) = value.get_ref().as_array() else {
            return Listed { entries: Vec::new(), whole: false, at };
        };
        let entries: Vec<_> = array
            .iter()
            .enumerate()
            .filter_map(|(index, value)| {
                let at = at.entry(index, value.span());
                Some(Located { value: entry(value, at.clone())?, at })
            })
            .collect();
        Listed { whole: entries.len() == array.len(), entries, at }
    }

    /// The values under a key that need no table of their own.
    pub fn values<T: FromToml>(&self, key: &str) -> Listed<T> {
        self.list(key, |value, at| {
            let field = self.section.field(key)?;
            let Kind::List { of, .. } = &field.kind else {
                return None;
            };
            fits(field, of, value, &at).then(|| T::from_toml(value.get_ref())).flatten()
        })
    }

    /// The table under a key; an empty one when it is absent or no table.
    pub fn table<R>(&self, key: &str, section: &'static Section, read: impl FnOnce(&Node<'_, '_>) -> R) -> R {
        let empty = DeTable::new();
        let value = self.table.get(key);
        let span = value.map_or(self.at.span.clone(), Spanned::span);
        let table = value.and_then(|value| value.get_ref().as_table()).unwrap_or(&empty);
        read(&Node { section, table, at: self.at.key(key, span) })
    }

    /// The table under a key and its place; nothing when it is absent.
    pub fn optional_table<R>(
        &self,
        key: &str,
        section: &'static Section,
        read: impl FnOnce(&Node<'_, '_>) -> R,
    ) -> Option<Located<R>> {
        let span = self.table.get(key)?.span();
        Some(Located { value: self.table(key, section, read), at: self.at.key(key, span) })
    }

    /// The places of the keys that stand in the table.
    pub fn given(&self) -> BTreeMap<&'static str, At> {
        let fields = self.section.fields.iter();
        fields
            .filter_map(|field| Some((field.key, self.at.key(field.key, self.table.get(field.key)?.span()))))
            .collect()
    }

    /// The tables of a `[[key]]`, each read; entries that are no tables are left out.
    pub fn tables<T>(
        &self,
        key: &str,
        section: &'static Section,
        read: impl Fn(&Node<'_, '_>) -> T,
    ) -> Listed<T> {
        self.list(key, |value, at| {
            let table = value.get_ref().as_table()?;
            Some(read(&Node { section, table, at }))
        })
    }
}

/// Whether a value is of its kind, as the first pass judged it.
fn fits(field: &Field, kind: &Kind, value: &Spanned<DeValue<'_>>, at: &At) -> bool {
    let found = Findings::default();
    shape::check_value(field, kind, value, at, &found);
    found.is_empty()
}

/// Types that a TOML value can stand for.
pub(crate) trait FromToml: Sized {
    /// The value, if it is one.
    fn from_toml(value: &DeValue<'_>) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FromToml for $type {
            fn from_toml(value: &DeValue<'_>) -> Option<Self> {
                value.as_integer().and_then(shape::number)?.try_into().ok()
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, usize);

macro_rules! texts {
    ($($type:ty = $parse:expr;)*) => {$(
        impl FromToml for $type {
            fn from_toml(value: &DeValue<'_>) -> Option<Self> {
                let parse: fn(&str) -> Option<Self> = $parse;
                parse(value.as_str()?)
            }
        }
    )*};
}

texts! {
    String = |text| Some(text.to_owned());
    PathBuf = |text| Some(text.into());
    IpAddr = |text| form::address(text).ok();
    Prefix = |text| form::prefix(text).ok();
    (IpAddr, u8) = |text| form::subnet(text).ok();
    Mac = |text| form::mac(text).ok();
    [u8; 16] = |text| form::xtr_id(text).ok();
}

/// Thousandths of a number from 0 to 1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permille(pub u16);

impl FromToml for Permille {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        shape::permille(value).map(Permille)
    }
}

impl FromToml for bool {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl FromToml for Iid {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        u32::from_toml(value).and_then(Iid::new)
    }
}

impl FromToml for VlanId {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        u16::from_toml(value).and_then(VlanId::new)
    }
}
