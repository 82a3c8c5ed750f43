//! A picture with its legend, its caption and its numbers, as a page shows it.

use super::chart::{Chart, Look, Series, Style, escaped};
use anyhow::Result;
use std::fmt::Write;

/// One picture of a section.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Unique on the page.
    pub id: String,
    /// The picture.
    pub chart: Chart,
    /// How it was measured, and how to read it.
    pub caption: String,
    /// The numbers, under their heads.
    pub table: Option<Table>,
}

/// Rows under heads; the first column names the row.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// One a column.
    pub heads: Vec<String>,
    /// As many cells as heads each.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows.
    pub fn new(heads: &[&str]) -> Table {
        Table { heads: heads.iter().map(|&head| head.to_owned()).collect(), rows: Vec::new() }
    }

    fn html(&self) -> String {
        let cells = |row: &[String], tag: &str| {
            row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect::<String>()
        };
        let rows: String = self.rows.iter().map(|row| format!("<tr>{}</tr>\n", cells(row, "td"))).collect();
        format!(
            "<div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>\n{rows}</tbody></table></div>\n",
            cells(&self.heads, "th")
        )
    }
}

impl Figure {
    /// For the page, once for screens and once for telephones.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn html(&self) -> Result<String> {
        let mut html = format!("<figure id=\"{}\">\n<h3>{}</h3>\n", self.id, escaped(&self.chart.title));
        for (look, class) in Look::BOTH {
            // Writing to a String cannot fail.
            let _ = writeln!(html, "<div class=\"{class}\">{}</div>", self.chart.svg(look)?);
        }
        let keys: String =
            self.chart.series.iter().filter(|series| !series.name.is_empty()).map(key).collect();
        let _ = writeln!(html, "<ul class=\"legend\">{keys}</ul>");
        let _ = writeln!(html, "<figcaption>{}</figcaption>", escaped(&self.caption));
        if let Some(table) = &self.table {
            let _ = writeln!(html, "<details><summary>Numbers</summary>{}</details>", table.html());
        }
        html.push_str("</figure>\n");
        Ok(html)
    }
}

fn key(series: &Series) -> String {
    let shape = match series.style {
        Style::Line | Style::Dotted => "line",
        Style::Dashed => "dashed",
        Style::Points => "point",
        Style::Diamonds => "diamond",
        Style::Sticks => "stick",
    };
    format!("<li><i class=\"{shape} c{}\"></i>{}</li>", series.colour, escaped(&series.name))
}
