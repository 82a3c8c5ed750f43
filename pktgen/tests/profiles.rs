//! Profiles: those that come with the program are right, and what is wrong with others is said, all of it, with its
//! place.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use sterna_pktgen::hostile::Class;
use sterna_pktgen::profile::{Finding, Profile, ProfileError, shipped};

const EIDS: &str = "[eids]\nsource = \"10.1.0.1\"\ndestination = \"10.2.0.1\"\n";

#[test]
fn shipped_profiles_are_those_of_the_folder_and_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let files: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, shipped().iter().map(|one| one.name.to_owned()).collect());
    for one in shipped() {
        let profile =
            Profile::load(&folder.join(format!("{}.toml", one.name))).unwrap_or_else(|e| panic!("{e}"));
        assert!(!profile.about.is_empty(), "{}", one.name);
    }
}

#[test]
fn the_hostile_profile_has_every_class() {
    let one = shipped().iter().find(|one| one.name == "hostile").unwrap();
    assert_eq!(Profile::parse(one.text).unwrap().hostile.unwrap().classes, Class::ALL);
}

/// The places and keys of all findings.
fn places(text: &str) -> Vec<(usize, usize, String)> {
    let findings = Profile::parse(text).err().unwrap_or_else(|| panic!("this should be wrong:\n{text}"));
    findings.into_iter().map(|Finding { line, column, key, .. }| (line, column, key)).collect()
}

#[test]
fn each_mistake_is_found_where_it_stands() {
    let base = format!("rate = 1\n{EIDS}");
    let replay = |line: &str| format!("rate = 1\n[replay]\nfile = \"x\"\n{line}\n");
    for (text, line, column, key) in [
        (EIDS.to_owned(), 1, 1, "rate"),
        (format!("rate = 0\n{EIDS}"), 1, 8, "rate"),
        (format!("rate = \"fast\"\n{EIDS}"), 1, 8, "rate"),
        (format!("rate = 1\nburst = 0\n{EIDS}"), 2, 9, "burst"),
        (format!("rate = 1\nbrust = 2\n{EIDS}"), 2, 1, "brust"),
        (format!("rate = 1\nseed = -1\n{EIDS}"), 2, 8, "seed"),
        ("rate = 1\n".to_owned(), 1, 1, "eids.source"),
        ("rate = 1\neids = 5\n".to_owned(), 2, 8, "eids"),
        ("rate = 1\n[eids]\nsource = \"10.1.0.1\"\n".to_owned(), 2, 1, "eids.destination"),
        (
            "rate = 1\n[eids]\nsource = \"10.1.0\"\ndestination = \"10.2.0.1\"\n".to_owned(),
            3,
            10,
            "eids.source",
        ),
        (
            "rate = 1\n[eids]\nsource = \"::1\"\ndestination = \"10.2.0.1\"\n".to_owned(),
            4,
            15,
            "eids.destination",
        ),
        (format!("{base}count = 0\n"), 5, 9, "eids.count"),
        (
            "rate = 1\n[eids]\nsource = \"10.1.0.1\"\ndestination = \"255.255.255.255\"\ncount = 2\n"
                .to_owned(),
            4,
            15,
            "eids.destination",
        ),
        (format!("{base}order = \"random\"\n"), 5, 9, "eids.order"),
        (format!("{base}order = \"uniform\"\nexponent = 1.1\n"), 6, 12, "eids.exponent"),
        (format!("{base}order = \"zipf\"\nexponent = 0\n"), 6, 12, "eids.exponent"),
        (format!("{base}[frame]\nsize = 63\n"), 6, 8, "frame.size"),
        (format!("{base}[frame]\nsize = [64, 9019]\n"), 6, 13, "frame.size"),
        (format!("{base}[frame]\nsize = [{{ bytes = 64, weight = 0 }}]\n"), 6, 9, "frame.size"),
        (format!("{base}[frame]\nsize = []\n"), 6, 8, "frame.size"),
        (format!("{base}[frame]\nsize = \"big\"\n"), 6, 8, "frame.size"),
        (format!("{base}[frame]\ndestination_mac = \"02:00\"\n"), 6, 19, "frame.destination_mac"),
        (format!("{base}[flows]\ncount = 50_000\nfirst_port = 20_000\n"), 6, 9, "flows.count"),
        (format!("{base}[groups]\nvlans = [10, 4095]\n"), 6, 14, "groups.vlans"),
        (format!("{base}[groups]\niids = [1]\n"), 6, 9, "groups.iids"),
        (
            format!(
                "{base}[groups]\nvlans = [1]\niids = [1]\n[lisp]\nsource = \"::1\"\ndestination = \"::2\"\n"
            ),
            7,
            9,
            "groups.iids",
        ),
        (format!("{base}[lisp]\nsource = \"::1\"\ndestination = \"192.0.2.1\"\n"), 7, 15, "lisp.destination"),
        (format!("{base}[lisp]\nsource = \"::1\"\n"), 5, 1, "lisp.destination"),
        (format!("{base}[misses]\ndestination = \"10.9.0.0\"\n"), 5, 1, "misses.share"),
        (format!("{base}[misses]\nshare = 2\ndestination = \"10.9.0.0\"\n"), 6, 9, "misses.share"),
        (format!("{base}[misses]\nshare = 0.5\ndestination = \"fd00::\"\n"), 7, 15, "misses.destination"),
        (format!("{base}[hostile]\nshare = 0.5\nclasses = [\"nonsense\"]\n"), 7, 12, "hostile.classes"),
        (format!("{base}[hostile]\nshare = 0.5\nclasses = [\"lisp_short\"]\n"), 7, 12, "hostile.classes"),
        (
            format!("{base}[hostile]\nshare = 0.5\nclasses = [\"ipv4_ttl_0\"]\nrlocs_v4 = [\"192.0.2.1\"]\n"),
            8,
            13,
            "hostile.rlocs_v4",
        ),
        (
            format!(
                "{base}[misses]\nshare = 0.6\ndestination = \"10.9.0.0\"\n[hostile]\nshare = 0.6\nclasses = [\"ipv4_ttl_0\"]\n"
            ),
            1,
            1,
            "",
        ),
        ("rate = 1\n[replay]\n".to_owned(), 2, 1, "replay.file"),
        ("rate = 1\n[replay]\nfile = \"x\"\nkeep_times = true\n".to_owned(), 1, 8, "rate"),
        ("rate = 1\n[replay]\nfile = \"x\"\nkeep_macs = 1\n".to_owned(), 4, 13, "replay.keep_macs"),
        (replay("eids = [{ from = \"10.1.0.0/16\", to = \"10.2.0.0/24\" }]"), 4, 9, "replay.eids"),
        (replay("eids = [{ from = \"10.1.0.0/16\", to = \"fd00::/16\" }]"), 4, 9, "replay.eids"),
        (replay("eids = [{ from = \"10.1.0.0/16\" }]"), 4, 9, "replay.eids"),
        (replay("eids = []"), 4, 8, "replay.eids"),
        (
            replay("macs = [{ from = \"02:00:00:00:00:01\", to = \"02:00:00:00:00:02\" }]"),
            2,
            1,
            "replay.macs",
        ),
        (replay("keep_macs = true\nmacs = [{ from = \"02\", to = \"03\" }]"), 5, 9, "replay.macs"),
        (replay("size = 63"), 4, 8, "replay.size"),
        (
            "rate = 1\n[replay]\nfile = \"x\"\n[misses]\nshare = 0.1\ndestination = \"10.9.0.0\"\n"
                .to_owned(),
            4,
            1,
            "misses",
        ),
    ] {
        assert_eq!(places(&text), [(line, column, key.to_owned())], "\n{text}");
    }
}

