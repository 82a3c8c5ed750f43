use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const WIRE: &str = "about = \"x\"\n[up]\n[down]\n";
const SOURCED: &str =
    "[[source]]\nof = [\"up.delay_ms\"]\nkind = \"measured\"\nwhere = \"here\"\nsays = \"so\"\n";

#[test]
fn those_of_the_folder_are_shipped_and_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let files: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, SHIPPED.iter().map(|one| one.name.to_owned()).collect());
    for one in &SHIPPED {
        let profile =
            Profile::load(&folder.join(format!("{}.toml", one.name))).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(profile, Profile::shipped(one.name).unwrap());
        assert!(profile.up.delay_us > 0 && profile.up.loss.ppm > 0, "{}", one.name);
        assert!(profile.sources.iter().any(|source| source.kind != Kind::Orientation), "{}", one.name);
    }
    let error = Profile::shipped("carrier-pigeon").unwrap_err().to_string();
    assert!(error.contains("wan, satellite, wifi, 5g, leo"), "{error}");
}

#[test]
fn figures_mean_what_they_say() {
    let satellite = Profile::shipped("satellite").unwrap();
    assert_eq!(satellite.up.delay_us, 250_000);
    assert_eq!(satellite.up.loss.ppm, 1200);
    assert_eq!(satellite.up.rate.unwrap().bits_s, 10_000_000);
    assert!(satellite.longest_to_core_us() > satellite.round_trip_us() / 2);
    assert_eq!(Profile::parse(WIRE).unwrap(), Profile { about: "x".to_owned(), ..Profile::default() });
}

/// The places and keys of all findings.
fn places(text: &str) -> Vec<(usize, usize, String)> {
    let findings = Profile::parse(text).err().unwrap_or_else(|| panic!("this should be wrong:\n{text}"));
    findings.into_iter().map(|Finding { line, column, key, .. }| (line, column, key)).collect()
}

#[test]
fn each_mistake_is_found_where_it_stands() {
    let up = |line: &str| format!("about = \"x\"\n[down]\n[up]\n{line}\n");
    for (text, line, column, key) in [
        ("[up]\n[down]\n".to_owned(), 1, 1, "about"),
        ("about = 3\n[up]\n[down]\n".to_owned(), 1, 9, "about"),
        ("about = \"x\"\n[up]\n".to_owned(), 1, 1, "down"),
        ("about = \"x\"\nup = 7\n[down]\n".to_owned(), 2, 6, "up"),
        (up("delay_ms = -1"), 4, 12, "up.delay_ms"),
        (up("delay_ms = nan"), 4, 12, "up.delay_ms"),
        (up("delay_ms = \"long\""), 4, 12, "up.delay_ms"),
        (up("delay_ms = 20"), 4, 12, "up.delay_ms"),
        (up("dely_ms = 20"), 4, 1, "up.dely_ms"),
        (format!("{WIRE}[flop]\n"), 4, 2, "flop"),
        (
            format!("{WIRE}[[source]]\nof = []\nkind = \"measured\"\nwhere = \"x\"\nsays = \"y\"\n"),
            5,
            6,
            "source.of",
        ),
        (format!("{WIRE}{SOURCED}"), 5, 7, "up.delay_ms"),
        ("about = \n[up]\n[down]\n".to_owned(), 1, 9, ""),
    ] {
        let found = places(&text);
        assert!(found.contains(&(line, column, key.to_owned())), "{text}: {found:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "about = \"x\"\n[up]\nloss_burst = 3\nrate_mbit_s = 5\n[down]\nreorder_ms = 9999\n[flap]\nevery_ms = 100\n\
                down_ms = 100\n[[source]]\nof = [\"up.loss_burst\", 4]\nkind = \"hearsay\"\nsays = \" \"\n";
    let keys: Vec<String> = places(text).into_iter().map(|(_, _, key)| key).collect();
    for key in [
        "up.loss_burst",
        "up.rate_mbit_s",
        "down.reorder_ms",
        "flap.down_ms",
        "flap.every_ms",
        "source.of",
        "source.kind",
        "source.where",
        "source.says",
    ] {
        assert!(keys.iter().any(|found| found == key), "{key}: {keys:?}");
    }
}

proptest! {
    #[test]
    fn noise_is_a_finding_and_no_panic(text in "[a-z_\\[\\]=\"0-9.\n -]{0,200}") {
        // Without its text about itself nothing is a profile.
        prop_assert!(Profile::parse(&text).is_err() || text.contains("about"));
    }

    #[test]
    fn what_fits_is_read_as_it_stands(delay in 0_u32..2000, loss in 0_u32..50, burst in 1_u32..100) {
        let text = format!(
            "about = \"x\"\n[down]\n[up]\ndelay_ms = {delay}\nloss_percent = {loss}.5\nloss_burst = {burst}\n\
             [[source]]\nof = [\"up.delay_ms\", \"up.loss_percent\", \"up.loss_burst\"]\nkind = \"standard\"\n\
             where = \"x\"\nsays = \"y\"\n"
        );
        prop_assume!(loss < 50);
        let up = Profile::parse(&text).unwrap().up;
        prop_assert_eq!(up.delay_us, u64::from(delay) * 1000);
        prop_assert_eq!((up.loss.ppm, up.loss.burst), (loss * 10_000 + 5000, burst));
    }
}
