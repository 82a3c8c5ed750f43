//! What a part of a report was drawn from: a JSON file that says on which machine, how, and what each run gave.

use super::section::Section;
use crate::machine::Machine;
use crate::samples::Samples;
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The layout of these files.
pub const FORMAT: u32 = 1;
/// No file of ours is larger, bytes.
const LARGEST: u64 = 256 << 20;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// To see that it works: some minutes, and figures of little worth.
    Quick,
    /// As it should be read.
    Full,
}

impl Level {
    /// As it stands on the page.
    pub fn name(self) -> &'static str {
        if self == Level::Quick { "quick" } else { "full" }
    }
}

/// How a port of a measured gateway was driven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverMode {
    /// The port.
    pub port: String,
    /// The driver runs the XDP program; else the kernel's generic code does.
    pub native_xdp: bool,
    /// The device reads and writes packet memory itself; else the kernel copies.
    pub zero_copy: bool,
}

impl std::fmt::Display for DriverMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let xdp = if self.native_xdp { "native XDP" } else { "generic XDP" };
        let memory = if self.zero_copy { "zero copy" } else { "copy mode" };
        write!(f, "{}: {xdp}, {memory}", self.port)
    }
}

/// A part's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Raw {
    /// [`FORMAT`].
    pub format: u32,
    /// Which part.
    pub section: Section,
    /// How much was measured.
    pub level: Level,
    /// When it was done, seconds since 1970.
    pub recorded_s: u64,
    /// How long it took, seconds.
    pub took_s: f64,
    /// On which machine.
    pub machine: Machine,
    /// Share of the processors' time meanwhile that a hypervisor gave to others.
    pub steal: f64,
    /// The measured gateway's ports, where it had such.
    pub driver: Vec<DriverMode>,
    /// What to type for the same again.
    pub command: String,
    /// The values of each run, for `sterna-perf diff`.
    pub samples: Vec<Samples>,
    /// What the part's picture shows.
    pub data: Value,
}

impl Raw {
    /// The part's own data.
    ///
    /// # Errors
    /// When they are not such.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.data).map_err(|error| anyhow!("its data: {error}"))
    }
}

/// A report's folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Of a path.
    pub fn at(path: &Path) -> Folder {
        Folder(path.to_owned())
    }

    /// Where the raw files are.
    pub fn raw(&self) -> PathBuf {
        self.0.join("raw")
    }

    /// The page.
    pub fn page(&self) -> PathBuf {
        self.0.join("index.html")
    }

    /// A part's raw file.
    pub fn file(&self, section: Section) -> PathBuf {
        self.raw().join(format!("{}.json", section.name()))
    }

    /// Makes the folder and the one for raw files.
    ///
    /// # Errors
    /// With the path.
    pub fn make(&self) -> Result<()> {
        let raw = self.raw();
        fs::create_dir_all(&raw).with_context(|| format!("cannot make {}", raw.display()))
    }

    /// Takes away what an earlier measurement of a part left: its file and its logs.
    ///
    /// # Errors
    /// With the path.
    pub fn forget(&self, section: Section) -> Result<()> {
        let is_its = |name: &str| {
            name == format!("{}.json", section.name())
                || (name.starts_with(&format!("{}-", section.name())) && name.ends_with(".hlog"))
        };
        let raw = self.raw();
        for entry in fs::read_dir(&raw).with_context(|| raw.display().to_string())? {
            let path = entry?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(is_its) {
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Writes a part's file, whole or not at all.
    ///
    /// # Errors
    /// With the path.
    pub fn write(&self, raw: &Raw) -> Result<()> {
        let mut text = serde_json::to_vec(raw)?;
        text.push(b'\n');
        replace(&self.file(raw.section), &text)
    }

    /// Reads a part's file; none when there is none.
    ///
    /// # Errors
    /// What is not such a file, with its path and the place.
    pub fn read(&self, section: Section) -> Result<Option<Raw>> {
        let path = self.file(section);
        if !path.exists() {
            return Ok(None);
        }
        let raw: Raw = parse(&path)?;
        ensure!(
            raw.section == section,
            "{}: it says that it is `{}`: give each file its own name",
            path.display(),
            raw.section.name()
        );
        Ok(Some(raw))
    }
}

/// Reads a JSON file.
///
/// # Errors
/// With the path, and with line and column of what is wrong.
pub fn parse<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let name = path.display();
    let size = fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    ensure!(size <= LARGEST, "{name}: {size} bytes are more than any raw file has ({LARGEST})");
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    // What another format means is not to be guessed.
    if let Ok(told) = serde_json::from_str::<Format>(&text)
        && told.format != FORMAT
    {
        bail!("{name}: its format is {}, this program reads {FORMAT}", told.format);
    }
    // The error says line and column.
    serde_json::from_str(&text).map_err(|error| anyhow!("{name}: {error}"))
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Writes a file beside it and then gives it the name, so that nobody finds half of it.
///
/// # Errors
/// With the path.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("part");
    fs::write(&beside, bytes)
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}: check the folder, its mode and the disk", path.display()))
}

#[cfg(test)]
#[path = "raw/test.rs"]
mod test;
