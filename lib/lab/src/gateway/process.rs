//! A gateway's two processes: started, watched, killed, restarted.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::api::{self, Answer};
use super::books::{Books, Drop as DropLine};
use super::plan::GatewayPlan;
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;

/// How long a plane may take to be ready; the demand on it is far stricter and measured by `sterna-perf`.
const READY: Duration = Duration::from_secs(10);
/// How long a plane may take to end when asked.
const END: Duration = Duration::from_secs(3);
/// What of a log goes into an error.
const LAST_WORDS: u64 = 1500;

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

fn find(name: &str) -> Result<PathBuf> {
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

impl Plane {
    fn program(self, programs: &Programs) -> &PathBuf {
        match self {
            Self::Data => &programs.dataplane,
            Self::Control => &programs.controlplane,
        }
    }

    fn log(self) -> &'static str {
        match self {
            Self::Data => "dataplane.log",
            Self::Control => "controlplane.log",
        }
    }
}

/// A gateway in its namespace.
#[derive(Debug)]
pub struct Gateway {
    /// Its config; change it and [`Gateway::apply`].
    pub plan: GatewayPlan,
    programs: Programs,
    namespace: Namespace,
    data: Option<Child>,
    control: Option<Child>,
    data_starts: u32,
    /// The dataplane that was killed last: the control plane may still believe in it.
    dead: Option<u64>,
}

