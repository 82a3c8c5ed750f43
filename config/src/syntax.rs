//! What is not even TOML.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::code::Code;
use crate::finding::{Finding, See};

/// Joins syntax errors with what the first pass found in the rest of the file.
///
/// The parser recovers by skipping, so what it lost must not be called missing,
/// nothing said about a broken line is worth reading,
/// and a bracket that is never closed explains all that comes after it.
pub(crate) fn merge(text: &str, root: &DeTable<'_>, errors: &[Error], found: Vec<Finding>) -> Vec<Finding> {
    let open = root.iter().filter_map(|(_, value)| unclosed(text, value)).min_by_key(|open| open.at);
    let explained = |at: usize| open.as_ref().is_some_and(|open| open.at <= at);
    let mut findings: Vec<Finding> = open.iter().map(Open::finding).collect();
    let mut broken: Vec<Range<usize>> = Vec::new();
    let mut places: Vec<(Range<usize>, &Error)> =
        errors.iter().map(|error| (place(text, error), error)).collect();
    places.sort_by_key(|(span, _)| span.start);
    for (span, error) in places {
        if explained(span.start) || broken.iter().any(|line| line.contains(&span.start)) {
            continue;
        }
        broken.push(line_of(text, &span));
        findings.push(finding(text, root, error, span));
    }
    let worth_reading = |finding: &Finding| {
        let at = finding.span.as_ref().map_or(0, |span| span.start);
        finding.code != Code::MissingField && !explained(at) && !broken.iter().any(|line| line.contains(&at))
    };
    findings.extend(found.into_iter().filter(worth_reading));
    findings
}

/// Where the first bracket that is never closed stands, and whether it opens a list.
struct Open {
    at: usize,
    list: bool,
}

impl Open {
    fn finding(&self) -> Finding {
        let (what, bracket) = if self.list { ("list", "]") } else { ("table", "}") };
        let text = format!("the {what} opened here, or one inside it, is never closed");
        let help = format!("close it with `{bracket}`; what comes after it was not looked at");
        broken(Code::Syntax, self.at..self.at + 1, text, help)
    }
}

/// The outermost bracket of a value that is never closed.
fn unclosed(text: &str, value: &Spanned<DeValue<'_>>) -> Option<Open> {
    let span = value.span();
    let source = text.get(span.clone())?;
    match value.get_ref() {
        DeValue::Array(_) if source.starts_with('[') && !source.ends_with(']') => {
            Some(Open { at: span.start, list: true })
        }
        DeValue::Table(_) if source.starts_with('{') && !source.ends_with('}') => {
            Some(Open { at: span.start, list: false })
        }
        DeValue::Array(list) => list.iter().find_map(|entry| unclosed(text, entry)),
        DeValue::Table(table) => table.iter().find_map(|(_, entry)| unclosed(text, entry)),
        _ => None,
    }
}

fn broken(code: Code, span: Range<usize>, text: String, help: String) -> Finding {
    Finding { code, path: String::new(), line: 0, column: 0, text, help, see: Vec::new(), span: Some(span) }
}

fn finding(text: &str, root: &DeTable<'_>, error: &Error, span: Range<usize>) -> Finding {
    if error.message() != "duplicate key" {
        let text = format!("this is not TOML: {}", error.message());
        return broken(Code::Syntax, span, text, help_for(error.message()).to_owned());
    }
    let key = text.get(span.clone()).unwrap_or_default().trim();
    let first = first_heading(text, key, span.start).or_else(|| first_key(root, key, span.start));
    let mut finding =
        broken(Code::DuplicateKey, span, format!("`{key}` is given twice"), "keep one of the two".to_owned());
    finding.see.extend(first.map(|span| See { line: 0, column: 0, text: "first here".to_owned(), span }));
    finding
}

fn help_for(message: &str) -> &'static str {
    if message.contains("string") || message.contains("quote") {
        "texts stand in double quotes on one line, as in name = \"gw-a\"; true and false stand without"
    } else if message.contains("array") {
        "lists are written as in [\"a\", \"b\"]"
    } else if message.contains("table") {
        "tables are written as in [gateway], [[port]] or { address = \"192.0.2.2\" }"
    } else {
        "lines are `key = value`, headings are [table] or [[list of tables]]; texts need quotes"
    }
}

/// The bytes that an error is about, inside the text and on character boundaries.
fn place(text: &str, error: &Error) -> Range<usize> {
    let span = error.span().unwrap_or(0..0);
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    start..end
}

/// The line around a place, with its line break.
fn line_of(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let after = text.get(span.start..).and_then(|after| after.find('\n'));
    start..after.map_or(text.len() + 1, |at| span.start + at + 1)
}

/// Where a table that is headed a second time at `before` was headed first.
///
/// The parser forgets the first one, so this looks at the text.
fn first_heading(text: &str, name: &str, before: usize) -> Option<Range<usize>> {
    let heads = |line: &str| line.trim().trim_start_matches('[').trim_end_matches(']').trim() == name;
    if !text.get(line_of(text, &(before..before)))?.trim_start().starts_with('[') {
        return None;
    }
    let mut start = 0;
    for line in text.get(..before)?.split_inclusive('\n') {
        if line.trim_start().starts_with('[') && heads(line) {
            let indent = line.len() - line.trim_start().len();
            return Some(start + indent..start + indent + line.trim().len());
        }
        start += line.len();
    }
    None
}

/// The last key of this name before a place: the one that a duplicate repeats.
fn first_key(table: &DeTable<'_>, name: &str, before: usize) -> Option<Range<usize>> {
    let bare = name.trim_matches(['"', '\'']);
    let mut nearest: Option<Range<usize>> = None;
    for (key, value) in table {
        let own = Some(key.span()).filter(|span| key.get_ref() == bare && span.end <= before);
        let inner = first_key_below(value, name, before);
        nearest = [nearest, own, inner].into_iter().flatten().max_by_key(|span| span.start);
    }
    nearest
}

fn first_key_below(value: &Spanned<DeValue<'_>>, name: &str, before: usize) -> Option<Range<usize>> {
    match value.get_ref() {
        DeValue::Table(table) => first_key(table, name, before),
        DeValue::Array(list) => {
            list.iter().filter_map(|entry| first_key_below(entry, name, before)).max_by_key(|span| span.start)
        }
        _ => None,
    }
}
