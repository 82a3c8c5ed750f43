//! `sterna-controlplane --config FILE [--run-dir DIR]`

#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sterna_config::Look;
use tracing_subscriber::EnvFilter;

/// The control plane of a Sterna gateway.
#[derive(Debug, Parser)]
#[command(name = "sterna-controlplane", version)]
struct Args {
    /// The gateway's config file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Directory of the sockets, instead of the config's.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr();
    let config = match sterna_config::load(&args.config) {
        Ok(config) => config,
        Err(report) => {
            eprint!("{}", report.render(Look { colour: std::io::stderr().is_terminal(), ..Look::PLAIN }));
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(sterna_controlplane::runtime::run(config.into_config(), args.config, args.run_dir))
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sterna-controlplane: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `STERNA_LOG` overrides the level.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("STERNA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).init();
}
