//! Network namespaces with veth pairs, made by a test and gone after it, also when it fails.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sterna_xsk::Steering;

pub mod path;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Namespaces named after this process; everything in them goes with them.
pub struct Lab {
    namespaces: Vec<String>,
    pins: Vec<PathBuf>,
}

impl Lab {
    /// Makes namespaces; `None`, with the reason printed, where that is not possible.
    pub fn new(namespaces: usize) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: network namespaces and XDP need root");
            return None;
        }
        if Command::new("ip").arg("-V").output().is_err() {
            println!("SKIP: the `ip` tool (iproute2) is missing");
            return None;
        }
        let mut lab = Self { namespaces: Vec::new(), pins: Vec::new() };
        for _ in 0..namespaces {
            let name = format!("sxsk{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let made = Command::new("ip").args(["netns", "add", &name]).output().unwrap();
            if !made.status.success() {
                println!("SKIP: no network namespaces: {}", String::from_utf8_lossy(&made.stderr).trim());
                return None;
            }
            lab.namespaces.push(name);
            lab.ip(lab.namespaces.len() - 1, "link set lo up mtu 1500");
        }
        Some(lab)
    }

    /// A namespace's name.
    pub fn name(&self, namespace: usize) -> &str {
        &self.namespaces[namespace]
    }

    /// A directory for pins that is cleared at the end; mounts the BPF file system where it is missing.
    pub fn pin_dir(&mut self) -> PathBuf {
        let root = Path::new("/sys/fs/bpf");
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        if !mounts.lines().any(|line| line.split(' ').nth(1) == root.to_str()) {
            run("mount", &["-t", "bpf", "bpf", "/sys/fs/bpf"]);
        }
        let name = format!("sterna-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        self.pins.push(root.join(name));
        self.pins.last().unwrap().clone()
    }

    /// Runs a program in a namespace.
    pub fn run(&self, namespace: usize, program: &str, arguments: &[&str]) -> String {
        let mut all = vec!["netns", "exec", &self.namespaces[namespace], program];
        all.extend(arguments);
        run("ip", &all)
    }

    /// Runs `ip` in a namespace.
    pub fn ip(&self, namespace: usize, arguments: &str) -> String {
        let mut all = vec!["-n", &self.namespaces[namespace]];
        all.extend(arguments.split_whitespace());
        run("ip", &all)
    }

    /// A veth pair between two namespaces, up, without offloads that leave checksums undone.
    pub fn veth(&self, left: (usize, &str), right: (usize, &str), queues: u32) {
        let far = &self.namespaces[right.0];
        self.ip(
            left.0,
            &format!(
                "link add {} numrxqueues {queues} numtxqueues {queues} type veth peer name {} netns {far} numrxqueues {queues} numtxqueues {queues}",
                left.1, right.1
            ),
        );
        for (namespace, interface) in [left, right] {
            // No IPv6 chatter: the only packets are the test's.
            let quiet = format!("net.ipv6.conf.{interface}.disable_ipv6=1");
            self.run(namespace, "sysctl", &["-q", "-w", &quiet]);
            self.ip(namespace, &format!("link set {interface} up"));
            self.run(namespace, "ethtool", &["-K", interface, "tx", "off", "rxvlan", "off", "txvlan", "off"]);
            if queues > 1 {
                let count = queues.to_string();
                self.run(namespace, "ethtool", &["-L", interface, "rx", &count, "tx", &count]);
            }
        }
    }

    /// An interface's MAC address.
    pub fn mac(&self, namespace: usize, interface: &str) -> [u8; 6] {
        self.inside(namespace, || sterna_xsk::Interface::find(interface).unwrap().mac)
    }

    /// Calls a function on a thread that is in a namespace.
    pub fn inside<T: Send>(&self, namespace: usize, call: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespaces[namespace]);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                enter(&path);
                call()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for pins in &self.pins {
            if let Err(error) = Steering::unpin(pins) {
                eprintln!("pins left behind: {error}");
            }
        }
        for name in &self.namespaces {
            let _ = Command::new("ip").args(["netns", "del", name]).output();
        }
    }
}

/// Moves this thread into a namespace.
pub fn enter(path: &str) {
    let namespace = File::open(path).unwrap();
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
