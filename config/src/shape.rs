//! The first pass: does every field exist, and is every value of its kind?
//!
//! It walks the parsed tree by the section tables and reports all it sees.
//! What the values mean together is for [`crate::rules`].

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use crate::code::Code;
use crate::field::{Field, Form, Kind, Need, Section, one_of};
use crate::finding::{At, Findings};
use crate::form;
use crate::suggest::closest;

/// Judges one table and everything below it.
pub(crate) fn check_table(section: &'static Section, table: &DeTable<'_>, at: &At, found: &Findings) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match section.field(name) {
            Some(field) => check_value(field, &field.kind, value, &at.key(name, value.span()), found),
            None => unknown(section, name, &at.key(name, key.span()), found),
        }
    }
    for field in section.fields {
        if field.need == Need::Required && !table.contains_key(field.key) {
            missing(section, field, at, found);
        }
    }
}

fn unknown(section: &Section, name: &str, at: &At, found: &Findings) {
    if let Some((_, purpose)) = section.reserved.iter().find(|(key, _)| *key == name) {
        let text = format!("`{name}` is not supported yet");
        return found.push(
            Code::NotSupportedYet,
            at,
            text,
            format!("take it out: it is for {purpose}, which a later release brings"),
        );
    }
    let keys: Vec<&str> = section.fields.iter().map(|field| field.key).collect();
    let help = match closest(name, &keys) {
        Some(key) => format!("did you mean `{key}`?"),
        None => format!("known here: {}", keys.join(", ")),
    };
    found.push(Code::UnknownField, at, format!("`{name}` is not a field of {}", section.name), help);
}

fn missing(section: &Section, field: &Field, at: &At, found: &Findings) {
    let at = At { path: at.key(field.key, 0..0).path, span: at.span.clone() };
    let text = format!("{} lacks `{}`", section.name, field.key);
    let section = match field.kind {
        Kind::Table(inner) => Some(inner),
        Kind::List { of: Kind::Table(inner), .. } => Some(*inner),
        _ => None,
    };
    let help = match section.filter(|section| section.name.starts_with('[')) {
        Some(inner) => format!("add {}: {}", inner.name, inner.meaning),
        None => format!("add `{} = {}`: {}", field.key, field.example, field.meaning),
    };
    found.push(Code::MissingField, &at, text, help);
}

pub(crate) fn check_value(
    field: &Field,
    kind: &Kind,
    value: &Spanned<DeValue<'_>>,
    at: &At,
    found: &Findings,
) {
    match (kind, value.get_ref()) {
        (Kind::Bool, DeValue::Boolean(_)) => {}
        (Kind::Integer { min, max, why }, DeValue::Integer(integer)) => {
            check_range(field, integer, (*min, *max, why), at, found);
        }
        (Kind::Text(form), DeValue::String(text)) => check_text(field, *form, text, at, found),
        (Kind::Word { words, later }, DeValue::String(text)) => {
            check_word(field, (words, later), text, at, found);
        }
        (Kind::Fraction, DeValue::Integer(_) | DeValue::Float(_)) => {
            check_fraction(field, value.get_ref(), at, found);
        }
        (Kind::WordOr { words, .. }, DeValue::String(text)) => {
            check_word(field, (words, &[]), text, at, found)
        }
        (Kind::WordOr { min, max, .. }, DeValue::Integer(integer)) => {
            check_range(field, integer, (*min, *max, ""), at, found);
        }
        (Kind::List { of, min, max }, DeValue::Array(list)) => {
            check_list(field, of, (*min, *max), list, at, found);
        }
        (Kind::Table(section), DeValue::Table(table)) => check_table(section, table, at, found),
        (Kind::PrefixOr(_), DeValue::String(text)) => check_text(field, Form::Prefix, text, at, found),
        (Kind::PrefixOr(section), DeValue::Table(table)) => check_table(section, table, at, found),
        (_, other) => wrong_type(field, kind, other, at, found),
    }
}

