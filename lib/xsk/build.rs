//! Compiles the XDP programs to BPF bytecode.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const PROGRAMS: [&str; 4] = ["steer", "sink", "live", "funnel"];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    match PROGRAMS.iter().try_for_each(|name| compile(name)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            for line in reason.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn compile(name: &str) -> Result<(), String> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?);
    let arch = env::var("CARGO_CFG_TARGET_ARCH").map_err(|e| format!("CARGO_CFG_TARGET_ARCH: {e}"))?;
    let output = Command::new(&clang)
        // -g: libbpf reads the maps' shapes from BTF. v3: 32-bit operations and far jumps, since Linux 5.1.
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-fno-stack-protector"])
        // Debian keeps asm/types.h by architecture.
        .arg(format!("-I/usr/include/{arch}-linux-gnu"))
        .args(["-c", &format!("bpf/{name}.bpf.c"), "-o"])
        .arg(out.join(format!("{name}.bpf.o")))
        .output()
        .map_err(|e| {
            format!(
                "cannot run `{clang}` ({e}): the XDP programs need clang; on Debian and Ubuntu `apt install clang`, or name another one in the variable CLANG"
            )
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "`{clang}` could not compile bpf/{name}.bpf.c; if a linux/ or asm/ header is missing, on Debian and Ubuntu `apt install linux-libc-dev`:\n{said}"
    ))
}