#[test]
fn all_mistakes_are_found_at_once_in_their_order() {
    let text =
        "rate = 0\nburst = \"x\"\n[eids]\nsource = \"a\"\ndestination = 5\nwrong = 1\n[frame]\nsize = 1\n";
    let keys: Vec<String> = places(text).into_iter().map(|(_, _, key)| key).collect();
    assert_eq!(keys, ["rate", "burst", "eids.source", "eids.destination", "eids.wrong", "frame.size"]);
}

#[test]
fn what_is_no_toml_is_said_with_its_line() {
    let found = places(&format!("rate = 1\nburst = = 2\n{EIDS}"));
    assert!(found.iter().any(|(line, ..)| *line == 2), "{found:?}");
}

#[test]
fn the_error_names_file_line_and_column_of_each_finding() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("rate = 0\nburst = 0\n{EIDS}")).unwrap();
    let told = Profile::load(file.path()).unwrap_err().to_string();
    for place in [":1:8: rate: ", ":2:9: burst: "] {
        assert!(told.contains(&format!("{}{place}", file.path().display())), "{told}");
    }
    let missing = Profile::load(Path::new("no-such-profile.toml"));
    assert!(matches!(missing, Err(ProfileError::File { .. })));
}

proptest! {
    #[test]
    fn noise_never_panics(noise in "\\PC{0,300}") {
        let _ = Profile::parse(&noise);
    }

    #[test]
    fn changed_profiles_never_panic(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in "[ -~\n]{0,6}") {
        let text = shipped()[which.index(shipped().len())].text;
        let mut changed = text.to_owned();
        let at = at.index(text.len());
        if text.is_char_boundary(at) {
            changed.insert_str(at, &with);
        }
        let _ = Profile::parse(&changed);
    }
}
