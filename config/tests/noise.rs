//! Whatever stands in a file, the check ends, names what is wrong, and never takes it for a mistake of ours.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use sterna_config::{Code, Look, parse_in};
use tempfile::TempDir;

const FILES: [&str; 7] = [
    include_str!("../default.toml"),
    include_str!("../examples/two-sites-a.toml"),
    include_str!("bad/everything_wrong.toml"),
    include_str!("../examples/map-server.toml"),
    include_str!("../examples/mapping-system-a.toml"),
    include_str!("bad/classes.toml"),
    include_str!("bad/policies.toml"),
];

/// A folder with the key files that the files name.
fn keys() -> &'static Path {
    static KEYS: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["site-a.key", "site-b.key"] {
            let path = folder.path().join(name);
            fs::write(&path, "secret\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        folder
    });
    KEYS.path()
}

/// Checks a text; whatever the outcome, its report must be sound.
fn judge(text: &str) {
    let Err(report) = parse_in(text, "noise", keys()) else { return };
    assert!(!report.findings.is_empty());
    for finding in &report.findings {
        assert_ne!(finding.code, Code::Internal, "{text}");
        assert!(finding.span.as_ref().is_none_or(|span| text.get(span.clone()).is_some()), "{finding:?}");
    }
    assert!(report.render(Look::PLAIN).contains(&report.file));
}

#[test]
fn any_line_may_be_missing() {
    for file in FILES {
        let lines: Vec<&str> = file.lines().collect();
        for out in (0..lines.len()).filter(|&out| !lines[out].starts_with('#')) {
            let rest: Vec<&str> =
                lines.iter().enumerate().filter(|(index, _)| *index != out).map(|(_, line)| *line).collect();
            judge(&rest.join("\n"));
        }
    }
}

#[test]
fn any_value_may_be_of_any_kind() {
    for file in FILES {
        for (index, line) in file.lines().enumerate() {
            let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with('#')) else {
                continue;
            };
            for value in
                ["1", "-1", "1.5", "\"x\"", "\"\"", "true", "[]", "[[]]", "{}", "2026-11-21", "[{}]", "["]
            {
                let changed: Vec<String> = file
                    .lines()
                    .enumerate()
                    .map(|(at, line)| if at == index { format!("{key} = {value}") } else { line.to_owned() })
                    .collect();
                judge(&changed.join("\n"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_may_come(text in "\\PC{0,200}") {
        judge(&text);
    }

    #[test]
    fn any_toml_like_text_may_come(text in "([a-z_]{1,8}|\\[|\\]|\\{|\\}|=|\"|,|\n|\\.|[0-9]{1,4}| |é|#|'''|port|group|eids){0,80}") {
        judge(&text);
    }

    #[test]
    fn a_file_may_be_cut_and_patched(which in 0..FILES.len(), from in 0.0..1.0f64, len in 0..40usize, patch in "[\\[\\]{}=\",\n a-z0-9.é]{0,12}") {
        let file = FILES[which];
        let start = file.floor_char_boundary((file.len() as f64 * from) as usize);
        let end = file.ceil_char_boundary((start + len).min(file.len()));
        judge(&format!("{}{patch}{}", &file[..start], &file[end..]));
    }
}
