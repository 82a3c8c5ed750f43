//! Every file under `bad/` is refused with exactly the findings that stand beside it.
//!
//! After a wanted change: `STERNA_BLESS=1 cargo test -p sterna-config`, then read what `git diff` shows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use sterna_config::{Code, Look, Report, load};
use tempfile::TempDir;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    files.sort();
    files
}

/// The key files that bad files name. git keeps no modes, so they are made here.
fn keys() -> &'static Path {
    static KEYS: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        for (name, content, mode) in [
            ("good.key", "hunter2\n", 0o640),
            ("open.key", "hunter2\n", 0o644),
            ("empty.key", "\n", 0o600),
            ("long.key", &"x".repeat(513), 0o600),
            ("lines.key", "one\ntwo\n", 0o600),
            ("accent.key", "clé\n", 0o600),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(folder.path().join("folder.key")).unwrap();
        folder
    });
    KEYS.path()
}

/// The report of a bad file, under a name without this machine's folders.
fn report(path: &Path) -> Report {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    match sterna_config::parse_in(&text, name, keys()) {
        Ok(_) => panic!("{name} was taken for right"),
        Err(report) => report,
    }
}

#[test]
fn bad_files_give_the_findings_beside_them() {
    let bless = std::env::var_os("STERNA_BLESS").is_some();
    let mut differing = Vec::new();
    for path in files() {
        let rendered = report(&path).render(Look::PLAIN);
        let beside = path.with_extension("expected");
        if bless {
            fs::write(&beside, &rendered).unwrap();
        } else if fs::read_to_string(&beside).unwrap_or_default() != rendered {
            differing.push(format!("{}\n{rendered}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn there_are_enough_bad_files_and_none_is_orphaned() {
    assert!(files().len() >= 15);
    let expected = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    for path in expected.filter(|path| path.extension().is_some_and(|extension| extension == "expected")) {
        assert!(path.with_extension("toml").exists(), "{}", path.display());
    }
}

#[test]
fn every_code_of_a_file_is_shown_by_some_bad_file() {
    let seen: BTreeSet<Code> =
        files().iter().flat_map(|path| report(path).findings).map(|finding| finding.code).collect();
    let elsewhere = [
        Code::Unreadable,
        Code::Internal,
        Code::NoSuchInterface,
        Code::DefaultRoute,
        Code::HostMtu,
        Code::NoSuchCore,
        Code::HostQueues,
        Code::BadInterface,
    ];
    for code in Code::ALL.iter().filter(|code| !elsewhere.contains(code)) {
        assert!(seen.contains(code), "no bad file shows {code}: {}", code.meaning());
    }
}

#[test]
fn every_finding_has_a_place_a_sentence_and_help() {
    for path in files() {
        for finding in report(&path).findings {
            let name = path.display();
            assert!(finding.line >= 1 && finding.column >= 1, "{name}: {finding:?}");
            assert!(!finding.help.is_empty() && !finding.text.ends_with('.'), "{name}: {finding:?}");
            assert_ne!(finding.code, Code::Internal, "{name}");
        }
    }
}

#[test]
fn no_finding_shows_a_secret() {
    for path in files() {
        let report = report(&path);
        let json = serde_json::to_string(&report).unwrap();
        let all = format!("{report:?} {} {json}", report.render(Look::PLAIN));
        assert!(!all.contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn json_has_the_stable_keys() {
    let report = report(&folder().join("everything_wrong.toml"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["file"], "everything_wrong.toml");
    let finding =
        json["findings"].as_array().unwrap().iter().find(|finding| finding["path"] == "port[0].mut").unwrap();
    assert_eq!(finding["code"], "STERNA-C004");
    assert_eq!((&finding["line"], &finding["column"]), (&16.into(), &1.into()));
    assert_eq!(finding["help"], "did you mean `mtu`?");
}

#[test]
fn a_file_that_cannot_be_read_is_told_apart() {
    for missing in ["/nonexistent/gateway.toml", "/proc", "/dev/null/x"] {
        let report = load(Path::new(missing)).unwrap_err();
        assert!(report.is_unreadable(), "{report}");
        assert!(report.render(Look::PLAIN).contains(missing));
    }
    assert!(!report(&folder().join("empty.toml")).is_unreadable());
}
