//! `sterna-dataplane`: the process that forwards.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use sterna_config::{Look, Validated, host, load};

/// The forwarding process of a Sterna gateway: takes the ports of the configuration over by AF_XDP and carries
/// packets as the control plane says.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The gateway's configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/sterna/gateway.toml")]
    config: PathBuf,
    /// Where the sockets are; by default what the configuration says.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sterna-dataplane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STERNA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

fn run(arguments: &Arguments) -> Result<()> {
    let config = read_config(arguments)?;
    let (stop, signal) = UnixStream::pair().context("cannot make a pipe for signals")?;
    for number in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        let writer = signal.try_clone().context("cannot copy the pipe for signals")?;
        signal_hook::low_level::pipe::register(number, writer).context("cannot watch for signals")?;
    }
    let run_dir = arguments.run_dir.clone().unwrap_or_else(|| config.paths.run_dir.clone());
    sterna_dataplane::start::run(&config, &run_dir, stop.as_fd())
}

fn read_config(arguments: &Arguments) -> Result<Validated> {
    let look = Look { colour: std::io::stderr().is_terminal(), ..Look::PLAIN };
    let checked =
        load(&arguments.config).and_then(|config| host::check(&config, &host::Kernel).map(|()| config));
    match checked {
        Ok(config) => Ok(config),
        Err(report) => {
            eprint!("{}", report.render(look));
            bail!("the configuration {} cannot be used", arguments.config.display())
        }
    }
}
