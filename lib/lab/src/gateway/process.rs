//! A gateway's two processes: started, watched, killed, restarted.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::api::{Answer, Api};
use super::books::{Books, Drop as DropLine};
use super::daemon::Daemon;
use super::plan::GatewayPlan;
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;

/// How long a plane may take to be ready; the demand on it is far stricter and measured by `sterna-perf`.
pub(super) const READY: Duration = Duration::from_secs(10);

/// Where the gateways' programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// `sterna-dataplane`.
    pub dataplane: PathBuf,
    /// `sterna-controlplane`.
    pub controlplane: PathBuf,
}

impl Programs {
    /// Looks beside the running program, one folder up (for tests), and in `PATH`.
    ///
    /// # Errors
    /// [`LabError::Missing`] when one of them is nowhere.
    pub fn find() -> Result<Self> {
        Ok(Self { dataplane: find("sterna-dataplane")?, controlplane: find("sterna-controlplane")? })
    }
}

/// Looks for one of our programs beside the running one, one folder up, and in `PATH`.
///
/// # Errors
/// [`LabError::Missing`] when it is nowhere.
pub fn find(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.ancestors().skip(1).take(2).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| LabError::Missing {
            what: format!("the program `{name}` is not there"),
            cure: "run `cargo build` first: it must be beside this program or in PATH".to_owned(),
        })
}

/// One of the two planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// The packet's way.
    Data,
    /// Everything else.
    Control,
}

/// A gateway in its namespace.
#[derive(Debug)]
pub struct Gateway {
    /// Its config; change it and [`Gateway::apply`].
    pub plan: GatewayPlan,
    api: Api,
    data: Daemon,
    control: Daemon,
    /// The dataplane that was killed last: the control plane may still believe in it.
    dead: Option<u64>,
}

impl Gateway {
    /// Writes the config; starts nothing yet.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn prepare(plan: GatewayPlan, programs: &Programs, namespace: &Namespace) -> Result<Self> {
        plan.write()?;
        let daemon = |program, log: &str| {
            let (config, run_dir) = (plan.config_file(), plan.run_dir());
            Daemon::new(program, namespace.clone(), config, run_dir, plan.folder.join(log))
        };
        Ok(Self {
            api: Api::new(&plan.name, plan.control_socket()),
            data: daemon(&programs.dataplane, "dataplane.log"),
            control: daemon(&programs.controlplane, "controlplane.log"),
            dead: None,
            plan,
        })
    }

    fn daemon(&mut self, plane: Plane) -> &mut Daemon {
        match plane {
            Plane::Data => &mut self.data,
            Plane::Control => &mut self.control,
        }
    }

    /// Starts a plane; [`Gateway::wait_ready`] waits for it.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&mut self, plane: Plane) -> Result<()> {
        self.daemon(plane).start()
    }

    /// Are the counters those of the whole life of the lab? Not after a dataplane was restarted.
    pub fn counted_from_the_start(&self) -> bool {
        self.data.starts() == 1
    }

    /// Waits until the control plane says that the dataplane has its tables.
    ///
    /// # Errors
    /// [`LabError::Died`] with the log's end when a plane ended, or [`LabError::Late`].
    pub fn wait_ready(&mut self) -> Result<()> {
        let what = format!("gateway {} being synced", self.plan.name);
        let waited = interrupt::wait_for(&what, READY, || {
            self.data.check_alive()?;
            self.control.check_alive()?;
            let status = self.ask("GET", "/v1/status");
            Ok(status.ok().filter(|answer| is_synced(answer, self.dead)).map(|_| ()))
        });
        match waited {
            Err(LabError::Late { what, seconds, .. }) => {
                Err(LabError::Late { what, seconds, detail: format!(" ({})", self.control.last_words()) })
            }
            other => other,
        }
    }

    /// The end of a plane's log.
    pub fn last_words(&self, plane: Plane) -> String {
        match plane {
            Plane::Data => self.data.last_words(),
            Plane::Control => self.control.last_words(),
        }
    }

    /// SIGKILL, as a crash would be.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(&mut self, plane: Plane) -> Result<()> {
        if plane == Plane::Data {
            // Without an answer the control plane is dead as well, and a new one believes in nothing old.
            self.dead = self.ask("GET", "/v1/status").ok().and_then(|status| incarnation(&status));
        }
        self.daemon(plane).kill()
    }

    /// Does its dataplane run, as far as we left it running? A killed one cannot clear up after itself.
    pub fn has_dataplane(&self) -> bool {
        self.data.is_there()
    }

    /// The control plane's process, for its memory and time.
    pub fn control(&self) -> &Daemon {
        &self.control
    }

    /// Ends both planes, the control plane first: SIGTERM, and SIGKILL for one that does not go.
    /// True when both went when asked.
    pub fn stop(&mut self) -> bool {
        let control = self.control.stop();
        self.data.stop() && control
    }

    /// Leaves the processes running when this handle goes; for a lab that is kept.
    pub fn leave_running(&mut self) {
        self.control.leave_running();
        self.data.leave_running();
    }

    /// Its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Asks the control plane.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, method: &str, path: &str) -> Result<Answer> {
        self.api.ask(method, path)
    }

    /// Writes the changed plan and has it applied; the changes as the gateway tells them.
    ///
    /// # Errors
    /// When it is refused.
    pub fn apply(&self) -> Result<Value> {
        self.plan.write()?;
        self.api.post("/v1/apply")
    }

    /// The counters now.
    ///
    /// # Errors
    /// When the control plane does not answer, or in another shape.
    pub fn books(&self) -> Result<Books> {
        self.api.get_as("/v1/counters")
    }

    /// Drops by reason, those that happened.
    ///
    /// # Errors
    /// As [`Gateway::books`].
    pub fn drops(&self) -> Result<Vec<DropLine>> {
        let lines: Vec<DropLine> = self.api.get_as("/v1/drops")?;
        Ok(lines.into_iter().filter(|line| line.count > 0).collect())
    }

    /// Reads the counters until nothing moves any more.
    ///
    /// # Errors
    /// [`LabError::Late`] when it never comes to rest.
    pub fn books_at_rest(&self) -> Result<Books> {
        let mut before = self.books()?;
        interrupt::wait_for("the counters coming to rest", READY, || {
            interrupt::sleep(Duration::from_millis(50))?;
            let now = self.books()?;
            let rest = now.at_rest_since(&before) && now.balance.held == 0;
            before = now.clone();
            Ok(rest.then_some(now))
        })
    }
}

/// Is the dataplane in sync, and another one than the dead one?
fn is_synced(status: &Answer, dead: Option<u64>) -> bool {
    status.body["synced"] == Value::Bool(true) && (dead.is_none() || incarnation(status) != dead)
}

/// Which life of the dataplane the control plane is talking to.
fn incarnation(status: &Answer) -> Option<u64> {
    status.body["dataplane"]["incarnation"].as_u64()
}
