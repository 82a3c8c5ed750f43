//! Clock steps of a day break nothing, because nothing asks the wall clock.

use std::path::{Path, PathBuf};

/// What asks the wall clock.
const WALL_CLOCKS: &[&str] = &[
    "SystemTime",
    "UNIX_EPOCH",
    "ClockId::Realtime",
    "CLOCK_REALTIME",
    "CLOCK_TAI",
    "OffsetDateTime",
    "Utc::now",
    "Local::now",
    "gettimeofday",
];

/// Where it may be asked, and why.
const ALLOWED: &[(&str, &str)] =
    &[("controlplane/src/identity.rs", "the first nonce of a gateway that has lost its state directory")];

/// What runs in a gateway. The lab, the benches and the tests measure and may look at any clock.
const PRODUCT: &[&str] =
    &["controlplane", "dataplane", "config", "ctl", "lib/wire", "lib/shm", "lib/table", "lib/xsk", "lib/cpu"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Lines of code, comments left out, that ask the wall clock.
fn asks(text: &str) -> bool {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.into_iter().any(|line| WALL_CLOCKS.iter().any(|clock| line.contains(clock)))
}

#[test]
fn only_the_first_nonce_of_a_lost_identity_asks_the_wall_clock() {
    let mut files = Vec::new();
    PRODUCT.iter().for_each(|package| sources(&root().join(package).join("src"), &mut files));
    assert!(files.len() > 200, "only {} files were read: is the search broken?", files.len());
    let asking: Vec<String> = files
        .iter()
        .filter(|file| asks(&std::fs::read_to_string(file).unwrap()))
        .map(|file| file.strip_prefix(root()).unwrap().display().to_string())
        .collect();
    let allowed: Vec<&str> = ALLOWED.iter().map(|(file, _)| *file).collect();
    assert_eq!(asking, allowed, "a timer or a nonce by the wall clock breaks when the clock is set");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    assert!(asks("let now = SystemTime::now();"));
    assert!(asks("clock_gettime(ClockId::Realtime)"));
    assert!(!asks("// SystemTime is not asked\nlet now = Instant::now();"));
}
