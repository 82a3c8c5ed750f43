//! `sterna check FILE`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use sterna_config::{Config, Report, Role, Validated, host};

use crate::exit::Exit;
use crate::terminal;

/// Reads a config file and names every mistake at once, with line, column and help.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also look at this machine: interfaces, MTU, queues, cores, default route
    #[arg(long)]
    host: bool,
    /// Print {"file","valid","findings":[{"code","path","line","column","text","help"}]}
    #[arg(long)]
    json: bool,
}

/// Checks and says so.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit> {
    let checked = sterna_config::load(&args.file).and_then(|config| on_host(args, config));
    match checked {
        Ok(config) => {
            if args.json {
                writeln!(out, "{}", json!({ "file": config.file(), "valid": true, "findings": [] }))?;
            } else {
                writeln!(out, "{} is right: {}", config.file(), summary(&config))?;
            }
            Ok(Exit::Ok)
        }
        Err(report) => refuse(args, &report, out),
    }
}

fn on_host(args: &Args, config: Validated) -> Result<Validated, Report> {
    if args.host {
        host::check(&config, &host::Kernel)?;
    }
    Ok(config)
}

fn refuse(args: &Args, report: &Report, out: &mut dyn Write) -> Result<Exit> {
    if args.json {
        let body = json!({ "file": report.file, "valid": false, "findings": report.findings });
        writeln!(out, "{body}")?;
    } else {
        write!(out, "{}", report.render(terminal::look()))?;
    }
    Ok(if report.is_unreadable() { Exit::CannotTell } else { Exit::Found })
}

fn summary(config: &Config) -> String {
    if !config.has(Role::Xtr) {
        return format!(
            "{} {}, {}, {}",
            config.gateway.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" and "),
            config.gateway.name,
            count(config.rlocs.len(), "address"),
            count(config.sites.len(), "site"),
        );
    }
    let served: usize = config.groups.iter().map(|group| group.eids.len()).sum();
    format!(
        "gateway {}, {}, {}, {}, {} served, {}",
        config.gateway.name,
        count(config.ports.len(), "port"),
        count(config.rlocs.len(), "locator"),
        count(config.groups.len(), "group"),
        count(served, "prefix"),
        count(config.mappings.len(), "mapping"),
    )
}

fn count(number: usize, what: &str) -> String {
    match (number, what) {
        (1, what) => format!("1 {what}"),
        (number, "address") => format!("{number} addresses"),
        (number, "prefix") => format!("{number} prefixes"),
        (number, what) => format!("{number} {what}s"),
    }
}
