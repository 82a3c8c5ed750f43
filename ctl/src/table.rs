//! Aligned text tables.

use std::fmt;

/// Rows under headings. Columns of numbers stand to the right, all others to the left.
#[derive(Debug)]
pub struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// What stands where nothing is known or nothing applies.
pub const NOTHING: &str = "-";

impl Table {
    /// A table with these headings and no rows.
    pub fn new<H: Into<String>>(heads: impl IntoIterator<Item = H>) -> Table {
        Table { heads: heads.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty, cells without a heading are left out.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.heads.len(), String::new());
        self.rows.push(row);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = 0..self.heads.len();
        let lines = || std::iter::once(&self.heads).chain(&self.rows);
        columns.map(|column| lines().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect()
    }

    /// Whether a column holds numbers, and only numbers, besides nothing.
    fn is_numeric(&self, column: usize) -> bool {
        let cells = || self.rows.iter().map(|row| row[column].as_str()).filter(|cell| *cell != NOTHING);
        cells().next().is_some() && cells().all(|cell| cell.parse::<i128>().is_ok())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let numeric: Vec<bool> = (0..widths.len()).map(|column| self.is_numeric(column)).collect();
        for line in std::iter::once(&self.heads).chain(&self.rows) {
            let mut text = String::new();
            for (column, cell) in line.iter().enumerate() {
                let space = " ".repeat(widths[column] - cell.chars().count());
                let gap = if column == 0 { "" } else { "  " };
                let (before, after) =
                    if numeric[column] { (space.as_str(), "") } else { ("", space.as_str()) };
                text.push_str(&format!("{gap}{before}{cell}{after}"));
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// A value as a cell, or that there is none.
pub fn cell<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| value.to_string())
}

/// Yes, no, or not known.
pub fn yes(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn numbers_stand_right_and_words_left() {
        let mut table = Table::new(["eid", "count", "via"]);
        table.row(["10.1.0.0/24", "7", "-"]);
        table.row(["fd00::/64", "1200", "10.1.0.254"]);
        table.row(["ü", "-", ""]);
        assert_eq!(
            table.to_string(),
            "eid          count  via\n\
             10.1.0.0/24      7  -\n\
             fd00::/64     1200  10.1.0.254\n\
             ü                -\n"
        );
    }

    #[test]
    fn a_row_may_be_short_or_long() {
        let mut table = Table::new(["a", "b"]);
        table.row(["1"]);
        table.row(["1", "2", "3"]);
        assert_eq!(table.to_string(), "a  b\n1\n1  2\n");
    }

    #[test]
    fn no_rows_still_have_headings() {
        let table = Table::new(["reason", "count"]);
        assert!(table.is_empty());
        assert_eq!(table.to_string(), "reason  count\n");
    }

    #[test]
    fn unknown_is_not_no() {
        assert_eq!([yes(Some(true)), yes(Some(false)), yes(None)], ["yes", "no", "unknown"]);
        assert_eq!(cell(None::<u8>), "-");
    }
}
