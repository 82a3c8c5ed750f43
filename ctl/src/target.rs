//! Which gateway is meant.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Args;
use sterna_config::Paths;

use crate::client::Unreachable;

/// Names a running gateway.
#[derive(Debug, Args)]
pub struct Target {
    /// The gateway's name; needless where only one runs
    #[arg(long, value_name = "NAME", conflicts_with = "run_dir")]
    name: Option<String>,
    /// The gateway's run directory, when it is not /run/sterna/NAME
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

impl Target {
    /// The socket of the gateway's API.
    pub fn control_socket(&self) -> Result<PathBuf, Unreachable> {
        Ok(self.paths(Path::new(Paths::RUN_ROOT))?.control_socket())
    }

    fn paths(&self, root: &Path) -> Result<Paths, Unreachable> {
        if let Some(run_dir) = &self.run_dir {
            return Ok(Paths {
                run_dir: run_dir.clone(),
                pin_dir: PathBuf::new(),
                state_dir: PathBuf::new(),
            });
        }
        if let Some(name) = &self.name {
            return Ok(Paths {
                run_dir: root.join(name),
                pin_dir: PathBuf::new(),
                state_dir: PathBuf::new(),
            });
        }
        let names: Vec<String> = folders(root).into_iter().collect();
        match names.as_slice() {
            [only] => {
                Ok(Paths { run_dir: root.join(only), pin_dir: PathBuf::new(), state_dir: PathBuf::new() })
            }
            [] => Err(Unreachable::None { root: root.to_owned() }),
            _ => Err(Unreachable::Several { names }),
        }
    }
}

/// The names of the folders in a folder; none where it does not exist.
pub fn folders(root: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.path().file_name().and_then(OsStr::to_str).map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod test {
    use super::*;

    fn unnamed() -> Target {
        Target { name: None, run_dir: None }
    }

    #[test]
    fn the_only_gateway_needs_no_name() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("gw-a")).unwrap();
        let paths = unnamed().paths(root.path()).unwrap();
        assert_eq!(paths.run_dir, root.path().join("gw-a"));
    }

    #[test]
    fn several_gateways_must_be_told_apart() {
        let root = tempfile::tempdir().unwrap();
        for name in ["gw-b", "gw-a"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let error = unnamed().paths(root.path()).unwrap_err().to_string();
        assert!(error.contains("--name") && error.contains("gw-a, gw-b"), "{error}");
        let named = Target { name: Some("gw-b".to_owned()), run_dir: None };
        assert_eq!(named.paths(root.path()).unwrap().run_dir, root.path().join("gw-b"));
    }

    #[test]
    fn without_any_the_error_says_how_to_start_one() {
        let root = tempfile::tempdir().unwrap();
        let error = unnamed().paths(&root.path().join("absent")).unwrap_err().to_string();
        assert!(error.contains("sterna run FILE"), "{error}");
    }
}
