//! One thing wrong with a file, and the list that a check fills.

use std::cell::RefCell;
use std::ops::Range;

use serde::Serialize;

use crate::code::Code;

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of mistake it is.
    pub code: Code,
    /// Where in the file's tree, such as `group[1].eids[0]`; empty where the whole file is meant.
    pub path: String,
    /// The line, from 1; 0 where no place in the file is meant.
    pub line: usize,
    /// The character in the line, from 1; 0 where no place in the file is meant.
    pub column: usize,
    /// What is wrong, in one sentence without a full stop.
    pub text: String,
    /// How to mend it.
    pub help: String,
    /// The other places that play a part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub see: Vec<See>,
    /// The bytes of the file that are meant.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
}

/// Another place of the file that plays a part in a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct See {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What stands there.
    pub text: String,
    /// The bytes of the file that are meant.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// A place in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    pub path: String,
    pub span: Range<usize>,
}

impl At {
    /// The place of a key below this one.
    pub fn key(&self, key: &str, span: Range<usize>) -> At {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        At { path, span }
    }

    /// The place of a list's entry below this one.
    pub fn entry(&self, index: usize, span: Range<usize>) -> At {
        At { path: format!("{}[{index}]", self.path), span }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    pub value: T,
    pub at: At,
}

/// What a check has found so far. Line and column are filled in at the end, by [`crate::Report`].
#[derive(Default)]
pub(crate) struct Findings(RefCell<Vec<Finding>>);

impl Findings {
    pub fn push(&self, code: Code, at: &At, text: impl Into<String>, help: impl Into<String>) {
        self.add(code, at, text.into(), help.into(), Vec::new());
    }

    /// Like [`Findings::push`], with another place that plays a part.
    pub fn push_with(
        &self,
        code: Code,
        at: &At,
        text: impl Into<String>,
        help: impl Into<String>,
        other: (&At, &str),
    ) {
        let see = See { line: 0, column: 0, text: other.1.to_owned(), span: other.0.span.clone() };
        self.add(code, at, text.into(), help.into(), vec![see]);
    }

    fn add(&self, code: Code, at: &At, text: String, help: String, see: Vec<See>) {
        let (path, span) = (at.path.clone(), Some(at.span.clone()));
        self.0.borrow_mut().push(Finding { code, path, line: 0, column: 0, text, help, see, span });
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    pub fn into_list(self) -> Vec<Finding> {
        self.0.into_inner()
    }
}
