//! Sterna's two processes as the box under test, with the configuration that an operator would write.

use super::net::Net;
use super::spent::Spent;
use crate::report::DriverMode;
use anyhow::{Result, ensure};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use sterna_lab::gateway::api::Api;
use sterna_lab::gateway::books::{Books, Scope};
use sterna_lab::gateway::daemon::Daemon;
use sterna_lab::gateway::process::Programs;
use sterna_lab::interrupt;
use sterna_lab::requirements::BPF_DIR;

/// How long a gateway may take to be ready.
const READY: Duration = Duration::from_secs(15);

/// A gateway as text.
pub struct Plan {
    /// Its namespace, and its name.
    pub namespace: &'static str,
    /// The core of its worker.
    pub core: usize,
    /// Its RLOC.
    pub rloc: &'static str,
    /// The agents' gateway address.
    pub gateway: &'static str,
    /// The EIDs here.
    pub eids: &'static str,
    /// EIDs elsewhere, and their RLOC.
    pub mapping: (&'static str, &'static str),
}

impl Plan {
    fn render(&self, net: &Net, folder: &std::path::Path) -> String {
        let name = net.name(self.namespace);
        let (eid, rloc) = self.mapping;
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[gateway]\nname = \"{name}\"\nroles = [\"xtr\"]\n[dataplane]\ncores = [{}]\n[paths]\n\
             run_dir = \"{}\"\npin_dir = \"{BPF_DIR}/sterna/{name}\"\nstate_dir = \"{}\"\n\
             [[port]]\nname = \"eid0\"\nside = \"eid\"\nmtu = 1500\n[[port]]\nname = \"rloc0\"\nside = \"rloc\"\n\
             [[rloc]]\naddress = \"{}\"\nport = \"rloc0\"\n\
             [[group]]\niid = 100\nname = \"agents\"\nport = \"eid0\"\ngateway = [\"{}\"]\neids = [\"{}\"]\n\
             [[mapping]]\niid = 100\neid = \"{eid}\"\n\
             rlocs = [{{ address = \"{rloc}\", priority = 1, weight = 100 }}]\n",
            self.core,
            folder.join("run").display(),
            folder.join("state").display(),
            self.rloc,
            self.gateway,
            self.eids,
        );
        text
    }
}

/// A gateway that runs. Its processes end with this.
pub struct Running {
    // The control plane goes first.
    control: Daemon,
    data: Daemon,
    api: Api,
}

impl Running {
    /// Starts both planes and waits until they are in sync.
    pub fn start(net: &Net, programs: &Programs, plan: &Plan) -> Result<Running> {
        let folder: PathBuf = net.folder().join(plan.namespace);
        for part in ["run", "state"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        let config = folder.join("gateway.toml");
        std::fs::write(&config, plan.render(net, &folder))?;
        let daemon = |program, log: &str| {
            let namespace = net.namespace(plan.namespace);
            Daemon::new(program, namespace, config.clone(), folder.join("run"), folder.join(log))
        };
        let mut running = Running {
            data: daemon(&programs.dataplane, "dataplane.log"),
            control: daemon(&programs.controlplane, "controlplane.log"),
            api: Api::new(plan.namespace, folder.join("run/control.sock")),
        };
        running.data.start()?;
        running.control.start()?;
        interrupt::wait_for("a gateway being in sync", READY, || {
            running.data.check_alive()?;
            running.control.check_alive()?;
            let status = running.api.get("/v1/status");
            Ok(status.ok().filter(|status| status["synced"] == true).map(|_| ()))
        })?;
        Ok(running)
    }

    /// What it has spent so far: the dataplane's threads, and polls by its own counters.
    pub fn spent(&self) -> Result<Spent> {
        let books: Books = self.api.get_as("/v1/counters")?;
        let sum = |name| books.sum("eid", name) + books.sum("rloc", name);
        let mut spent = Spent::of_process(self.data.id().unwrap_or(0))?;
        (spent.bursts, spent.empty_polls) = (sum("bursts"), sum("empty_polls"));
        Ok(spent)
    }

    /// How its ports are driven, by its own gauges.
    pub fn driver(&self) -> Result<Vec<DriverMode>> {
        let books: Books = self.api.get_as("/v1/counters")?;
        let mode = |scope: &Scope| DriverMode {
            port: scope.port.clone(),
            native_xdp: scope.get("native_xdp") == 1,
            zero_copy: scope.get("zero_copy") == 1,
        };
        Ok(books.scopes.iter().map(mode).collect())
    }

    /// How many packets it dropped, by reason. Errors: its books do not balance.
    pub fn balanced(&self) -> Result<Vec<(String, u64)>> {
        let (error, drops) = self.books()?;
        ensure!(error == 0, "a gateway's books are off by {error}: {drops:?}");
        Ok(drops)
    }

    /// The error of its balance, and how many packets it dropped, by reason.
    fn books(&self) -> Result<(i64, Vec<(String, u64)>)> {
        let books: Books = self.api.get_as("/v1/counters")?;
        let mut drops: Vec<(String, u64)> = Vec::new();
        for scope in &books.scopes {
            let dropped = scope.counters.iter().filter(|(name, n)| name.starts_with("drop_") && **n > 0);
            drops.extend(dropped.map(|(name, n)| (name.clone(), *n)));
        }
        Ok((books.balance.error, drops))
    }
}