fn wrong_type(field: &Field, kind: &Kind, value: &DeValue<'_>, at: &At, found: &Findings) {
    let got = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a floating-point number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let text = format!("`{}` must be {}, not {got}", last(at), kind.in_words());
    let help = match (kind, value) {
        (Kind::List { of: Kind::Table(_), .. }, DeValue::Table(_)) => {
            format!("write `[[{}]]` with two brackets: there may be several", field.key)
        }
        (Kind::Table(_), DeValue::Array(_)) => {
            format!("write `[{}]` with one bracket: there is only one", field.key)
        }
        (Kind::Integer { .. }, DeValue::String(text)) if text.parse::<i64>().is_ok() => {
            format!("write it without quotes: `{} = {text}`", field.key)
        }
        (Kind::Bool, DeValue::String(text)) if text == "true" || text == "false" => {
            format!("write it without quotes: `{} = {text}`", field.key)
        }
        _ => format!("write for instance `{} = {}`", field.key, field.example),
    };
    found.push(Code::WrongType, at, text, help);
}

fn check_range(
    field: &Field,
    integer: &DeInteger<'_>,
    (min, max, why): (i64, i64, &str),
    at: &At,
    found: &Findings,
) {
    if number(integer).is_some_and(|number| (min..=max).contains(&number)) {
        return;
    }
    let text = format!("`{}` must be from {min} to {max}, not {integer}", last(at));
    let help = if why.is_empty() {
        format!("write for instance `{} = {}`", field.key, field.example)
    } else {
        why.to_owned()
    };
    found.push(Code::OutOfRange, at, text, help);
}

fn check_fraction(field: &Field, value: &DeValue<'_>, at: &At, found: &Findings) {
    if permille(value).is_some() {
        return;
    }
    let number = match value {
        DeValue::Integer(integer) => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        _ => "another value",
    };
    let text = format!("`{}` must be from 0 to 1, not {number}", last(at));
    let help = format!("1 is all of it: write for instance `{} = {}`", field.key, field.example);
    found.push(Code::OutOfRange, at, text, help);
}

/// The thousandths of a number from 0 to 1, rounded; none outside.
pub(crate) fn permille(value: &DeValue<'_>) -> Option<u16> {
    let share: f64 = match value {
        DeValue::Integer(integer) => i32::try_from(number(integer)?).ok()?.into(),
        DeValue::Float(float) => float.as_str().parse().ok()?,
        _ => return None,
    };
    (0.0..=1.0).contains(&share).then(|| (share * 1000.0).round() as u16)
}

/// The value of an integer; none outside 64 bits.
pub(crate) fn number(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn check_text(field: &Field, form: Form, text: &str, at: &At, found: &Findings) {
    if let Err(misfit) = form::check(form, text) {
        let text = format!("`{}`: \"{}\" {}", last_of(field, at), text.escape_debug(), misfit.text);
        found.push(misfit.code, at, text, misfit.help);
    }
}

fn check_word(field: &Field, (words, later): (&[&str], &[&str]), text: &str, at: &At, found: &Findings) {
    if words.contains(&text) {
        return;
    }
    if later.contains(&text) {
        let help = format!("this release knows {}", one_of(words));
        return found.push(
            Code::NotSupportedYet,
            at,
            format!("`{}`: \"{text}\" is not supported yet", field.key),
            help,
        );
    }
    let help = match closest(text, words) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => format!("write {}", one_of(words)),
    };
    let text = format!("`{}` must be {}, not \"{}\"", last_of(field, at), one_of(words), text.escape_debug());
    found.push(Code::UnknownWord, at, text, help);
}

fn check_list(
    field: &Field,
    of: &'static Kind,
    (min, max): (usize, usize),
    list: &DeArray<'_>,
    at: &At,
    found: &Findings,
) {
    let count = list.len();
    if count < min {
        let text = format!("`{}` has {count} entries and needs {min}", field.key);
        found.push(
            Code::BadCount,
            at,
            text,
            format!("write for instance `{} = {}`", field.key, field.example),
        );
    } else if count > max {
        let text = format!("`{}` has {count} entries; {max} are the most", field.key);
        found.push(Code::BadCount, at, text, format!("leave out {}", count - max));
    }
    for (index, value) in list.iter().enumerate() {
        check_value(field, of, value, &at.entry(index, value.span()), found);
    }
}

/// The last step of a path, such as `eids[0]`.
fn last(at: &At) -> &str {
    at.path.rsplit('.').next().unwrap_or(&at.path)
}

/// As [`last`], and the key itself where the path has none.
fn last_of<'a>(field: &'a Field, at: &'a At) -> &'a str {
    match last(at) {
        "" => field.key,
        step => step,
    }
}
