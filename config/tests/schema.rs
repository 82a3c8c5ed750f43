//! `schema.json` is current, and it agrees with the check on what a table looks like.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sterna_config::{Code, schema};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn schema_json_is_current() {
    let path = folder().join("schema.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("STERNA_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "schema.json is old: run STERNA_BLESS=1 cargo test -p sterna-config --test schema"
    );
}

/// A judge of the part of JSON Schema that we write; it panics on any keyword that it does not know.
fn accepts(schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "title" | "description" | "default" => true,
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64(),
            "number" => value.is_number(),
            other => panic!("type {other}"),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
        "minItems" => value.as_array().is_none_or(|list| list.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= rule.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|list| list.iter().all(|entry| accepts(rule, entry))),
        "anyOf" => rule.as_array().unwrap().iter().any(|choice| accepts(choice, value)),
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            assert_eq!(rule, &Value::Bool(false));
            object.keys().all(|key| schema["properties"].get(key).is_some())
        }),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| rule.get(key).is_none_or(|rule| accepts(rule, value)))
        }),
        other => panic!("keyword {other}"),
    })
}

fn as_json(text: &str) -> Option<Value> {
    let table: toml::Table = text.parse().ok()?;
    serde_json::to_value(table).ok()
}

fn toml_files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

#[test]
fn the_schema_accepts_every_right_file() {
    let schema = schema();
    let mut files = toml_files(folder().join("examples"));
    files.push(folder().join("default.toml"));
    for path in files {
        let value = as_json(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(accepts(&schema, &value), "{}", path.display());
    }
}

/// What a schema can see: the shape of tables, not the forms of texts nor what values mean together.
const SHAPE: [Code; 7] = [
    Code::UnknownField,
    Code::NotSupportedYet,
    Code::WrongType,
    Code::OutOfRange,
    Code::MissingField,
    Code::UnknownWord,
    Code::BadCount,
];

/// What a rule asks for where a schema does not: by role, or because of what else stands there.
const BY_RULE: [&str; 6] = ["rloc[0].port", "group[1].eids", "port", "group", "site", "map_resolver"];

#[test]
fn the_schema_and_the_check_agree_on_bad_files() {
    let schema = schema();
    let (mut refused, mut accepted) = (0, 0);
    for path in toml_files(folder().join("tests/bad")) {
        let text = fs::read_to_string(&path).unwrap();
        let Some(value) = as_json(&text) else { continue };
        let report = sterna_config::parse(&text, "x").unwrap_err();
        let by_shape = report.findings.iter().any(|finding| SHAPE.contains(&finding.code));
        // An empty name is the one text whose length a schema sees; what is missing by rule is not missing by shape.
        let empty_text = text.contains("name = \"\"");
        let rule_only = report
            .findings
            .iter()
            .all(|finding| !SHAPE.contains(&finding.code) || BY_RULE.contains(&finding.path.as_str()));
        assert_eq!(!accepts(&schema, &value), (by_shape && !rule_only) || empty_text, "{}", path.display());
        if by_shape { refused += 1 } else { accepted += 1 }
    }
    assert!(refused >= 5 && accepted >= 5, "{refused} refused, {accepted} accepted");
}
