//! Compiles the XDP program to BPF bytecode.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            for line in reason.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn compile() -> Result<(), String> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?);
    let arch = env::var("CARGO_CFG_TARGET_ARCH").map_err(|e| format!("CARGO_CFG_TARGET_ARCH: {e}"))?;
    let output = Command::new(&clang)
        // -g: libbpf reads the maps' shapes from BTF. v3: 32-bit operations and far jumps, since Linux 5.1.
        .args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror", "-fno-stack-protector"])
        // Debian keeps asm/types.h by architecture.
        .arg(format!("-I/usr/include/{arch}-linux-gnu"))
        .args(["-c", "bpf/steer.bpf.c", "-o"])
        .arg(out.join("steer.bpf.o"))
        .output()
        .map_err(|e| {
            format!(
                "cannot run `{clang}` ({e}): the XDP program needs clang; on Debian and Ubuntu `apt install clang`, or name another one in the variable CLANG"
            )
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "`{clang}` could not compile bpf/steer.bpf.c; if a linux/ or asm/ header is missing, on Debian and Ubuntu `apt install linux-libc-dev`:\n{said}"
    ))
}
