//! What a gateway refuses to start on, in one sentence that says what and how to mend it, with nothing changed on
//! the host. Runs in a network namespace of its own; needs root (else `SKIP`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static ONE: Mutex<()> = Mutex::new(());

fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(|deps| deps.parent()).unwrap().join(name);
    assert!(built.exists(), "{} is not built: cargo build --workspace --bins", built.display());
    built
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A namespace with two veth pairs whose far ends stay in it, too.
struct Host {
    name: String,
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Option<Host> {
        if let Err(reason) = sterna_lab::requirements::check() {
            println!("SKIP: {reason}");
            return None;
        }
        let name = format!("sx-{}", std::process::id());
        let _ = Command::new("ip").args(["netns", "del", &name]).stderr(Stdio::null()).status();
        ip(&format!("netns add {name}"));
        let host = Host { name, dir: tempfile::tempdir().unwrap() };
        for (a, b) in [("agents", "agents-far"), ("under", "under-far")] {
            ip(&format!("-n {} link add {a} type veth peer name {b}", host.name));
            for link in [a, b] {
                ip(&format!("-n {} link set {link} up", host.name));
            }
        }
        ip(&format!("-n {} link set under mtu 1600", host.name));
        ip(&format!("-n {} addr add 192.0.2.1/24 dev under", host.name));
        Some(host)
    }

    fn config(&self, change: impl FnOnce(String) -> String) -> PathBuf {
        let name = &self.name;
        let run_dir = self.dir.path().display();
        let text = format!(
            r#"
[gateway]
name = "{name}"
[paths]
run_dir = "{run_dir}"
[[port]]
name = "agents"
side = "eid"
[[port]]
name = "under"
side = "rloc"
[[rloc]]
address = "192.0.2.1"
[[group]]
iid = 100
name = "research"
port = "agents"
gateway = ["10.1.0.1/16"]
eids = ["10.1.0.0/24"]
"#
        );
        let path = self.dir.path().join("gateway.toml");
        std::fs::write(&path, change(text)).unwrap();
        path
    }

    /// A program of ours inside the namespace; bpffs stays visible because only the network namespace changes.
    fn command(&self, program_name: &str, config: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg(program(program_name));
        command.arg("--config").arg(config);
        command
    }

    fn refused(&self, config: &Path) -> String {
        let before = self.links();
        let output: Output = self.command("sterna-dataplane", config).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it started: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(before, self.links(), "the host was changed");
        assert!(!Path::new("/sys/fs/bpf/sterna").join(&self.name).join("link-2").exists());
        said
    }

    /// Names, flags and XDP programs of all links, without their changing counters.
    fn links(&self) -> Vec<String> {
        let text = ip(&format!("-n {} -o link show", self.name));
        text.lines().map(|line| line.split(" qdisc ").next().unwrap_or(line).to_owned()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = std::fs::remove_dir_all(Path::new("/sys/fs/bpf/sterna").join(&self.name));
    }
}

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_missing_interface() {
    let _alone = alone();
    let Some(host) = Host::new() else { return };
    let said = host.refused(&host.config(|text| text.replace("\"agents\"", "\"agent\"")));
    assert!(said.contains("agent") && said.contains("agents"), "names it and the nearest: {said}");
}

#[test]
fn the_port_of_the_default_route() {
    let _alone = alone();
    let Some(host) = Host::new() else { return };
    ip(&format!("-n {} route add default via 192.0.2.254", host.name));
    let said = host.refused(&host.config(|text| text));
    assert!(said.contains("default route") && said.contains("allow_shared"), "{said}");
}

#[test]
fn an_underlay_too_small_for_ipv6() {
    let _alone = alone();
    let Some(host) = Host::new() else { return };
    ip(&format!("-n {} link set under mtu 1300", host.name));
    let said = host.refused(&host.config(|text| text));
    assert!(said.contains("1316") || said.contains("1336"), "says how much it must be: {said}");
}

#[test]
fn a_queue_that_is_taken() {
    let _alone = alone();
    let Some(host) = Host::new() else { return };
    let config = host.config(|text| text);
    let mut first = host.command("sterna-dataplane", &config).stderr(Stdio::null()).spawn().unwrap();
    let socket = host.dir.path().join("dataplane.sock");
    for _ in 0..100 {
        if socket.exists() && Path::new("/sys/fs/bpf/sterna").join(&host.name).exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(first.try_wait().unwrap().is_none(), "the first dataplane did not start");
    let other = host.dir.path().join("other.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let elsewhere = host.dir.path().join("other");
    let text = text.replace(
        &format!("run_dir = \"{}\"", host.dir.path().display()),
        &format!("run_dir = \"{}\"", elsewhere.display()),
    );
    std::fs::write(&other, text).unwrap();
    let output = host.command("sterna-dataplane", &other).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it started: {said}");
    assert!(said.contains("agents") && !said.contains("panicked"), "{said}");
    assert!(first.try_wait().unwrap().is_none(), "the first one was disturbed");
    rustix::process::kill_process(rustix::process::Pid::from_child(&first), rustix::process::Signal::TERM)
        .unwrap();
    assert!(first.wait().unwrap().success(), "a clean stop");
}

#[test]
fn a_foreign_user() {
    let _alone = alone();
    let Some(host) = Host::new() else { return };
    let config = host.config(|text| text);
    // Root without the capabilities that AF_XDP needs.
    let output = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", host.name))
        .args(["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
        .arg(program("sterna-dataplane"))
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it started: {said}");
    assert!(said.contains("root") || said.contains("CAP_"), "{said}");
}

#[test]
fn a_config_with_several_mistakes_names_them_all() {
    let _alone = alone();
    let Some(host) = Host::new() else { return };
    let config = host.config(|text| {
        text.replace("iid = 100", "iid = 99999999")
            .replace("side = \"rloc\"", "sides = \"rloc\"")
            .replace("192.0.2.1", "300.0.2.1")
    });
    let said = host.refused(&config);
    for part in ["iid", "sides", "300.0.2.1", "gateway.toml"] {
        assert!(said.contains(part), "no {part} in: {said}");
    }
    let checked = Command::new(program("sterna")).arg("check").arg(&config).output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
}
