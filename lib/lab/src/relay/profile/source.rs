//! Where a figure of a profile comes from.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::finding::Findings;

/// How good a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A standard or an RFC says so.
    Standard,
    /// Somebody measured and published it.
    Measured,
    /// Our own choice, of the right order.
    Orientation,
}

/// The source of some figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Their keys, such as `up.delay_ms`.
    pub of: Vec<String>,
    /// How good it is.
    pub kind: Kind,
    /// Where it stands; for an orientation, what it goes by.
    pub place: String,
    /// What it says.
    pub says: String,
}

/// A source with the places of the keys that it names.
pub(super) struct Placed {
    pub source: Source,
    pub of: Vec<(String, Range<usize>)>,
}

const KEYS: [&str; 4] = ["of", "kind", "where", "says"];

/// Reads one `[[source]]`.
pub(super) fn read(table: &DeTable<'_>, span: &Range<usize>, findings: &mut Findings<'_>) -> Option<Placed> {
    for (key, _) in table.iter().filter(|(key, _)| !KEYS.contains(&key.get_ref().as_ref())) {
        let help = format!("remove it, or use one of: {}", KEYS.join(", "));
        findings.add(&key.span(), &format!("source.{}", key.get_ref()), "this key is not known", help);
    }
    let text = |key: &str, findings: &mut Findings<'_>| {
        let found = table.get(key);
        let text = found.and_then(|value| value.get_ref().as_str()).filter(|text| !text.trim().is_empty());
        if text.is_none() {
            let span = found.map_or_else(|| span.clone(), toml::Spanned::span);
            findings.add(
                &span,
                &format!("source.{key}"),
                "a source needs this text",
                "say it in a few words",
            );
        }
        text.map(str::to_owned)
    };
    let kind = text("kind", findings);
    let (place, says) = (text("where", findings), text("says", findings));
    let kind = kind.and_then(|kind| match kind.as_str() {
        "standard" => Some(Kind::Standard),
        "measured" => Some(Kind::Measured),
        "orientation" => Some(Kind::Orientation),
        _ => {
            let span = table.get("kind").map_or_else(|| span.clone(), toml::Spanned::span);
            let help = "use one of: standard, measured, orientation";
            findings.add(&span, "source.kind", format!("`{kind}` is no kind of source"), help);
            None
        }
    });
    let of = keys(table, span, findings)?;
    let names = of.iter().map(|(key, _)| key.clone()).collect();
    Some(Placed { source: Source { of: names, kind: kind?, place: place?, says: says? }, of })
}

fn keys(
    table: &DeTable<'_>,
    span: &Range<usize>,
    findings: &mut Findings<'_>,
) -> Option<Vec<(String, Range<usize>)>> {
    const HELP: &str = "name the figures that it is the source of, such as [\"up.delay_ms\"]";
    let found = table.get("of");
    let Some(list) = found.and_then(|value| value.get_ref().as_array()).filter(|list| !list.is_empty())
    else {
        let span = found.map_or_else(|| span.clone(), toml::Spanned::span);
        findings.add(&span, "source.of", "a source needs a list of figures", HELP);
        return None;
    };
    let mut keys = Vec::new();
    for entry in list.iter() {
        match entry.get_ref() {
            DeValue::String(key) => keys.push((key.to_string(), entry.span())),
            _ => findings.add(&entry.span(), "source.of", "this is no name of a figure", HELP),
        }
    }
    Some(keys)
}
