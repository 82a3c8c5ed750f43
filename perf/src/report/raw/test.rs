#![allow(clippy::unwrap_used, reason = "test code")]
use super::*;

pub fn raw(section: Section) -> Raw {
    Raw {
        format: FORMAT,
        section,
        level: Level::Quick,
        recorded_s: 1_700_000_000,
        took_s: 1.5,
        machine: serde_json::from_str(r#"{"cpu":"x","cores":2,"kernel":"6.1","clocks_per_ns":2.6}"#).unwrap(),
        steal: 0.25,
        driver: Vec::new(),
        command: "sterna-perf report".to_owned(),
        samples: vec![Samples::lower("a", "us", vec![1.0, 2.0])],
        data: serde_json::json!({}),
    }
}

#[test]
fn what_was_written_is_read_again() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::at(&temporary.path().join("new"));
    folder.make().unwrap();
    assert_eq!(folder.read(Section::Loss).unwrap(), None);
    folder.write(&raw(Section::Loss)).unwrap();
    assert_eq!(folder.read(Section::Loss).unwrap(), Some(raw(Section::Loss)));
    let left: Vec<_> = fs::read_dir(folder.raw()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["loss.json"]);
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = Folder::at(temporary.path());
    folder.make().unwrap();
    let whole = serde_json::to_string(&raw(Section::Move)).unwrap();
    for (text, says) in [
        (String::new(), "line 1 column 0"),
        ("{\n\"format\": 1,\n]".to_owned(), "line 3 column 1"),
        (whole[..whole.len() / 2].to_owned(), "column"),
        (whole.replace("\"format\":1", "\"format\":9"), "its format is 9, this program reads 1"),
        (whole.replace("\"quick\"", "\"slow\""), "unknown variant `slow`"),
        (whole.replace("\"section\":\"move\"", "\"section\":\"loss\""), "it says that it is `loss`"),
    ] {
        fs::write(folder.file(Section::Move), &text).unwrap();
        let error = format!("{:#}", folder.read(Section::Move).unwrap_err());
        assert!(error.contains("move.json") && error.contains(says), "{error}");
    }
    let error = format!("{:#}", parse::<Raw>(Path::new("/nowhere/at/all.json")).unwrap_err());
    assert!(error.contains("/nowhere/at/all.json"), "{error}");
}
