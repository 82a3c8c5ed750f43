//! `sterna check` and the findings of other verbs that read a file.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{config_file, stdout, sterna};

#[test]
fn a_right_file_is_summed_up() {
    let output = sterna(&["check", &config_file("examples/two-sites-a.toml")]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    let summary = "is right: gateway gw-a, 3 ports, 2 locators, 2 groups, 3 prefixes served, 3 mappings\n";
    assert!(text.ends_with(summary), "{text}");
}

#[test]
fn a_wrong_file_is_told_whole_with_status_1() {
    let output = sterna(&["check", &config_file("tests/bad/everything_wrong.toml")]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("did you mean `mtu`?") && text.contains("22 findings in"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours although nobody looks");
}

#[test]
fn json_is_alone_on_standard_output() {
    for (file, valid, status) in [
        ("examples/single-gateway.toml", true, 0),
        ("tests/bad/everything_wrong.toml", false, 1),
        ("absent", false, 3),
    ] {
        let output = sterna(&["check", "--json", &config_file(file)]);
        assert_eq!(output.status.code(), Some(status), "{file}");
        let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(json["valid"], valid, "{file}");
        assert_eq!(json["findings"].as_array().unwrap().is_empty(), valid, "{file}");
    }
}

#[test]
fn what_cannot_be_read_has_status_3() {
    for verb in ["check", "run"] {
        let output = sterna(&[verb, "/nonexistent/gateway.toml"]);
        assert_eq!(output.status.code(), Some(3), "{verb}");
        assert!(stdout(&output).contains("there is no such file"), "{verb}");
    }
}

#[test]
fn a_host_without_the_interfaces_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = std::fs::read_to_string(config_file("examples/single-gateway.toml")).unwrap();
    std::fs::write(&file, text.replace("eth1", "nosuch1").replace("eth0", "nosuch0")).unwrap();
    let output = sterna(&["check", "--host", "--json", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let missing: Vec<&Value> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["code"] == "STERNA-C060")
        .map(|finding| &finding["path"])
        .collect();
    assert_eq!(missing, ["port[0].name", "port[1].name"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sterna"))
        .args(["check", &config_file("tests/bad/everything_wrong.toml")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(matches!(child.wait().unwrap().code(), Some(0 | 1)));
}