impl Gateway {
    /// Writes the config; starts nothing yet.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn prepare(plan: GatewayPlan, programs: Programs, namespace: Namespace) -> Result<Self> {
        let what = || LabError::io(format!("making {}", plan.run_dir().display()));
        fs::create_dir_all(plan.run_dir()).map_err(what())?;
        let gateway =
            Self { plan, programs, namespace, data: None, control: None, data_starts: 0, dead: None };
        gateway.write_config()?;
        Ok(gateway)
    }

    fn write_config(&self) -> Result<()> {
        let path = self.plan.config_file();
        fs::write(&path, self.plan.render()).map_err(LabError::io(format!("writing {}", path.display())))
    }

    fn child(&mut self, plane: Plane) -> &mut Option<Child> {
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
        let path = self.plan.folder.join(plane.log());
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(LabError::io(format!("opening {}", path.display())))?;
        let also = log.try_clone().map_err(LabError::io("sharing a log"))?;
        let mut command = Command::new(plane.program(&self.programs));
        command
            .arg("--config")
            .arg(self.plan.config_file())
            .arg("--run-dir")
            .arg(self.plan.run_dir())
            .stdin(Stdio::null())
            .stdout(also)
            .stderr(log);
        let child = self.namespace.spawn(command)?;
        *self.child(plane) = Some(child);
        self.data_starts += u32::from(plane == Plane::Data);
        Ok(())
    }

    /// Are the counters those of the whole life of the lab? Not after a dataplane was restarted.
    pub fn counted_from_the_start(&self) -> bool {
        self.data_starts == 1
    }

    /// Waits until the control plane says that the dataplane has its tables.
    ///
    /// # Errors
    /// [`LabError::Died`] with the log's end when a plane ended, or [`LabError::Late`].
    pub fn wait_ready(&mut self) -> Result<()> {
        let what = format!("gateway {} being synced", self.plan.name);
        let waited = interrupt::wait_for(&what, READY, || {
            self.check_alive()?;
            let status = self.ask("GET", "/v1/status");
            Ok(status.ok().filter(|answer| answer.body["synced"] == Value::Bool(true)).map(|_| ()))
        });
        match waited {
            Err(LabError::Late { what, seconds, .. }) => Err(LabError::Late {
                what,
                seconds,
                detail: format!(" ({})", self.last_words(Plane::Control)),
            }),
            other => other,
        }
    }

    fn check_alive(&mut self) -> Result<()> {
        for plane in [Plane::Data, Plane::Control] {
            let ended = match self.child(plane) {
                Some(child) => child.try_wait().map_err(LabError::io("looking after a gateway"))?,
                None => None,
            };
            if let Some(status) = ended {
                *self.child(plane) = None;
                return Err(LabError::Died {
                    who: plane.program(&self.programs).display().to_string(),
                    status: status.to_string(),
                    log: self.last_words(plane),
                });
            }
        }
        Ok(())
    }

    /// The end of a plane's log.
    pub fn last_words(&self, plane: Plane) -> String {
        let mut text = String::new();
        let read = File::open(self.plan.folder.join(plane.log())).and_then(|mut log| {
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
            log.read_to_string(&mut text)
        });
        if read.is_err() || text.trim().is_empty() { "nothing".to_owned() } else { text.trim().to_owned() }
    }

    /// SIGKILL, as a crash would be.
    ///
    /// # Errors
    /// When the process is not there to be killed.
    pub fn kill(&mut self, plane: Plane) -> Result<()> {
        if plane == Plane::Data {
            // Without an answer the control plane is dead as well, and a new one believes in nothing old.
            self.dead = self.ask("GET", "/v1/status").ok().and_then(|status| incarnation(&status));
        }
        match self.child(plane).take() {
            Some(mut child) => {
                child.kill().map_err(LabError::io("killing a plane"))?;
                child.wait().map_err(LabError::io("waiting for a killed plane")).map(|_| ())
            }
            None => Ok(()),
        }
    }

    /// Does its dataplane run, as far as we left it running? A killed one cannot clear up after itself.
    pub fn has_dataplane(&self) -> bool {
        self.data.is_some()
    }

    /// Ends both planes, the control plane first: SIGTERM, and SIGKILL for one that does not go.
    /// True when both went when asked.
    pub fn stop(&mut self) -> bool {
        let mut politely = true;
        for plane in [Plane::Control, Plane::Data] {
            if let Some(mut child) = self.child(plane).take() {
                politely &= end(&mut child);
            }
        }
        politely
    }

    /// Leaves the processes running when this handle goes; for a lab that is kept.
    pub fn leave_running(&mut self) {
        // A dropped `Child` neither kills nor waits.
        (self.data, self.control) = (None, None);
    }

    /// Asks the control plane.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, method: &str, path: &str) -> Result<Answer> {
        api::ask(&self.plan.control_socket(), method, path)
    }

    fn get(&self, path: &str) -> Result<Value> {
        let answer = self.ask("GET", path)?;
        if answer.status == 200 { Ok(answer.body) } else { Err(self.refused("GET", path, &answer)) }
    }

    fn refused(&self, method: &str, path: &str, answer: &Answer) -> LabError {
        LabError::Api {
            gateway: self.plan.name.clone(),
            request: format!("{method} {path}"),
            status: answer.status,
            body: answer.body.to_string().chars().take(400).collect(),
        }
    }

    /// Writes the changed plan and has it applied; the changes as the gateway tells them.
    ///
    /// # Errors
    /// When it is refused.
    pub fn apply(&self) -> Result<Value> {
        self.write_config()?;
        let answer = self.ask("POST", "/v1/apply")?;
        if answer.status == 200 { Ok(answer.body) } else { Err(self.refused("POST", "/v1/apply", &answer)) }
    }

    /// The counters now.
    ///
    /// # Errors
    /// When the control plane does not answer, or in another shape.
    pub fn books(&self) -> Result<Books> {
        let body = self.get("/v1/counters")?;
        Books::from_json(body).map_err(|error| LabError::Api {
            gateway: self.plan.name.clone(),
            request: "GET /v1/counters".to_owned(),
            status: 200,
            body: error.to_string(),
        })
    }

    /// Drops by reason, those that happened.
    ///
    /// # Errors
    /// As [`Gateway::books`].
    pub fn drops(&self) -> Result<Vec<DropLine>> {
        let body = self.get("/v1/drops")?;
        let lines: Vec<DropLine> = serde_json::from_value(body).map_err(|error| LabError::Api {
            gateway: self.plan.name.clone(),
            request: "GET /v1/drops".to_owned(),
            status: 200,
            body: error.to_string(),
        })?;
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

/// Which life of the dataplane the control plane is talking to.
fn incarnation(status: &Answer) -> Option<u64> {
    status.body["dataplane"]["incarnation"].as_u64()
}

fn end(child: &mut Child) -> bool {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended already.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    let deadline = std::time::Instant::now() + END;
    // Not an interruptible wait: this runs after Ctrl-C too.
    while std::time::Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Gone or not, nothing more can be done to it.
    let _ = child.kill();
    let _ = child.wait();
    false
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}
