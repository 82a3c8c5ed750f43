//! From a file to a proved configuration.

use std::ops::{Deref, Range};
use std::path::Path;

use toml::de::DeTable;

use crate::code::Code;
use crate::draft::{self, Draft};
use crate::finding::{At, Finding, Findings};
use crate::report::Report;
use crate::secret::Secrets;
use crate::{Config, rules, shape, syntax};

/// A configuration that has passed every check; it reads like a [`Config`].
#[derive(Clone, Debug)]
pub struct Validated {
    config: Config,
    file: String,
    text: String,
}

/// A file of more bytes than this is taken for a mistake.
const MAX_BYTES: u64 = 256 << 20;

/// Reads and checks a file.
///
/// # Errors
/// A report of everything wrong with it; [`Report::is_unreadable`] when it could not be read at all.
pub fn load(path: &Path) -> Result<Validated, Report> {
    let name = path.display().to_string();
    match read(path) {
        Ok(text) => parse_in(&text, &name, path.parent().unwrap_or(Path::new(""))),
        Err(reason) => Err(unreadable(&name, &reason)),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    };
    let bytes = std::fs::metadata(path).map_err(told)?.len();
    if bytes > MAX_BYTES {
        return Err(format!("it has {bytes} bytes; {MAX_BYTES} are the most"));
    }
    std::fs::read_to_string(path).map_err(told)
}

fn unreadable(name: &str, reason: &str) -> Report {
    let finding = Finding {
        code: Code::Unreadable,
        path: String::new(),
        line: 0,
        column: 0,
        text: format!("cannot read {name}: {reason}"),
        help: "check the path and who may read it".to_owned(),
        see: Vec::new(),
        span: None,
    };
    Report::new(name, "", vec![finding])
}

/// Checks the text of a file; `name` is what reports call it. Key files are sought in the working directory.
///
/// # Errors
/// A report of everything wrong with it.
pub fn parse(text: &str, name: &str) -> Result<Validated, Report> {
    parse_in(text, name, Path::new(""))
}

/// Checks the text of a file; `name` is what reports call it, and relative paths of key files begin in `folder`.
///
/// # Errors
/// A report of everything wrong with it.
pub fn parse_in(text: &str, name: &str, folder: &Path) -> Result<Validated, Report> {
    let found = Findings::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    shape::check_table(&draft::SECTION, root.get_ref(), &At::default(), &found);
    if !errors.is_empty() {
        let findings = syntax::merge(text, root.get_ref(), &errors, found.into_list());
        return Err(Report::new(name, text, findings));
    }
    let draft = Draft::read(root.get_ref());
    rules::check(&draft, &found);
    let secrets = Secrets::read(&draft, folder, &found);
    match draft.finish(&secrets).filter(|_| found.is_empty()) {
        Some(config) => Ok(Validated { config, file: name.to_owned(), text: text.to_owned() }),
        None => {
            if found.is_empty() {
                let help = "please report the file: every bad value should have been named";
                found.push(Code::Internal, &At::default(), "the file could not be understood", help);
            }
            Err(Report::new(name, text, found.into_list()))
        }
    }
}

impl Validated {
    /// The configuration alone.
    pub fn into_config(self) -> Config {
        self.config
    }

    /// The file's name as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a path such as `port[1].name` stands in the file; where it would belong if it is absent.
    pub(crate) fn place(&self, path: &str) -> At {
        let root = DeTable::parse(&self.text).ok();
        let span = root.and_then(|root| span_of(root.get_ref(), path)).unwrap_or(0..0);
        At { path: path.to_owned(), span }
    }
}

/// Follows a path down the tree as far as it goes.
fn span_of(root: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let mut steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    let mut value = root.get(steps.next()?)?;
    for step in steps {
        let below = match step.parse::<usize>() {
            Ok(index) => value.get_ref().get(index),
            Err(_) => value.get_ref().get(step),
        };
        match below {
            Some(below) => value = below,
            None => break,
        }
    }
    Some(value.span())
}

impl Deref for Validated {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}
