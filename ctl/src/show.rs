//! `sterna show NOUN`.
//!
//! Each noun has a file with its rows as the API gives them and its table. `--json` prints the API's answer untouched.

mod agents;
mod context;
mod control;
mod counters;
mod drops;
mod eids;
mod locators;
mod map_servers;
mod mappings;
mod ports;
mod registrations;
mod sites;
mod status;
mod subscriptions;

pub use agents::span;

use std::io::Write;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::de::DeserializeOwned;

use crate::client;
use crate::exit::Exit;
use crate::target::Target;

/// Shows what a running gateway knows and counts, as text or as the API's JSON.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to show
    #[arg(value_enum, value_name = "NOUN")]
    noun: Noun,
    #[command(flatten)]
    target: Target,
    /// Also show what is zero (counters, control, drops)
    #[arg(long)]
    all: bool,
    /// Print the gateway's own answer
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Noun {
    /// EID-prefixes and where their packets go
    Eids,
    /// Remote locators and how they are reached
    Locators,
    /// The interfaces and how they stand
    Ports,
    /// Every counter by port, and whether they balance
    Counters,
    /// Why packets were dropped
    Drops,
    /// The agents of this site, and where those that come and go stand
    Agents,
    /// What the agents here reported of themselves, and what was told of it
    Context,
    /// What the mapping system said, and how sure that is
    Mappings,
    /// What this gateway registers, and what is registered with it
    Registrations,
    /// Who is told of changes of which mapping
    Subscriptions,
    /// The map-servers and map-resolvers, and whether they answer
    MapServers,
    /// The sites of this map-server
    Sites,
    /// What the control protocol did and refused
    Control,
    /// The gateway at a glance
    Status,
}

impl Noun {
    fn path(self, all: bool) -> &'static str {
        match self {
            Noun::Eids => "/v1/eids",
            Noun::Locators => "/v1/locators",
            Noun::Ports => "/v1/ports",
            Noun::Counters => "/v1/counters",
            Noun::Drops if all => "/v1/drops?all=true",
            Noun::Drops => "/v1/drops",
            Noun::Agents => "/v1/agents",
            Noun::Context => "/v1/context",
            Noun::Mappings => "/v1/mappings",
            Noun::Registrations => "/v1/registrations",
            Noun::Subscriptions => "/v1/subscriptions",
            Noun::MapServers => "/v1/map-servers",
            Noun::Sites => "/v1/sites",
            Noun::Control => "/v1/lisp/counters",
            Noun::Status => "/v1/status",
        }
    }

    /// The text for people, and whether the gateway is in order.
    fn render(self, body: &str, all: bool) -> Result<(String, Exit)> {
        Ok(match self {
            Noun::Eids => (eids::table(&rows(body)?), Exit::Ok),
            Noun::Locators => (locators::table(&rows(body)?), Exit::Ok),
            Noun::Ports => (ports::table(&rows(body)?), Exit::Ok),
            Noun::Counters => (counters::table(&read(body)?, all), Exit::Ok),
            Noun::Drops => (drops::table(&rows(body)?), Exit::Ok),
            Noun::Agents => (agents::table(&rows(body)?), Exit::Ok),
            Noun::Context => (context::table(&rows(body)?), Exit::Ok),
            Noun::Mappings => (mappings::table(&rows(body)?), Exit::Ok),
            Noun::Registrations => (registrations::table(&rows(body)?), Exit::Ok),
            Noun::Subscriptions => (subscriptions::table(&rows(body)?), Exit::Ok),
            Noun::MapServers => map_servers::table(&rows(body)?),
            Noun::Sites => (sites::table(&rows(body)?), Exit::Ok),
            Noun::Control => (control::table(&read(body)?, all), Exit::Ok),
            Noun::Status => status::text(&read(body)?),
        })
    }
}

fn rows<T: DeserializeOwned>(body: &str) -> Result<Vec<T>> {
    read(body)
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T> {
    serde_json::from_str(body)
        .context("the gateway's answer is not understood; is it of another version? try --json")
}

/// Asks and shows.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit> {
    let socket = args.target.control_socket()?;
    let answer = client::get(&socket, args.noun.path(args.all))?;
    if !answer.status.is_success() {
        bail!("the gateway refused: {} ({})", client::sentence(&answer.body), answer.status);
    }
    if args.json {
        writeln!(out, "{}", answer.body.trim_end())?;
        return Ok(Exit::Ok);
    }
    let (text, exit) = args.noun.render(&answer.body, args.all)?;
    write!(out, "{text}")?;
    Ok(exit)
}
