//! DPDK's testpmd as the box under test: the foreign limit of what AF_XDP carries here.

use super::net::Net;
use super::spent::Spent;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use sterna_lab::interrupt;

/// Debian's package `dpdk` has it; `librte-net-af-xdp23` the driver.
const PROGRAM: &str = "dpdk-testpmd";
/// DPDK's run-time folder.
const RUN_DIR: &str = "/var/run/dpdk";
/// How long it may take to have its ports.
const READY: Duration = Duration::from_secs(20);
/// From its XDP programs being attached to its forwarding.
const SETTLE: Duration = Duration::from_secs(1);

/// testpmd between the box's ports; it ends with this.
pub struct Testpmd {
    child: Child,
    /// Where it keeps what its other processes would share.
    shared: PathBuf,
}

impl Testpmd {
    /// Whether it is installed.
    pub fn is_installed() -> bool {
        Command::new(PROGRAM).arg("--version").output().is_ok()
    }

    /// Forwards in io mode between the box's ports, on a core.
    pub fn start(net: &Net, main_core: usize, core: usize) -> Result<Testpmd> {
        let log_file = net.folder().join("testpmd.log");
        let (log, also) = (File::create(&log_file)?, File::options().append(true).open(&log_file)?);
        let mut command = Command::new(PROGRAM);
        command
            .args(["-l", &format!("{main_core},{core}"), "--main-lcore", &main_core.to_string()])
            .args(["--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--file-prefix", &net.name("box")])
            .args(["--vdev", "net_af_xdp0,iface=eid0,start_queue=0,queue_count=1"])
            .args(["--vdev", "net_af_xdp1,iface=rloc0,start_queue=0,queue_count=1"])
            .args(["--", "--forward-mode=io", "--auto-start", "--nb-cores=1", "--burst=64"])
            .args(["--rxd=2048", "--txd=2048", "--total-num-mbufs=32768"])
            // It ends when its input does.
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(also);
        let mut testpmd = Testpmd {
            child: net.namespace("box").spawn(command)?,
            shared: Path::new(RUN_DIR).join(net.name("box")),
        };
        let start = Instant::now();
        loop {
            let said = || std::fs::read_to_string(&log_file).unwrap_or_default();
            if let Some(status) = testpmd.child.try_wait()? {
                bail!("testpmd ended ({status}): {}", said().trim());
            }
            // What it says itself comes late: its output is no terminal.
            if net.has_program("box", "eid0")? && net.has_program("box", "rloc0")? {
                // The programs are attached; its threads start, the links settle.
                interrupt::sleep(SETTLE)?;
                return Ok(testpmd);
            }
            if start.elapsed() > READY {
                bail!("testpmd was not ready in {READY:?}: {}", said().trim());
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has spent so far.
    pub fn spent(&self) -> Result<Spent> {
        Spent::of_process(self.child.id()).context("testpmd's threads")
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        // It clears its programs off the ports when its input ends; what hangs is ended.
        drop(self.child.stdin.take());
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.shared);
        // Goes only when nobody else's DPDK has anything there.
        let _ = std::fs::remove_dir(RUN_DIR);
    }
}
