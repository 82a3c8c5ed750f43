//! Reads typed values out of one table of a profile, reports what is wrong with them, and what is not known.

use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::Findings;

/// A value with its place in the text.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// One table of the profile while it is read.
pub(crate) struct Section<'a, 'd> {
    name: &'static str,
    table: Option<&'a DeTable<'d>>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

/// An element of a list.
pub(crate) type Entry<'a, 'd> = &'a Spanned<DeValue<'d>>;

impl<'a, 'd> Section<'a, 'd> {
    /// The whole file.
    pub fn root(table: &'a Spanned<DeTable<'d>>) -> Self {
        Self { name: "", table: Some(table.get_ref()), span: 0..0, known: Vec::new() }
    }

    /// One table of a list of tables.
    pub fn entry(name: &'static str, value: Entry<'a, 'd>) -> Self {
        Section { name, table: value.get_ref().as_table(), span: value.span(), known: Vec::new() }
    }

    /// A table below this one; an absent one has no keys.
    pub fn section(&mut self, name: &'static str, findings: &mut Findings<'_>) -> Section<'a, 'd> {
        let found = self.value(name);
        let table = found.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (found, table) {
            findings.add(
                &value.span(),
                name,
                "this is no table",
                format!("write `[{name}]` and its keys below it"),
            );
        }
        let span = found.map_or(0..0, Spanned::span);
        Section { name, table, span, known: Vec::new() }
    }

    /// Whether the table is there.
    pub fn is_given(&self) -> bool {
        self.table.is_some()
    }

    /// Whether there is nothing of this name, not even what is no table.
    pub fn is_absent(&self) -> bool {
        self.table.is_none() && self.span.is_empty()
    }

    /// Where the table begins.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether a table that is there has no such key.
    pub fn lacks(&self, key: &str) -> bool {
        self.table.is_some_and(|table| !table.contains_key(key))
    }

    /// A section without keys.
    pub fn empty(&self) -> Self {
        Self { name: self.name, table: None, span: 0..0, known: Vec::new() }
    }

    /// A key's full name.
    pub fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// The raw value of a key.
    pub fn value(&mut self, key: &'static str) -> Option<Entry<'a, 'd>> {
        self.known.push(key);
        self.table.and_then(|table| table.get(key))
    }

    /// A whole number within a range.
    pub fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u64>,
        findings: &mut Findings<'_>,
    ) -> Option<Placed<u64>> {
        let value = self.value(key)?;
        let number = integer(value).filter(|number| range.contains(number));
        if number.is_none() {
            let help = format!("give a whole number from {} to {}", range.start(), range.end());
            findings.add(&value.span(), &self.key(key), "this is not a number that fits", help);
        }
        number.map(|number| Placed { value: number, span: value.span() })
    }

    /// A number with or without a fraction, within a range.
    pub fn fraction(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f64>,
        findings: &mut Findings<'_>,
    ) -> Option<Placed<f64>> {
        let value = self.value(key)?;
        let text = match value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) => integer.as_str(),
            _ => "",
        };
        let number = text.replace('_', "").parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let help = format!("give a number from {} to {}", range.start(), range.end());
            findings.add(&value.span(), &self.key(key), "this is not a number that fits", help);
        }
        number.map(|number| Placed { value: number, span: value.span() })
    }

    /// A text.
    pub fn text(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Placed<String>> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            findings.add(&value.span(), &self.key(key), "this is no text", "put it between quotation marks");
        }
        text.map(|text| Placed { value: text.to_owned(), span: value.span() })
    }

    /// A text that means something, such as an address; `like` is an example of one.
    pub fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        like: &str,
        findings: &mut Findings<'_>,
    ) -> Option<Placed<T>> {
        let text = self.text(key, findings)?;
        let parsed = text.value.parse().ok();
        if parsed.is_none() {
            let said = format!("`{}` cannot be read", text.value);
            findings.add(&text.span, &self.key(key), said, format!("write it like `{like}`"));
        }
        parsed.map(|value| Placed { value, span: text.span })
    }

    /// A list's entries, each read by `read`; what `read` refuses is reported with `help`.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        help: &str,
        findings: &mut Findings<'_>,
        read: impl Fn(Entry<'a, 'd>) -> Option<T>,
    ) -> Option<Vec<Placed<T>>> {
        let value = self.value(key)?;
        let Some(array) = value.get_ref().as_array() else {
            findings.add(&value.span(), &self.key(key), "this is no list", help);
            return None;
        };
        if array.is_empty() {
            findings.add(&value.span(), &self.key(key), "this list is empty", help);
        }
        let mut entries = Vec::with_capacity(array.len());
        for entry in array.iter() {
            match read(entry) {
                Some(value) => entries.push(Placed { value, span: entry.span() }),
                None => findings.add(&entry.span(), &self.key(key), "this entry cannot be used", help),
            }
        }
        Some(entries)
    }

    /// Reports that a key is missing.
    pub fn missing(&self, key: &str, help: &str, findings: &mut Findings<'_>) {
        let span = self.span();
        findings.add(&span, &self.key(key), "this key is missing", help);
    }

    /// Reports every key that was not asked for.
    pub fn finish(self, findings: &mut Findings<'_>) {
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            if !self.known.contains(&key.get_ref().as_ref()) {
                let help = format!("remove it, or use one of: {}", self.known.join(", "));
                findings.add(&key.span(), &self.key(key.get_ref()), "this key is not known", help);
            }
        }
    }
}

/// A whole number that is not negative.
pub(crate) fn integer(value: Entry<'_, '_>) -> Option<u64> {
    let integer = value.get_ref().as_integer()?;
    u64::from_str_radix(&integer.as_str().replace(['_', '+'], ""), integer.radix()).ok()
}
