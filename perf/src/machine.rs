//! On which machine a number was measured: without that it is no result.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// The machine's fingerprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor, as the kernel names it.
    pub cpu: String,
    /// Processors online.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Clocks of the time-stamp counter per nanosecond, measured now.
    pub clocks_per_ns: f64,
    /// Another system shares the processors: the kernel sees a hypervisor.
    #[serde(default)]
    pub is_virtual: bool,
    /// The first processor's frequency governor; none where the kernel does not choose.
    #[serde(default)]
    pub governor: Option<String>,
    /// By vulnerability: what the kernel does about it.
    #[serde(default)]
    pub mitigations: BTreeMap<String, String>,
}

/// Where the kernel says what it does about the processor's faults.
const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";
const GOVERNOR: &str = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";

impl Machine {
    /// Reads and measures it.
    pub fn read() -> Machine {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        Machine {
            cpu: cpu.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            clocks_per_ns: clocks_per_ns(),
            is_virtual: flags.split_whitespace().any(|flag| flag == "hypervisor"),
            governor: std::fs::read_to_string(GOVERNOR).ok().map(|name| name.trim().to_owned()),
            mitigations: mitigations(Path::new(VULNERABILITIES)),
        }
    }

    /// Whether times of one may be held against times of the other: the same processor, and as many of them.
    pub fn is_like(&self, other: &Machine) -> bool {
        self.cpu == other.cpu && self.cores == other.cores
    }
}

/// Of a processor that has none of the faults there is nothing to say.
fn mitigations(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let told = entries.filter_map(|entry| {
        let says = std::fs::read_to_string(entry.path()).ok()?.trim().to_owned();
        (says != "Not affected").then(|| (entry.file_name().to_string_lossy().into_owned(), says))
    });
    told.collect()
}

fn clocks_per_ns() -> f64 {
    let (start, clocks) = (Instant::now(), sterna_cpu::clocks_fenced());
    std::thread::sleep(std::time::Duration::from_millis(100));
    let (elapsed, clocks) = (start.elapsed(), sterna_cpu::clocks_fenced() - clocks);
    clocks as f64 / elapsed.as_nanos() as f64
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { cpu, cores, kernel, clocks_per_ns, .. } = self;
        write!(f, "{cpu}, {cores} cores, Linux {kernel}, TSC {clocks_per_ns:.3} GHz")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn only_what_the_processor_suffers_from_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for (name, says) in
            [("meltdown", "Not affected\n"), ("retbleed", "Mitigation: untrained return thunk\n")]
        {
            std::fs::write(folder.path().join(name), says).unwrap();
        }
        let told = mitigations(folder.path());
        assert_eq!(told.len(), 1);
        assert_eq!(told["retbleed"], "Mitigation: untrained return thunk");
        assert!(mitigations(Path::new("/nowhere/at/all")).is_empty());
    }

    #[test]
    fn a_fingerprint_of_before_is_still_read() {
        let old = r#"{"cpu":"x","cores":2,"kernel":"6.1","clocks_per_ns":2.6}"#;
        let old: Machine = serde_json::from_str(old).unwrap();
        assert!(old.is_like(&Machine { kernel: "6.12".to_owned(), ..old.clone() }));
        assert!(!old.is_like(&Machine { cores: 4, ..old.clone() }));
    }
}
