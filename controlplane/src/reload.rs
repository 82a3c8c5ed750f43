//! Taking a changed config file while everything runs: all of it or nothing.

use std::time::Instant;

use serde::Serialize;
use sterna_config::{Change, Config, Report};
use tracing::{info, warn};

use crate::identity::IdentityFile;
use crate::lisp::socket::rebind;
use crate::plane::ControlPlane;
use crate::shared::Shared;

/// Why the file was not taken. The old config stays in force.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file is wrong.
    #[error("{0}")]
    Invalid(Report),
    /// These changes take effect only when both planes start again.
    #[error("{} of the changes need a restart", .0.len())]
    Restart(Vec<Change>),
}

/// A reason for a refusal, in the shape of the config's own findings.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Finding {
    /// Found in the file.
    Config(sterna_config::Finding),
    /// A change that needs a restart.
    Restart {
        /// Always `STERNA-R001`.
        code: &'static str,
        /// Where in the file's tree.
        path: String,
        /// Not known: 0.
        line: usize,
        /// Not known: 0.
        column: usize,
        /// What changed.
        text: String,
        /// What to do.
        help: &'static str,
    },
}

impl Refusal {
    /// The reasons one by one.
    pub fn findings(&self) -> Vec<Finding> {
        match self {
            Refusal::Invalid(report) => report.findings.iter().cloned().map(Finding::Config).collect(),
            Refusal::Restart(changes) => changes.iter().map(restart_finding).collect(),
        }
    }
}

fn restart_finding(change: &Change) -> Finding {
    Finding::Restart {
        code: "STERNA-R001",
        path: change.path.clone(),
        line: 0,
        column: 0,
        text: change.text.clone(),
        help: "undo the change, or restart both planes of this gateway with the new file",
    }
}

/// Reads the config file again, and if it is valid and needs no restart, puts it in force.
pub fn reload(shared: &Shared) -> Result<Vec<Change>, Refusal> {
    let outcome = sterna_config::load(shared.config_file()).map_err(Refusal::Invalid).and_then(|config| {
        let config = config.into_config();
        let mut plane = shared.plane();
        if config.mapping_system.is_some() && plane.roles().identity().fleeting {
            keep_identity(&mut plane, &config);
        }
        plane.apply(config, Instant::now()).map_err(Refusal::Restart)
    });
    match &outcome {
        Ok(changes) => {
            shared.ask_underlay();
            rebind(shared);
            shared.flush();
            info!(changes = changes.len(), "config applied");
            for change in changes {
                info!(path = change.path, "{}", change.text);
            }
        }
        Err(refusal) => log_refusal(refusal),
    }
    outcome
}

/// The gateway got its first mapping system: from now on it matters who it is.
fn keep_identity(plane: &mut ControlPlane, config: &Config) {
    match IdentityFile::open(&config.paths.state_dir, config) {
        Ok((identity, _)) => plane.set_identity(identity),
        Err(error) => warn!(%error, "our identity cannot be kept: after a restart we are somebody else"),
    }
}

fn log_refusal(refusal: &Refusal) {
    warn!("the new config was refused; the old one stays in force");
    match refusal {
        Refusal::Invalid(report) => {
            for finding in &report.findings {
                let (line, column) = (finding.line, finding.column);
                warn!(code = %finding.code, path = finding.path, line, column, help = finding.help, "{}", finding.text);
            }
        }
        Refusal::Restart(changes) => {
            for change in changes {
                warn!(path = change.path, "needs a restart: {}", change.text);
            }
        }
    }
}
