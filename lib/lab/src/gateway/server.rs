//! The node that runs the Map-Server and Map-Resolver: one control plane and no dataplane.

use super::api::Api;
use super::daemon::Daemon;
use super::plan::server::ServerPlan;
use super::process::{Programs, READY};
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;

/// The Map-Server in its namespace.
#[derive(Debug)]
pub struct MapServer {
    /// Its config.
    pub plan: ServerPlan,
    api: Api,
    daemon: Daemon,
}

impl MapServer {
    /// Writes the config; starts nothing yet.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn prepare(plan: ServerPlan, programs: &Programs, namespace: Namespace) -> Result<Self> {
        plan.write()?;
        let (config, run_dir) = (plan.config_file(), plan.run_dir());
        let log = plan.folder.join("controlplane.log");
        let daemon = Daemon::new(&programs.controlplane, namespace, config, run_dir, log);
        Ok(Self { api: Api::new(&plan.name, plan.control_socket()), daemon, plan })
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// [`LabError::Died`] with the log's end when it ended, or [`LabError::Late`].
    pub fn start(&mut self) -> Result<()> {
        self.daemon.start()?;
        let waited = interrupt::wait_for("the Map-Server answering", READY, || {
            self.daemon.check_alive()?;
            let status = self.api.ask("GET", "/v1/status");
            Ok(status.ok().filter(|answer| answer.status == 200).map(|_| ()))
        });
        match waited {
            Err(LabError::Late { what, seconds, .. }) => {
                Err(LabError::Late { what, seconds, detail: format!(" ({})", self.daemon.last_words()) })
            }
            other => other,
        }
    }

    /// SIGKILL, as a crash would be.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.daemon.kill()
    }

    /// Removes what it kept, as a negative control does; only while it does not run.
    ///
    /// # Errors
    /// When the folder cannot be cleared.
    pub fn forget(&self) -> Result<()> {
        let state = self.plan.state_dir();
        let what = || LabError::io(format!("clearing {}", state.display()));
        std::fs::remove_dir_all(&state).map_err(what())?;
        std::fs::create_dir(&state).map_err(what())
    }

    /// Its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Its process, for its memory and time.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Ends it. True when it went when asked.
    pub fn stop(&mut self) -> bool {
        self.daemon.stop()
    }

    /// Leaves it running when this handle goes; for a lab that is kept.
    pub fn leave_running(&mut self) {
        self.daemon.leave_running();
    }
}
