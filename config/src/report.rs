//! Everything wrong with one file, for people and for machines.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan,
};
use serde::Serialize;

use crate::code::Code;
use crate::finding::Finding;

/// Findings that are shown with their lines: nobody reads more, and each costs a pass over the file.
const MAX_RENDERED: usize = 100;

/// Everything wrong with one file; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file's name as it was given.
    pub file: String,
    /// The findings in the file's order.
    pub findings: Vec<Finding>,
    #[serde(skip)]
    text: String,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether terminal colours are used.
    pub colour: bool,
    /// The width of a line in characters.
    pub width: usize,
}

impl Look {
    /// No colours, 100 characters: for logs and files.
    pub const PLAIN: Look = Look { colour: false, width: 100 };
}

impl Report {
    pub(crate) fn new(file: &str, text: &str, mut findings: Vec<Finding>) -> Report {
        let lines = Lines::of(text);
        for finding in &mut findings {
            if let Some(span) = &finding.span {
                (finding.line, finding.column) = lines.position(text, span.start);
            }
            for see in &mut finding.see {
                (see.line, see.column) = lines.position(text, see.span.start);
            }
        }
        findings.sort_by_key(|finding| (finding.line, finding.column, finding.code));
        findings.dedup();
        Report { file: file.to_owned(), findings, text: text.to_owned() }
    }

    /// Whether the file could not even be read.
    pub fn is_unreadable(&self) -> bool {
        self.findings.iter().any(|finding| finding.code == Code::Unreadable)
    }

    /// The findings with the lines they are about, and a last line that counts them.
    pub fn render(&self, look: Look) -> String {
        let theme = if look.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(look.width);
        let source = NamedSource::new(&self.file, self.text.clone());
        let mut out = String::new();
        for finding in self.findings.iter().take(MAX_RENDERED) {
            let shown = Shown { finding, source: &source };
            if handler.render_report(&mut out, &shown).is_err() {
                // Writing to a String cannot fail; a span outside the text could.
                out.push_str(&format!("{}: {}\n", finding.code, finding.text));
            }
            out.push('\n');
        }
        let more = self.findings.len().saturating_sub(MAX_RENDERED);
        if more > 0 {
            out.push_str(&format!("... and {more} more; --json has them all\n\n"));
        }
        out.push_str(&self.count_line());
        out.push('\n');
        out
    }

    fn count_line(&self) -> String {
        let count = self.findings.len();
        format!("{count} {} in {}", if count == 1 { "finding" } else { "findings" }, self.file)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            if finding.line > 0 {
                write!(f, "{}:{}:{}: ", self.file, finding.line, finding.column)?;
            }
            writeln!(f, "{}: {}; {}", finding.code, finding.text, finding.help)?;
        }
        f.write_str(&self.count_line())
    }
}

impl Error for Report {}

/// A finding as miette wants to see it.
#[derive(Debug)]
struct Shown<'a> {
    finding: &'a Finding,
    source: &'a NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.text)
    }
}

impl Error for Shown<'_> {}

impl Shown<'_> {
    /// The bytes to point at; nothing where the whole file is meant, as when a table is missing.
    fn shown_span(&self) -> Option<&Range<usize>> {
        self.finding.span.as_ref().filter(|span| **span != (0..0))
    }
}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.finding.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.shown_span().map(|_| self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.shown_span()?.clone();
        let label = Some(self.finding.path.clone()).filter(|path| !path.is_empty());
        let main = LabeledSpan::new_primary_with_span(label, SourceSpan::from(span));
        let others = self.finding.see.iter().map(|see| {
            LabeledSpan::new_with_span(Some(see.text.clone()), SourceSpan::from(see.span.clone()))
        });
        Some(Box::new(std::iter::once(main).chain(others)))
    }
}

/// Where each line of a text begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// Line and column, both from 1; the column counts characters.
    fn position(&self, text: &str, offset: usize) -> (usize, usize) {
        let line = self.0.partition_point(|&start| start <= offset).max(1);
        let start = self.0.get(line - 1).copied().unwrap_or(0);
        let before =
            text.get(start..offset).map_or(offset.saturating_sub(start), |part| part.chars().count());
        (line, before + 1)
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_flood_of_findings_is_cut_short_for_people_only() {
        let text: String = (0..150).map(|index| format!("wrong{index} = 1\n")).collect();
        let report = crate::parse(&text, "flood.toml").unwrap_err();
        let rendered = report.render(Look::PLAIN);
        assert_eq!(report.findings.len(), 154);
        assert!(rendered.contains("... and 54 more"), "{rendered}");
        assert!(rendered.ends_with("154 findings in flood.toml\n"));
    }

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let text = "a = 1\nné = 2\n";
        let lines = Lines::of(text);
        assert_eq!(lines.position(text, 0), (1, 1));
        assert_eq!(lines.position(text, 6), (2, 1));
        assert_eq!(lines.position(text, 10), (2, 4));
        assert_eq!(lines.position(text, text.len()), (3, 1));
    }
}
