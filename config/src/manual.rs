//! Proof that `default.toml` says what the code does.

use std::os::unix::fs::PermissionsExt;

use crate::draft;
use crate::field::{Field, Kind, Need, Section};
use crate::{Config, parse, parse_in};

const MANUAL: &str = include_str!("../default.toml");

fn read(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("site-a.key");
    std::fs::write(&key, "secret\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    match parse_in(text, "default.toml", folder.path()) {
        Ok(config) => config.into_config(),
        Err(report) => panic!("{report}"),
    }
}

/// The manual with all that is commented out for want of a mapping system.
fn full() -> String {
    let key = |rest: &str| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase());
    let lines = MANUAL.lines().map(|line| line.strip_prefix('#').filter(|rest| key(rest)).unwrap_or(line));
    let text: Vec<&str> = lines.collect();
    text.join("\n").replace("roles = [\"xtr\"]", "roles = [\"xtr\", \"map-server\", \"map-resolver\"]")
}

/// Optional keys whose value in the manual is what their absence means.
const SAID_ANYWAY: [&str; 7] = ["run_dir", "pin_dir", "state_dir", "queues", "port", "mac", "send"];

/// The manual with every key taken out that says only what is so anyway.
fn strip(section: &Section, table: &mut toml::Table) {
    table.retain(|key, value| {
        section.field(key).is_some_and(|field| match field.need {
            Need::Required => true,
            // What is not the default stands in a second entry of a list: the first has them all, as `compare` sees to.
            Need::Default(text) => key == "roles" || Some(&*value) != default(text).as_ref(),
            Need::Optional(_) => matches!(field.kind, Kind::List { .. }) || !SAID_ANYWAY.contains(&key),
        })
    });
    for field in section.fields {
        if let Some(value) = table.get_mut(field.key) {
            strip_value(&field.kind, value);
        }
    }
}

/// A default of the section tables.
fn default(text: &str) -> Option<toml::Value> {
    let mut table: toml::Table = format!("value = {text}").parse().unwrap();
    table.remove("value")
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
    for manual in [MANUAL.to_owned(), full()] {
        let mut stripped: toml::Table = manual.parse().unwrap();
        strip(&draft::SECTION, &mut stripped);
        let stripped = toml::to_string(&stripped).unwrap();
        for key in
            ["max_eids", "run_dir", "state_dir", "register_s", "registration_s", "proxy_reply", "weight"]
        {
            assert!(!stripped.contains(key), "{stripped}");
        }
        assert_eq!(read(&manual), read(&stripped));
    }
}

#[test]
fn the_manual_shows_all_sections() {
    let config = read(&full());
    assert!(config.mapping_system.is_some() && config.map_server.is_some() && config.map_resolver.is_some());
    assert_eq!((config.sites.len(), config.groups[0].dynamic_eids.len()), (1, 1));
    assert_eq!((config.classes.len(), config.policies.len(), config.groups[0].skills.len()), (1, 1, 1));
    let alone = read(MANUAL);
    assert_eq!((alone.mapping_system, alone.map_server, alone.sites.len()), (None, None, 0));
}

/// Compares a table of the manual, and all below it, with what the section tables tell of defaults.
fn compare(section: &'static Section, table: &toml::Table, told: &mut usize) {
    for field in section.fields {
        if let Need::Default(text) = field.need {
            // The one default that the full manual does not have, because it shows all roles.
            if field.key != "roles" {
                assert_eq!(table.get(field.key), default(text).as_ref(), "{} {}", section.name, field.key);
            }
            *told += 1;
        }
        match (&field.kind, table.get(field.key)) {
            (Kind::Table(below), value) => compare(below, value.unwrap().as_table().unwrap(), told),
            (Kind::List { of: Kind::Table(below), .. }, value) => {
                compare(below, value.unwrap()[0].as_table().unwrap(), told);
            }
            _ => {}
        }
    }
}

#[test]
fn the_section_tables_tell_the_same_defaults() {
    let manual: toml::Table = full().parse().unwrap();
    let mut told = 0;
    compare(&draft::SECTION, &manual, &mut told);
    assert!(told > 50, "only {told} defaults were compared");
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
