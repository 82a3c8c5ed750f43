//! `sterna agent attach|detach|context`.

mod context;

use std::io::Write;
use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::client::{self, Answer, escaped};
use crate::exit::Exit;
use crate::target::Target;

/// Agents that come and go by order.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Attach an agent here: registered at once, wherever it was before
    Attach(Attach),
    /// Announce that an agent leaves: packets for it wait, then follow it to its next site
    Detach(Detach),
    /// Say how an agent's host is doing: others choose by it
    Context(Box<context::Args>),
}

/// What to attach.
#[derive(Debug, clap::Args)]
pub struct Attach {
    /// The agent's EID; without one, a free EID of the group's dynamic range is assigned
    #[arg(value_name = "EID")]
    eid: Option<IpAddr>,
    /// The agent's group, by name or instance-ID
    #[arg(long, value_name = "NAME")]
    group: String,
    /// What to call it: of a skill, another of another name is refused while it is here
    #[arg(long, value_name = "NAME", requires = "eid")]
    name: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Print the gateway's own answer
    #[arg(long)]
    json: bool,
}

/// What to detach.
#[derive(Debug, clap::Args)]
pub struct Detach {
    /// The agent's EID
    #[arg(value_name = "EID")]
    eid: IpAddr,
    /// The agent's group, by name or instance-ID
    #[arg(long, value_name = "NAME")]
    group: String,
    #[command(flatten)]
    target: Target,
    /// Print the gateway's own answer
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct Done {
    group: String,
    eid: IpAddr,
}

/// Orders and says what became of it.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<Exit> {
    let (target, verb, group, eid, json) = match command {
        Command::Context(args) => return context::run(args, out),
        Command::Attach(args) => (&args.target, "attach", &args.group, args.eid, args.json),
        Command::Detach(args) => (&args.target, "detach", &args.group, Some(args.eid), args.json),
    };
    let socket = target.control_socket()?;
    let name = match command {
        Command::Attach(args) => args.name.as_deref(),
        _ => None,
    };
    let answer = client::post(&socket, &path(verb, group, eid, name))?;
    let text = told(verb, &answer)?;
    if json {
        writeln!(out, "{}", answer.body.trim_end())?;
    } else {
        writeln!(out, "{text}")?;
    }
    Ok(Exit::Ok)
}

fn path(verb: &str, group: &str, eid: Option<IpAddr>, name: Option<&str>) -> String {
    let eid = eid.map(|eid| format!("&eid={}", escaped(&eid.to_string()))).unwrap_or_default();
    let name = name.map(|name| format!("&name={}", escaped(name))).unwrap_or_default();
    format!("/v1/agents/{verb}?group={}{eid}{name}", escaped(group))
}

fn told(verb: &str, answer: &Answer) -> Result<String> {
    if !answer.status.is_success() {
        bail!("{}", client::sentence(&answer.body));
    }
    let done: Done = serde_json::from_str(&answer.body)
        .context("the gateway's answer is not understood; is it of another version? try --json")?;
    Ok(match verb {
        "attach" => format!("{} is attached to the group {}", done.eid, done.group),
        _ => format!(
            "{} leaves the group {} here: packets for it wait for its next site",
            done.eid, done.group
        ),
    })
}

#[cfg(test)]
mod test {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn the_path_names_group_and_eid() {
        assert_eq!(path("attach", "research", None, None), "/v1/agents/attach?group=research");
        let eid = Some("fd00:64::7".parse().unwrap());
        assert_eq!(
            path("detach", "a b&c", eid, Some("x y")),
            "/v1/agents/detach?group=a%20b%26c&eid=fd00%3A64%3A%3A7&name=x%20y"
        );
    }

    #[test]
    fn what_became_of_it_is_one_sentence() {
        let answer = |status, body: &str| Answer { status, body: body.to_owned() };
        let done = answer(StatusCode::OK, r#"{"group":"research","eid":"10.1.100.7"}"#);
        assert_eq!(told("attach", &done).unwrap(), "10.1.100.7 is attached to the group research");
        assert!(told("detach", &done).unwrap().starts_with("10.1.100.7 leaves the group research"));
        let refused = answer(StatusCode::NOT_FOUND, r#"{"error":"there is no group x here"}"#);
        assert_eq!(told("attach", &refused).unwrap_err().to_string(), "there is no group x here");
        assert!(told("attach", &answer(StatusCode::OK, "[]")).is_err());
    }
}
