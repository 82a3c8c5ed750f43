//! A network namespace with veth pairs, made by a test and gone after it, also when it fails.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sterna_pktgen::run::{Options, Place};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace named after this process.
pub struct Lab {
    pub name: String,
}

impl Lab {
    /// Makes one; `None`, with the reason printed, where that is not possible.
    pub fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP: network namespaces and XDP need root");
            return None;
        }
        for (program, argument) in [("ip", "-V"), ("ethtool", "--version")] {
            if Command::new(program).arg(argument).output().is_err() {
                println!("SKIP: the `{program}` tool is missing");
                return None;
            }
        }
        let name = format!("spg{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("ip").args(["netns", "add", &name]).output().unwrap();
        if !made.status.success() {
            println!("SKIP: no network namespaces: {}", String::from_utf8_lossy(&made.stderr).trim());
            return None;
        }
        Some(Self { name })
    }

    /// Runs a program in the namespace.
    pub fn run(&self, command: &str) {
        let done = self.attempt(command);
        assert!(done.0, "{command}: {}", done.1);
    }

    /// Runs a program in the namespace; whether it went well, and what it complained about.
    pub fn attempt(&self, command: &str) -> (bool, String) {
        let arguments = ["netns", "exec", &self.name].into_iter().chain(command.split_whitespace());
        let output = Command::new("ip").args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// A veth pair with both ends here, up, without IPv6 and without offloads.
    pub fn veth(&self, left: &str, right: &str, mtu: u32) {
        self.run(&format!("ip link add {left} mtu {mtu} type veth peer name {right} mtu {mtu}"));
        for interface in [left, right] {
            self.run(&format!("sysctl -q -w net.ipv6.conf.{interface}.disable_ipv6=1"));
            self.run(&format!("ethtool -K {interface} tx off rxvlan off txvlan off"));
            self.run(&format!("ip link set {interface} up"));
        }
    }

    /// Options to send and receive at interfaces of this namespace.
    pub fn options(&self, tx: &str, rx: &str) -> Options {
        let place =
            |interface: &str| Place { interface: interface.to_owned(), namespace: Some(self.name.clone()) };
        Options { own_network: true, ..Options::between(Some(place(tx)), Some(place(rx))) }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}
