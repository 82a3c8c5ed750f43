use std::fs;

use super::*;

fn secret(bytes: &[u8]) -> Result<Vec<u8>, Flaw> {
    parse(bytes).map(|secret| secret.as_bytes().to_vec())
}

/// What comes of a file with this content and mode.
fn of_file(content: &str, mode: u32) -> Result<Secret, Flaw> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    read_secret(&path)
}

#[test]
fn one_line_end_is_no_part_of_it() {
    for line in ["secret", "secret\n", "secret\r\n"] {
        assert_eq!(secret(line.as_bytes()), Ok(b"secret".to_vec()), "{line:?}");
    }
    assert_eq!(secret(b" two words \n"), Ok(b" two words ".to_vec()));
}

#[test]
fn what_is_no_secret_is_refused() {
    assert_eq!(secret(b""), Err(Flaw::Empty));
    assert_eq!(secret(b"\n"), Err(Flaw::Empty));
    assert_eq!(secret(b"one\ntwo\n"), Err(Flaw::Lines));
    assert_eq!(secret(b"one\n\n"), Err(Flaw::Lines));
    assert_eq!(secret("clé\n".as_bytes()), Err(Flaw::NotAscii));
    assert_eq!(secret(b"a\0b"), Err(Flaw::NotAscii));
    assert_eq!(secret(&[b'x'; Secret::MAX]).map(|bytes| bytes.len()), Ok(Secret::MAX));
    assert_eq!(secret(&[b'x'; Secret::MAX + 1]), Err(Flaw::TooLong));
}

#[test]
fn a_file_open_to_others_is_refused_in_any_way_it_may_be_open() {
    for mode in [0o600, 0o400, 0o640, 0o660] {
        assert_eq!(of_file("s3cret\n", mode).unwrap().as_bytes(), b"s3cret", "{mode:o}");
    }
    for mode in [0o644, 0o604, 0o602, 0o601, 0o777] {
        assert_eq!(of_file("s3cret\n", mode), Err(Flaw::Open(mode)), "{mode:o}");
    }
}

#[test]
fn a_long_file_is_not_read_whole() {
    assert_eq!(of_file(&"x".repeat(1 << 20), 0o600), Err(Flaw::TooLong));
    let full = format!("{}\r\n", "x".repeat(Secret::MAX));
    assert_eq!(of_file(&full, 0o600).unwrap().as_bytes().len(), Secret::MAX);
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read_secret(folder.path()), Err(Flaw::NotAFile));
    assert_eq!(read_secret(&folder.path().join("none")), Err(Flaw::Missing));
    assert_eq!(read_secret(Path::new("/dev/zero")), Err(Flaw::NotAFile));
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(read_secret(&socket), Err(Flaw::NotAFile));
}

#[test]
fn errors_are_told_apart() {
    let of = |kind: ErrorKind| Flaw::of(&kind.into());
    assert_eq!(of(ErrorKind::NotFound), Flaw::Missing);
    assert_eq!(of(ErrorKind::PermissionDenied), Flaw::Forbidden);
    assert!(matches!(of(ErrorKind::Interrupted), Flaw::Unreadable(_)));
}

#[test]
fn nothing_prints_a_secret() {
    let secret = parse(b"hunter2").unwrap();
    assert_eq!(format!("{secret:?}"), "Secret(hidden)");
}
