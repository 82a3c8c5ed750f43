//! Secrets: how they are read from their files, and kept out of every output.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{Findings, Located};

/// The bytes of a shared secret: printable ASCII, 1 to [`Secret::MAX`]. Nothing prints them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// The longest secret, in bytes. HMAC hashes whatever is longer than its block of 64.
    pub const MAX: usize = 512;

    /// The secret as a MAC takes it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// The secrets of all key files that a config file names, by the path as it is written there.
#[derive(Default)]
pub(crate) struct Secrets(HashMap<PathBuf, Result<Secret, Flaw>>);

impl Secrets {
    /// Reads every key file once and reports what is wrong at each place that names it.
    ///
    /// Relative paths begin in `folder`.
    pub fn read(draft: &Draft, folder: &Path, found: &Findings) -> Secrets {
        let mut secrets = Secrets::default();
        for file in draft.key_files() {
            let read = secrets.0.entry(file.value.clone());
            if let Err(flaw) = read.or_insert_with(|| read_secret(&folder.join(&file.value))) {
                flaw.report(file, found);
            }
        }
        secrets
    }

    /// The secret of a file that was right.
    pub fn of(&self, file: &Path) -> Option<Secret> {
        self.0.get(file)?.as_ref().ok().cloned()
    }
}

/// Why a key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Flaw {
    Missing,
    Forbidden,
    Unreadable(String),
    NotAFile,
    Open(u32),
    Empty,
    TooLong,
    Lines,
    NotAscii,
}

impl Flaw {
    fn of(error: &std::io::Error) -> Flaw {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Flaw::Missing,
            ErrorKind::PermissionDenied => Flaw::Forbidden,
            _ => Flaw::Unreadable(error.to_string()),
        }
    }

    fn report(&self, file: &Located<PathBuf>, found: &Findings) {
        let name = file.value.display();
        let (code, text, help) = match self {
            Flaw::Missing => (
                Code::BadKeyFile,
                format!("there is no key file {name}"),
                format!("put the secret there, readable by the gateway's user alone{}", beside(&file.value)),
            ),
            Flaw::Forbidden => (
                Code::BadKeyFile,
                format!("this user may not read key file {name}"),
                "check as the user that the gateway runs as, or give that user the file (chown)".to_owned(),
            ),
            Flaw::Unreadable(reason) => (
                Code::BadKeyFile,
                format!("cannot read key file {name}: {reason}"),
                "check the path".to_owned(),
            ),
            Flaw::NotAFile => (
                Code::BadKeyFile,
                format!("key file {name} is no regular file"),
                "name a file that holds one line: the secret".to_owned(),
            ),
            Flaw::Open(mode) => (
                Code::OpenKeyFile,
                format!("key file {name} is open to every user (mode {mode:04o})"),
                format!("`chmod o= {name}`, and change the secret if others use this machine"),
            ),
            Flaw::Empty => (
                Code::BadSecret,
                format!("key file {name} is empty"),
                "write the secret into it, one line of printable ASCII".to_owned(),
            ),
            Flaw::TooLong => (
                Code::BadSecret,
                format!("key file {name} holds more than {} bytes", Secret::MAX),
                "is it the right file? a secret of 32 characters is enough".to_owned(),
            ),
            Flaw::Lines => (
                Code::BadSecret,
                format!("key file {name} holds more than one line"),
                "one file holds one secret: several keys are several files".to_owned(),
            ),
            Flaw::NotAscii => (
                Code::BadSecret,
                format!("key file {name} holds bytes that are no printable ASCII"),
                "use letters, digits and signs, so that every peer's configuration can hold it".to_owned(),
            ),
        };
        found.push(code, &file.at, text, help);
    }
}

/// Where a relative path begins, for help texts.
fn beside(file: &Path) -> &'static str {
    if file.is_absolute() { "" } else { "; the path begins in the config file's folder" }
}

fn read_secret(path: &Path) -> Result<Secret, Flaw> {
    let told = |error: std::io::Error| Flaw::of(&error);
    // Asked before it is opened, because opening a pipe waits for its writer.
    check_kind(&std::fs::metadata(path).map_err(told)?)?;
    let file = File::open(path).map_err(told)?;
    let metadata = file.metadata().map_err(told)?;
    check_kind(&metadata)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(Flaw::Open(mode));
    }
    let mut bytes = Vec::new();
    let most = Secret::MAX as u64 + "\r\n".len() as u64;
    file.take(most + 1).read_to_end(&mut bytes).map_err(told)?;
    parse(&bytes)
}

fn check_kind(metadata: &Metadata) -> Result<(), Flaw> {
    if metadata.is_file() { Ok(()) } else { Err(Flaw::NotAFile) }
}

/// One line, without the end that editors give it.
fn parse(bytes: &[u8]) -> Result<Secret, Flaw> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(Flaw::Empty);
    }
    if line.len() > Secret::MAX {
        return Err(Flaw::TooLong);
    }
    if line.contains(&b'\n') {
        return Err(Flaw::Lines);
    }
    if !line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(Flaw::NotAscii);
    }
    Ok(Secret(line.into()))
}

#[cfg(test)]
mod test;
