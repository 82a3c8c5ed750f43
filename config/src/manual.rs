//! Proof that `default.toml` says what the code does.

use crate::draft;
use crate::field::{Field, Kind, Need, Section};
use crate::{Config, parse};

const MANUAL: &str = include_str!("../default.toml");

fn read(text: &str) -> Config {
    match parse(text, "default.toml") {
        Ok(config) => config.into_config(),
        Err(report) => panic!("{report}"),
    }
}

/// The manual with every key taken out that need not be there.
fn strip(section: &Section, table: &mut toml::Table) {
    table.retain(|key, _| {
        section.field(key).is_some_and(|field| field.need == Need::Required || key == "mapping")
    });
    for field in section.fields {
        if let Some(value) = table.get_mut(field.key) {
            strip_value(&field.kind, value);
        }
    }
}

fn strip_value(kind: &Kind, value: &mut toml::Value) {
    match (kind, value) {
        (Kind::Table(section), toml::Value::Table(table)) => strip(section, table),
        (Kind::List { of, .. }, toml::Value::Array(list)) => {
            list.iter_mut().for_each(|entry| strip_value(of, entry));
        }
        _ => {}
    }
}

fn each_field(section: &'static Section, visit: &mut impl FnMut(&'static Section, &'static Field)) {
    for field in section.fields {
        visit(section, field);
        each_below(&field.kind, visit);
    }
}

fn each_below(kind: &'static Kind, visit: &mut impl FnMut(&'static Section, &'static Field)) {
    match kind {
        Kind::Table(section) | Kind::PrefixOr(section) => each_field(section, visit),
        Kind::List { of, .. } => each_below(of, visit),
        _ => {}
    }
}

#[test]
fn the_manual_equals_the_defaults() {
    let mut stripped: toml::Table = MANUAL.parse().unwrap();
    strip(&draft::SECTION, &mut stripped);
    let stripped = toml::to_string(&stripped).unwrap();
    assert!(!stripped.contains("max_eids") && !stripped.contains("run_dir"), "{stripped}");
    assert_eq!(read(MANUAL), read(&stripped));
}

#[test]
fn the_section_tables_tell_the_same_defaults() {
    let manual: toml::Table = MANUAL.parse().unwrap();
    let mut told = 0;
    each_field(&draft::SECTION, &mut |section, field| {
        let Need::Default(text) = field.need else { return };
        let heading = section.name.trim_matches(['[', ']']);
        let line = format!("{} = ", field.key);
        let default: toml::Table = format!("{line}{text}").parse().unwrap();
        let table = match manual.get(heading) {
            Some(toml::Value::Table(table)) => table.clone(),
            Some(toml::Value::Array(list)) => list[0].as_table().unwrap().clone(),
            _ => manual["mapping"][0]["rlocs"][0].as_table().unwrap().clone(),
        };
        assert_eq!(table.get(field.key), default.get(field.key), "{heading} {}", field.key);
        told += 1;
    });
    assert!(told > 20, "only {told} defaults were compared");
}

#[test]
fn every_key_is_in_the_manual() {
    each_field(&draft::SECTION, &mut |section, field| {
        let heading = matches!(field.kind, Kind::Table(_) | Kind::List { of: Kind::Table(_), .. })
            && (MANUAL.contains(&format!("[{}]", field.key)));
        let line = MANUAL.contains(&format!("{} = ", field.key));
        assert!(heading || line, "{} lacks `{}`", section.name, field.key);
    });
}

#[test]
fn every_reserved_key_is_refused_with_its_reason() {
    for (key, purpose) in draft::SECTION.reserved {
        let report = parse(&format!("{MANUAL}\n[[{key}]]\n"), "x").unwrap_err();
        let [finding] = report.findings.as_slice() else { panic!("{report}") };
        assert_eq!(finding.text, format!("`{key}` is not supported yet"));
        assert!(finding.help.contains(purpose));
    }
}

#[test]
fn examples_in_help_texts_are_right() {
    each_field(&draft::SECTION, &mut |section, field| {
        if field.example.contains("...") {
            return;
        }
        let text = format!("{} = {}", field.key, field.example);
        let table = toml::de::DeTable::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let found = crate::finding::Findings::default();
        let value = table.get_ref().get(field.key).unwrap();
        let at = crate::finding::At { path: field.key.to_owned(), span: 0..0 };
        crate::shape::check_value(field, &field.kind, value, &at, &found);
        assert!(found.is_empty(), "{} {text}: {:?}", section.name, found.into_list());
    });
}
