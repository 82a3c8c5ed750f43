//! From a file to a profile: everything that is wrong with it at once, each with its place.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Profile;
use super::finding::{Finding, Findings, ProfileError};
use super::link::{self, Figures};
use super::source::{self, Placed};

/// The tables of figures.
const TABLES: [&str; 3] = ["up", "down", "flap"];
const SOURCE_HELP: &str =
    "add a [[source]] that names it in `of`; kind = \"orientation\" where there is no better one";

impl Profile {
    /// Reads a profile's file.
    ///
    /// # Errors
    /// The file cannot be read, or with everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ProfileError> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Err(reason) => Err(ProfileError::File { name, reason }),
            Ok(text) => Self::parse(&text).map_err(|findings| ProfileError::Wrong { name, findings }),
        }
    }

    /// Reads a profile's text.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Finding>> {
        let mut findings = Findings::new(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let help = "see lib/lab/profiles/wan.toml for the form of a profile";
            findings.add(&error.span().unwrap_or(0..0), "", error.message(), help);
        }
        let profile = read(root.get_ref(), &mut findings);
        if findings.is_empty() { Ok(profile) } else { Err(findings.into_list()) }
    }
}

fn read(root: &DeTable<'_>, findings: &mut Findings<'_>) -> Profile {
    let mut figures = Figures::new();
    for name in TABLES {
        match root.get(name) {
            Some(value) => figures.extend(link::figures(name, value, findings)),
            // A link that stays up needs no flap; one without ways is none.
            None if name == "flap" => (),
            None => findings.add(
                &(0..0),
                name,
                "this table is missing",
                format!("write `[{name}]`, empty for a wire"),
            ),
        }
    }
    let sources = sources(root, findings);
    compare(&figures, &sources, findings);
    let about = about(root, findings);
    for (key, _) in root {
        if !["about", "source"].iter().chain(&TABLES).any(|known| *known == key.get_ref().as_ref()) {
            let help = "remove it, or use one of: about, up, down, flap, source";
            findings.add(&key.span(), key.get_ref(), "this key is not known", help);
        }
    }
    let flap = link::flap(&figures, findings);
    Profile {
        about,
        up: link::way("up", &figures, flap),
        down: link::way("down", &figures, flap),
        sources: sources.into_iter().map(|placed| placed.source).collect(),
    }
}

fn about(root: &DeTable<'_>, findings: &mut Findings<'_>) -> String {
    let found = root.get("about");
    let text = found.and_then(|value| value.get_ref().as_str()).unwrap_or_default();
    if text.trim().is_empty() {
        let span = found.map_or(0..0, Spanned::span);
        findings.add(&span, "about", "this text is missing", "say what kind of link it is, in one sentence");
    }
    text.to_owned()
}

fn sources(root: &DeTable<'_>, findings: &mut Findings<'_>) -> Vec<Placed> {
    let Some(value) = root.get("source") else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else {
        findings.add(&value.span(), "source", "this is no list of tables", "write `[[source]]`");
        return Vec::new();
    };
    let mut sources = Vec::new();
    for entry in list.iter() {
        match entry.get_ref() {
            DeValue::Table(table) => sources.extend(source::read(table, &entry.span(), findings)),
            _ => findings.add(&entry.span(), "source", "this is no table", "write `[[source]]`"),
        }
    }
    sources
}

/// Every figure has a source, and every source is one of a figure that is there.
fn compare(figures: &Figures, sources: &[Placed], findings: &mut Findings<'_>) {
    let named = |key: &str| sources.iter().any(|placed| placed.of.iter().any(|(of, _)| of == key));
    for (key, (_, span)) in figures.iter().filter(|(key, _)| !named(key)) {
        findings.add(span, key, "this figure has no source", SOURCE_HELP);
    }
    for (key, span) in sources.iter().flat_map(|placed| &placed.of) {
        if !figures.contains_key(key) {
            findings.add(span, key, "there is no such figure here", "remove it, or add the figure");
        }
    }
}
