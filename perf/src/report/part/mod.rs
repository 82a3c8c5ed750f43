//! The parts' data: what a raw file holds, the samples in it, and the pictures drawn from it.

pub mod clocks;
pub mod latency;
pub mod loss;
pub mod sizes;
pub mod timelines;
pub mod updates;

use super::plot::figure::Figure;
use super::raw::{Folder, Raw};
use super::section::Section;
use anyhow::{Context, Result};

/// The pictures of a part.
///
/// # Errors
/// When the file's data are not the part's, or a log beside it cannot be read; with the path.
pub fn figures(folder: &Folder, raw: &Raw) -> Result<Vec<Figure>> {
    let path = folder.file(raw.section);
    let drawn = match raw.section {
        Section::Loss => raw.data::<loss::Loss>().map(|data| data.figures()),
        Section::Latency => raw.data::<latency::Latency>().and_then(|data| data.figures(&folder.raw())),
        Section::Sizes => raw.data::<sizes::Sizes>().map(|data| data.figures()),
        Section::Clocks => raw.data::<clocks::Clocks>().map(|data| data.figures()),
        Section::Updates => raw.data::<updates::Updates>().map(|data| data.figures()),
        Section::Restart | Section::Move => {
            raw.data::<timelines::Timelines>().map(|data| data.figures(raw.section))
        }
    };
    drawn.with_context(|| path.display().to_string())
}

/// The middle one; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The least and the greatest; 0 of none.
pub fn ends(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().min_by(f64::total_cmp).unwrap_or(0.0);
    (least, values.iter().copied().max_by(f64::total_cmp).unwrap_or(0.0))
}

/// Median and ends in words.
pub fn spread(values: &[f64], digits: usize) -> String {
    let (least, most) = ends(values);
    format!("{:.digits$} [{least:.digits$}..{most:.digits$}]", median(values))
}
