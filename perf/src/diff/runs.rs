//! What is compared: one or several runs, from raw files, lists of them, or folders.

use crate::machine::Machine;
use crate::report::parse;
use crate::samples::Samples;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// One run: what was sampled on which machine.
#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    /// The machine.
    pub machine: Machine,
    /// Every key once.
    pub samples: Vec<Samples>,
}

impl Run {
    /// Values of a key; none when there are none.
    pub fn values(&self, key: &str) -> Option<&[f64]> {
        let found = self.samples.iter().find(|samples| samples.key == key)?;
        Some(&found.values).filter(|values| !values.is_empty()).map(Vec::as_slice)
    }
}

/// Reads a raw file, a file with a list of them, a report's folder, or a folder of such files and folders, in the order
/// of their names.
///
/// # Errors
/// With the path, and the place of what is wrong.
pub fn read(path: &Path) -> Result<Vec<Run>> {
    if path.is_file() {
        return of_file(path);
    }
    if path.join("raw").is_dir() {
        return Ok(vec![of_report(path)?]);
    }
    let mut runs = Vec::new();
    for path in entries(path)? {
        if path.join("raw").is_dir() {
            runs.push(of_report(&path)?);
        } else if path.extension().is_some_and(|end| end == "json") {
            runs.extend(of_file(&path)?);
        }
    }
    ensure!(!runs.is_empty(), "{} has neither raw files nor reports", path.display());
    Ok(runs)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = || format!("cannot read {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(name)?;
    let mut paths =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>().with_context(name)?;
    paths.sort();
    Ok(paths)
}

fn of_file(path: &Path) -> Result<Vec<Run>> {
    let name = path.display();
    let told: Value = parse(path)?;
    let each = match told {
        Value::Array(list) => list,
        one => vec![one],
    };
    ensure!(!each.is_empty(), "{name}: the list is empty");
    let runs = each.into_iter().enumerate().map(|(at, value)| {
        // Its place in the list is where it is wrong.
        let run = Run::deserialize(&value).with_context(|| format!("{name}: run {}", at + 1))?;
        check(&run).with_context(|| format!("{name}: run {}", at + 1))?;
        Ok(run)
    });
    runs.collect()
}

/// All parts of a report are one run.
fn of_report(folder: &Path) -> Result<Run> {
    let mut whole: Option<Run> = None;
    for path in entries(&folder.join("raw"))? {
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        for run in of_file(&path)? {
            match &mut whole {
                None => whole = Some(run),
                Some(whole) => {
                    ensure!(
                        whole.machine.is_like(&run.machine),
                        "{} is from another machine than the other parts",
                        path.display()
                    );
                    whole.samples.extend(run.samples);
                }
            }
        }
    }
    whole.with_context(|| format!("{} has no raw files", folder.display()))
}

fn check(run: &Run) -> Result<()> {
    for (at, samples) in run.samples.iter().enumerate() {
        let Samples { key, values, .. } = samples;
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            bail!("samples[{at}].values[{place}] of {key:?} is no number");
        }
        if run.samples[..at].iter().any(|before| before.key == *key) {
            bail!("samples[{at}]: {key:?} is there twice");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;
    use std::fs;

    const RUN: &str = r#"{"machine":{"cpu":"x","cores":2,"kernel":"6.1","clocks_per_ns":2.6},
        "samples":[{"key":"a","unit":"us","better":"lower","carries":false,"values":[1,2.5]}]}"#;

    #[test]
    fn a_file_a_list_a_report_and_a_folder_of_them_are_read() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name);
        fs::write(at("1.json"), RUN).unwrap();
        fs::write(at("2.json"), format!("[{RUN},{RUN}]")).unwrap();
        fs::create_dir_all(at("3/raw")).unwrap();
        fs::write(at("3/raw/loss.json"), RUN).unwrap();
        fs::write(at("3/raw/sizes.json"), RUN.replace("\"a\"", "\"b\"")).unwrap();
        fs::write(at("3/raw/x.hlog"), "not JSON").unwrap();
        assert_eq!(read(&at("1.json")).unwrap()[0].values("a"), Some(&[1.0, 2.5][..]));
        assert_eq!(read(&at("2.json")).unwrap().len(), 2);
        assert_eq!(read(&at("3")).unwrap()[0].samples.len(), 2);
        assert_eq!(read(temporary.path()).unwrap().len(), 4);
    }

    #[test]
    fn what_is_wrong_is_named_with_path_and_place() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a.json");
        for (text, says) in [
            (format!("[{RUN},{{}}]"), "run 2: missing field `machine`"),
            ("[]".to_owned(), "the list is empty"),
            ("{\"machine\":\n 5".to_owned(), "line 2 column 2"),
            (RUN.replace("[1,2.5]", "[1,\"x\"]"), "run 1: invalid type: string \"x\""),
            (RUN.replace("\"lower\"", "\"best\""), "unknown variant `best`"),
            (RUN.replace("2.5", "null"), "run 1"),
        ] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(error.contains("a.json") && error.contains(says), "{error}");
        }
        for path in ["/nowhere/at/all", temporary.path().join("raw").to_str().unwrap()] {
            assert!(format!("{:#}", read(Path::new(path)).unwrap_err()).contains(path));
        }
    }
}
