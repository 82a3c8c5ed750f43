//! `sterna show` and `sterna apply` against a control plane that is only a script.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::{stderr, stdout, sterna};

/// Answers one request at `control.sock` and tells its first line.
fn answer_once(run_dir: &Path, status: &str, body: &str) -> Receiver<String> {
    let listener = UnixListener::bind(run_dir.join("control.sock")).unwrap();
    let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (tell, told) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut bytes = [0; 1024];
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            let len = stream.read(&mut bytes).unwrap();
            request.extend_from_slice(&bytes[..len]);
        }
        stream.write_all(reply.as_bytes()).unwrap();
        let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
        tell.send(line).unwrap();
    });
    told
}

const DROPS: &str =
    r#"[{"reason":"rloc_spoof","port":"eth0","count":7,"help":"The outer source is wrong."}]"#;

#[test]
fn show_prints_a_table_or_the_answer_untouched() {
    let run_dir = tempfile::tempdir().unwrap();
    let dir = run_dir.path().to_str().unwrap();
    let asked = answer_once(run_dir.path(), "200 OK", DROPS);
    let output = sterna(&["show", "drops", "--run-dir", dir]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(asked.recv().unwrap(), "GET /v1/drops HTTP/1.1");
    assert_eq!(
        stdout(&output),
        "REASON      PORT  COUNT  MEANS\nrloc_spoof  eth0      7  The outer source is wrong.\n"
    );

    std::fs::remove_file(run_dir.path().join("control.sock")).unwrap();
    let asked = answer_once(run_dir.path(), "200 OK", DROPS);
    let output = sterna(&["show", "drops", "--all", "--json", "--run-dir", dir]);
    assert_eq!(asked.recv().unwrap(), "GET /v1/drops?all=true HTTP/1.1");
    assert_eq!(stdout(&output), format!("{DROPS}\n"));
}

#[test]
fn without_a_gateway_the_status_is_3_and_the_sentence_says_what_to_do() {
    let run_dir = tempfile::tempdir().unwrap();
    let dir = run_dir.path().to_str().unwrap();
    for arguments in [&["show", "eids", "--run-dir", dir][..], &["apply", "--run-dir", dir]] {
        let output = sterna(arguments);
        assert_eq!(output.status.code(), Some(3));
        let told = stderr(&output);
        assert!(told.contains("no control plane listens at") && told.contains("sterna run FILE"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_socket_left_by_a_killed_gateway_is_as_good_as_none() {
    let run_dir = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(run_dir.path().join("control.sock")).unwrap());
    let output = sterna(&["show", "status", "--run-dir", run_dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("sterna down"));
}

#[test]
fn a_control_plane_without_a_dataplane_cannot_tell() {
    let run_dir = tempfile::tempdir().unwrap();
    let _asked =
        answer_once(run_dir.path(), "503 Service Unavailable", r#"{"error":"no dataplane is connected"}"#);
    let output = sterna(&["show", "counters", "--run-dir", run_dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("no dataplane is connected"), "{}", stderr(&output));
}

#[test]
fn an_answer_that_is_not_understood_is_a_failure() {
    let run_dir = tempfile::tempdir().unwrap();
    let _asked = answer_once(run_dir.path(), "200 OK", "{\"something\":\"else\"}");
    let output = sterna(&["show", "eids", "--run-dir", run_dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("not understood"), "{}", stderr(&output));
}

#[test]
fn apply_prints_changes_or_findings() {
    let run_dir = tempfile::tempdir().unwrap();
    let dir = run_dir.path().to_str().unwrap();
    let body =
        r#"{"applied":true,"changes":[{"path":"group[0].eids","effect":"live","text":"10.1.3.0/24 in"}]}"#;
    let asked = answer_once(run_dir.path(), "200 OK", body);
    let output = sterna(&["apply", "--run-dir", dir]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(asked.recv().unwrap(), "POST /v1/apply HTTP/1.1");
    assert_eq!(stdout(&output), "applied, 1 changed:\n  group[0].eids: 10.1.3.0/24 in\n");

    std::fs::remove_file(run_dir.path().join("control.sock")).unwrap();
    let body = r#"{"findings":[{"code":"STERNA-R001","path":"dataplane.cores","line":0,"column":0,
                   "text":"[0] becomes [1]","help":"restart"}]}"#;
    let _asked = answer_once(run_dir.path(), "422 Unprocessable Entity", body);
    let output = sterna(&["apply", "--run-dir", dir]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("STERNA-R001  dataplane.cores: [0] becomes [1]\n  help: restart\n"));
    assert!(stdout(&output).ends_with("not applied: the gateway keeps its configuration\n"));
}

#[test]
fn path_explains_and_its_status_says_whether_the_packet_is_sent() {
    let run_dir = tempfile::tempdir().unwrap();
    let dir = run_dir.path().to_str().unwrap();
    let body = r#"{"group":"research","from":"10.1.1.2","to":"10.1.2.9","class":{"id":0,"name":null,"why":"no policy"},"verdict":"unresolved","why":"it would be asked now","candidates":[],"winners":[]}"#;
    let asked = answer_once(run_dir.path(), "200 OK", body);
    let output = sterna(&["path", "10.1.1.2", "10.1.2.9", "--group", "research", "--run-dir", dir]);
    assert_eq!(asked.recv().unwrap(), "GET /v1/path?from=10.1.1.2&to=10.1.2.9&group=research HTTP/1.1");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).ends_with("verdict  waits: it would be asked now\n"), "{}", stdout(&output));

    std::fs::remove_file(run_dir.path().join("control.sock")).unwrap();
    let asked = answer_once(run_dir.path(), "404 Not Found", r#"{"error":"there is no class fast"}"#);
    let output = sterna(&["path", "10.1.1.2", "10.1.2.9", "--class", "fast", "--run-dir", dir]);
    assert_eq!(asked.recv().unwrap(), "GET /v1/path?from=10.1.1.2&to=10.1.2.9&class=fast HTTP/1.1");
    assert_eq!((output.status.code(), stderr(&output).trim()), (Some(2), "sterna: there is no class fast"));

    let output = sterna(&["path", "10.1.1.2", "fd00::1", "--run-dir", dir]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("one address family"));
}
