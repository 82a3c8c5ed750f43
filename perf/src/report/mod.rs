//! `sterna-perf report`: everything measured as one page with pictures, raw files and HDR logs beside it.

mod hlog;
mod measure;
mod page;
mod part;
mod plot;
mod raw;
mod section;

use self::measure::Conditions;
use self::page::{Report, State};
pub use self::raw::{DriverMode, parse};
use self::raw::{Folder, Level, replace};
pub use self::section::Section;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use sterna_lab::interrupt;

/// What to measure, and where to write.
#[derive(clap::Args)]
pub struct Options {
    /// The folder of the page: index.html, and raw/ with its data. It is made; parts that are there are replaced.
    #[arg(long, value_name = "DIR", default_value = "sterna-report")]
    out: PathBuf,
    /// Short and few trials: some minutes, to see that it works; not for figures to quote.
    #[arg(long)]
    quick: bool,
    /// Measures nothing: draws the page from a report's folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["quick", "only"])]
    from: Option<PathBuf>,
    /// Measures these parts alone, several by commas; what the folder has of others stays on the page.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Section>,
    /// The core of whoever is measured; the load has the next one.
    #[arg(long, default_value_t = 1)]
    core: usize,
}

/// Why a part is not there while others are measured.
const WAITS: &str = "not yet";

/// Measures and writes.
///
/// # Errors
/// A folder that cannot be written, a raw file that cannot be read; and when the page is not whole: that is written all
/// the same, and marked.
pub fn run(options: &Options) -> Result<()> {
    if let Some(from) = &options.from {
        return draw(from, &options.out);
    }
    let machine = crate::machine::Machine::read();
    ensure!(options.core < machine.cores, "there is no core {}: 0 to {}", options.core, machine.cores - 1);
    let folder = Folder::at(&options.out);
    folder.make()?;
    interrupt::install()?;
    let level = if options.quick { Level::Quick } else { Level::Full };
    let conditions = Conditions { machine, level, core: options.core };
    let mut report = Report { parts: before(&folder, &options.only)?, interrupted: true };
    let mut known = None;
    for at in 0..report.parts.len() {
        let section = report.parts[at].0;
        if interrupt::requested() || !(options.only.is_empty() || options.only.contains(&section)) {
            continue;
        }
        eprintln!("sterna-perf: {} ...", section.title());
        let measured = measure::part(section, &conditions, &folder, &mut known).and_then(|raw| {
            folder.write(&raw)?;
            // What cannot be drawn is no part of the page, and no reason to end.
            part::figures(&folder, &raw).map(|_| raw)
        });
        report.parts[at].1 = match measured {
            Ok(raw) => State::Measured(Box::new(raw)),
            Err(_) if interrupt::requested() => State::Missing("interrupted".to_owned()),
            Err(error) => State::Missing(format!("{error:#}")),
        };
        // What is there is on the page, whatever comes.
        write_page(&report, &folder)?;
    }
    report.interrupted = interrupt::requested();
    for (_, state) in &mut report.parts {
        if matches!(state, State::Missing(why) if why == WAITS) {
            *state = State::Missing("interrupted before its turn".to_owned());
        }
    }
    write_page(&report, &folder)?;
    close(&report, &folder, &options.only)
}

/// What the folder has of the parts that are not to be measured.
fn before(folder: &Folder, only: &[Section]) -> Result<Vec<(Section, State)>> {
    let state = |section: Section| -> Result<(Section, State)> {
        let waits = only.is_empty() || only.contains(&section);
        let there = if waits { None } else { folder.read(section)? };
        let why = if waits { WAITS } else { "not asked for" };
        Ok((section, there.map_or(State::Missing(why.to_owned()), |raw| State::Measured(Box::new(raw)))))
    };
    Section::ALL.into_iter().map(state).collect()
}

fn write_page(report: &Report, folder: &Folder) -> Result<()> {
    replace(&folder.page(), report.html(folder)?.as_bytes())
}

/// Says what is there. Errors: a part that was asked for is not.
fn close(report: &Report, folder: &Folder, only: &[Section]) -> Result<()> {
    for (section, state) in &report.parts {
        if let State::Missing(why) = state {
            eprintln!("sterna-perf: {} not measured: {why}", section.name());
        }
    }
    eprintln!("sterna-perf: {}", folder.page().display());
    let wanted = |section: &Section| only.is_empty() || only.contains(section);
    match (report.interrupted, report.missing().iter().filter(|section| wanted(section)).count()) {
        (true, _) => bail!("interrupted: the page is marked partial"),
        (false, 0) => Ok(()),
        (false, missing) => bail!("parts missing: {missing}; the page is marked partial"),
    }
}

/// Draws a page from what was recorded. What is written elsewhere takes the raw files along.
fn draw(from: &Path, out: &Path) -> Result<()> {
    let source = Folder::at(from);
    ensure!(source.raw().is_dir(), "{} has no folder raw: give a report's folder", from.display());
    let state = |section: Section| -> Result<(Section, State)> {
        let why = || State::Missing(format!("the folder has no raw/{}.json", section.name()));
        Ok((section, source.read(section)?.map_or_else(why, |raw| State::Measured(Box::new(raw)))))
    };
    let parts = Section::ALL.into_iter().map(state).collect::<Result<Vec<_>>>()?;
    let report = Report { parts, interrupted: false };
    let folder = Folder::at(out);
    folder.make()?;
    copy_raw(&source, &folder)?;
    write_page(&report, &folder)?;
    close(&report, &folder, &[])
}

fn copy_raw(from: &Folder, to: &Folder) -> Result<()> {
    let (from, to) = (from.raw(), to.raw());
    if from.canonicalize()? == to.canonicalize()? {
        return Ok(());
    }
    for entry in std::fs::read_dir(&from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let is_ours = path.extension().is_some_and(|end| end == "json" || end == "hlog");
        if let (true, Some(name)) = (is_ours && path.is_file(), path.file_name()) {
            std::fs::copy(&path, to.join(name)).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}
