//! `sterna run` with planes that are only scripts, found beside a copy of the program.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{config_file, stderr};

const WELL: &str = "tests/cli/planes/well.sh";
const DYING: &str = "tests/cli/planes/dying.sh";

/// A folder with a copy of the program and these planes.
fn folder(dataplane: Option<&str>, control: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    install(Path::new(env!("CARGO_BIN_EXE_sterna")), &folder.path().join("sterna"));
    for (name, script) in [("sterna-dataplane", dataplane), ("sterna-controlplane", control)] {
        if let Some(script) = script {
            install(&Path::new(env!("CARGO_MANIFEST_DIR")).join(script), &folder.path().join(name));
        }
    }
    folder
}

/// Copies a program. Another process does it: a file that we had open for writing ourselves could be open for writing
/// still in a child of another test, and then not be run.
fn install(from: &Path, to: &Path) {
    let status = Command::new("install").args(["-m", "755"]).arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

fn start(folder: &Path) -> Child {
    Command::new(folder.join("sterna"))
        .args(["run", &config_file("examples/single-gateway.toml"), "--run-dir", "/tmp/x"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn log(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_for_lines(folder: &Path, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while log(folder).len() < count {
        assert!(Instant::now() < deadline, "{:?}", log(folder));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to a process that the test started.
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn ended(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

#[test]
fn a_signal_ends_the_control_plane_first_and_then_the_dataplane() {
    for name in ["-INT", "-TERM", "-HUP"] {
        let folder = folder(Some(WELL), Some(WELL));
        let child = start(folder.path());
        wait_for_lines(folder.path(), 2);
        signal(&child, name);
        let output = ended(child);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        let lines = log(folder.path());
        assert_eq!(lines[2..], ["sterna-controlplane ends", "sterna-dataplane ends"], "{name}");
        let arguments = format!("--config {} --run-dir /tmp/x", config_file("examples/single-gateway.toml"));
        assert!(lines[..2].iter().all(|line| line.ends_with(&arguments)), "{lines:?}");
    }
}

#[test]
fn when_one_plane_dies_it_is_named_and_the_other_ended() {
    for (dataplane, control, dead, survivor) in [
        (DYING, WELL, "sterna-dataplane", "sterna-controlplane"),
        (WELL, DYING, "sterna-controlplane", "sterna-dataplane"),
    ] {
        let folder = folder(Some(dataplane), Some(control));
        let output = ended(start(folder.path()));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let told = format!("{dead} has ended by itself (exit status: 7); ending the other");
        assert!(stderr(&output).contains(&told), "{}", stderr(&output));
        assert_eq!(log(folder.path()).last().unwrap(), &format!("{survivor} ends"));
    }
}

#[test]
fn a_missing_plane_is_named_and_nothing_is_left_running() {
    let bare = folder(None, None);
    let output = ended(start(bare.path()));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("there is no sterna-dataplane beside this program"),
        "{}",
        stderr(&output)
    );

    let half = folder(Some(WELL), None);
    let output = ended(start(half.path()));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no sterna-controlplane"), "{}", stderr(&output));
    // The dataplane may have been ended before or after its script set its trap; it is gone in either case.
    let lines = log(half.path());
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(log(half.path()), lines);
}

#[test]
fn a_wrong_file_starts_nothing() {
    let folder = folder(Some(WELL), Some(WELL));
    let output = Command::new(folder.path().join("sterna"))
        .args(["run", &config_file("tests/bad/twins.toml")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("given twice"));
    assert!(log(folder.path()).is_empty());
}
