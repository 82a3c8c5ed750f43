//! On which machine a number was measured: without that it is no result.

use serde::Serialize;
use std::time::Instant;

/// The machine's fingerprint.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processor, as the kernel names it.
    pub cpu: String,
    /// Processors online.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Clocks of the time-stamp counter per nanosecond, measured now.
    pub clocks_per_ns: f64,
}

impl Machine {
    /// Reads and measures it.
    pub fn read() -> Machine {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            cpu: cpu.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            clocks_per_ns: clocks_per_ns(),
        }
    }
}

fn clocks_per_ns() -> f64 {
    let (start, clocks) = (Instant::now(), sterna_cpu::clocks_fenced());
    std::thread::sleep(std::time::Duration::from_millis(100));
    let (elapsed, clocks) = (start.elapsed(), sterna_cpu::clocks_fenced() - clocks);
    clocks as f64 / elapsed.as_nanos() as f64
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Machine { cpu, cores, kernel, clocks_per_ns } = self;
        write!(f, "{cpu}, {cores} cores, Linux {kernel}, TSC {clocks_per_ns:.3} GHz")
    }
}
