//! One thing wrong with a profile, and where.

use std::fmt;
use std::ops::Range;

/// One thing wrong with a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// Which key is meant, such as `up.delay_ms`; empty where the whole file is.
    pub key: String,
    /// What is wrong, in one sentence without a full stop.
    pub text: String,
    /// How to mend it.
    pub help: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}: {}", self.text, self.help)
    }
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("cannot read the profile {name} ({reason}): check the name and its mode")]
    File {
        /// The file.
        name: String,
        /// The system's answer.
        reason: std::io::Error,
    },
    /// None of this name comes with the lab.
    #[error("there is no profile {name}: use one of {}", super::SHIPPED.map(|one| one.name).join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// It is wrong.
    #[error("{name} is not a profile, {} found:{}", findings.len(), listed(name, findings))]
    Wrong {
        /// The file or name.
        name: String,
        /// Everything that is wrong with it, in its order.
        findings: Vec<Finding>,
    },
}

fn listed(name: &str, findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {name}:{finding}")).collect()
}

/// What a check has found so far in a text.
pub(super) struct Findings<'t> {
    text: &'t str,
    found: Vec<(usize, Finding)>,
}

impl<'t> Findings<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Adds one about these bytes of the text.
    pub fn add(&mut self, span: &Range<usize>, key: &str, text: impl Into<String>, help: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let finding = Finding { line, column, key: key.to_owned(), text: text.into(), help: help.into() };
        self.found.push((span.start, finding));
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them in the order of the text.
    pub fn into_list(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|(at, _)| *at);
        self.found.into_iter().map(|(_, finding)| finding).collect()
    }
}
