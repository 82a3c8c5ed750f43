//! `sterna agent context`: says how an agent's host is doing.

use std::io::Write;
use std::net::IpAddr;

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{self, Answer};
use crate::exit::Exit;
use crate::target::Target;

/// What to say of an agent. Only what is named changes, unless it says otherwise.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agent's EID
    #[arg(value_name = "EID")]
    eid: IpAddr,
    /// The agent's group, by name or instance-ID; needed where several have an agent of this EID
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    #[command(flatten)]
    said: Said,
    /// How long latency, state and load hold without being renewed, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(5..=86_400))]
    ttl: Option<u32>,
    /// Say it of this locator of the agent alone
    #[arg(long, value_name = "RLOC", conflicts_with_all = ["replace", "heartbeat", "ttl"])]
    locator: Option<IpAddr>,
    /// This is all there is to say: what is not named is unknown from now on
    #[arg(long, conflicts_with_all = ["clear", "heartbeat"])]
    replace: bool,
    /// Nothing is said any more (with --locator: of that locator)
    #[arg(long, conflicts_with = "heartbeat")]
    clear: bool,
    /// What was said holds for its time again
    #[arg(long)]
    heartbeat: bool,
    #[command(flatten)]
    target: Target,
    /// Print the gateway's own answer
    #[arg(long)]
    json: bool,
}

/// The attributes.
#[derive(Debug, clap::Args)]
struct Said {
    /// How busy its host is, 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = share)]
    load: Option<f64>,
    /// Requests that wait
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=65_534))]
    queue: Option<u16>,
    /// What it is doing
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// How long processing takes, by class
    #[arg(long, value_name = "CLASS", value_parser = PossibleValuesParser::new(["low", "medium", "high"]))]
    latency: Option<String>,
    /// The processing latency that it promises, in microseconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sla_us: Option<u32>,
    /// What hardware there is, with commas: gpu, npu, fpga, tee, rdma, high-mem, nvme, video-codec, or names of your own
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    hardware: Option<Vec<String>>,
    /// How well it is protected; higher is stronger
    #[arg(long, value_name = "LEVEL")]
    security: Option<u8>,
    /// Protections that are there, with commas
    #[arg(long, value_name = "FLAGS", value_delimiter = ',',
          value_parser = PossibleValuesParser::new(["crypto", "attested", "tee"]))]
    security_flags: Option<Vec<String>>,
    /// The security domain that it lies in
    #[arg(long, value_name = "N")]
    security_domain: Option<u16>,
}

const STATES: [&str; 8] =
    ["active", "idle", "busy", "draining", "suspended", "migrating", "failed", "unknown"];

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "it is a number from 0 to 1".to_owned())
}

/// A row of `/v1/agents`.
#[derive(Debug, Deserialize)]
struct Row {
    iid: u32,
    group: Option<String>,
    eid: IpAddr,
}

/// Says it and tells what became of it.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit> {
    let (method, suffix, body) = args.request()?;
    let socket = args.target.control_socket()?;
    let rows: Vec<Row> = serde_json::from_str(&client::get(&socket, "/v1/agents")?.body).unwrap_or_default();
    let iid = iid(args, &rows)?;
    let path = format!("/v1/groups/{iid}/agents/{}/context{suffix}", args.eid);
    let answer = client::send(&socket, method, &path, body.map(|body| body.to_string()).unwrap_or_default())?;
    if !answer.status.is_success() {
        bail!("{}", refusal(&answer));
    }
    if args.json {
        writeln!(out, "{}", answer.body.trim_end())?;
    } else {
        writeln!(out, "{}", args.done())?;
    }
    Ok(Exit::Ok)
}

impl Args {
    /// Method, what follows the path, and body.
    fn request(&self) -> Result<(Method, &'static str, Option<Value>)> {
        let said = self.said.body();
        if (self.clear || self.heartbeat) && !(said.is_empty() && self.ttl.is_none()) {
            let option = if self.clear { "--clear" } else { "--heartbeat" };
            bail!("{option} stands alone: leave out what else is said");
        }
        if self.heartbeat {
            return Ok((Method::POST, "/heartbeat", None));
        }
        if let Some(locator) = self.locator {
            let said = if self.clear { Value::Null } else { Value::Object(said) };
            if said.as_object().is_some_and(Map::is_empty) {
                bail!("nothing is said of the locator {locator}: name for instance --load 0.4, or --clear");
            }
            return Ok((Method::PATCH, "", Some(json!({ "locators": { locator.to_string(): said } }))));
        }
        if self.clear {
            return Ok((Method::DELETE, "", None));
        }
        let mut body = said;
        body.extend(self.ttl.map(|ttl| ("ttl_s".to_owned(), json!(ttl))));
        if body.is_empty() && !self.replace {
            bail!("nothing is said: name for instance --load 0.4 --state busy, or --heartbeat, or --clear");
        }
        let method = if self.replace { Method::PUT } else { Method::PATCH };
        Ok((method, "", Some(Value::Object(body))))
    }

    fn done(&self) -> String {
        let eid = self.eid;
        match (self.heartbeat, self.clear, self.locator) {
            (true, ..) => format!("what was said of {eid} holds for its time again"),
            (_, true, None) => format!("nothing is said of {eid} any more"),
            (_, true, Some(locator)) => {
                format!("nothing of its own is said of the locator {locator} of {eid}")
            }
            (_, _, Some(locator)) => format!("the context of the locator {locator} of {eid} is taken"),
            _ => format!("the context of {eid} is taken"),
        }
    }
}

impl Said {
    fn body(&self) -> Map<String, Value> {
        let latency = pairs([
            ("class", self.latency.as_ref().map(|class| json!(class))),
            ("sla_us", self.sla_us.map(|us| json!(us))),
        ]);
        let security = pairs([
            ("level", self.security.map(|level| json!(level))),
            ("flags", self.security_flags.as_ref().map(|flags| json!(flags))),
            ("domain", self.security_domain.map(|domain| json!(domain))),
        ]);
        let some = |table: Map<String, Value>| (!table.is_empty()).then_some(Value::Object(table));
        pairs([
            ("latency", some(latency)),
            ("hardware", self.hardware.as_ref().map(|names| json!(names))),
            ("state", self.state.as_ref().map(|state| json!(state))),
            ("load", self.load.map(|load| json!(load))),
            ("queue", self.queue.map(|queue| json!(queue))),
            ("security", some(security)),
        ])
    }
}

fn pairs<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Map<String, Value> {
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The agent's group.
fn iid(args: &Args, rows: &[Row]) -> Result<u32> {
    let called = |row: &&Row| match &args.group {
        Some(name) => row.group.as_ref() == Some(name) || row.iid.to_string() == *name,
        None => true,
    };
    let mut found: Vec<&Row> = rows.iter().filter(|row| row.eid == args.eid).filter(called).collect();
    found.dedup_by_key(|row| row.iid);
    // What is not an agent may be a host that is served by itself; the gateway knows.
    let number = args.group.as_ref().and_then(|group| group.parse().ok());
    match (found.as_slice(), number) {
        ([row], _) => Ok(row.iid),
        ([], Some(iid)) => Ok(iid),
        ([], None) => match &args.group {
            Some(group) => bail!(
                "no agent {} is in the group {group} here: see `sterna show agents`, or name the group by its instance-ID",
                args.eid
            ),
            None => bail!(
                "no agent {} is here: see `sterna show agents`, or name its group with --group",
                args.eid
            ),
        },
        (several, _) => {
            let name = |row: &&Row| row.group.clone().unwrap_or_else(|| row.iid.to_string());
            let groups: Vec<String> = several.iter().map(name).collect();
            bail!(
                "several groups have an agent {}: choose one with --group ({})",
                args.eid,
                groups.join(", ")
            )
        }
    }
}

/// Every fault of what was said, a line each.
fn refusal(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let faults = body["faults"].as_array().into_iter().flatten();
    let lines: Vec<String> = faults
        .map(|fault| {
            format!("{} {}", fault["path"].as_str().unwrap_or(""), fault["text"].as_str().unwrap_or(""))
        })
        .collect();
    if lines.is_empty() { client::sentence(&answer.body) } else { lines.join("\n") }
}

#[cfg(test)]
mod test {
    use clap::Parser;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(std::iter::once("x").chain(line.split(' '))).map(|line| line.args)
    }

    fn request(line: &str) -> (Method, &'static str, Option<Value>) {
        parsed(line).unwrap().request().unwrap()
    }

    #[test]
    fn what_is_named_is_patched_or_all() {
        let (method, _, body) = request("10.1.0.5 --load 0.4 --state busy");
        assert_eq!((method, body), (Method::PATCH, Some(json!({"load": 0.4, "state": "busy"}))));
        let all = "10.1.0.5 --replace --latency low --sla-us 5000 --hardware gpu,h100 --security 3 --security-flags \
                   crypto,tee --security-domain 7 --queue 3 --ttl 90";
        let (method, _, body) = request(all);
        let expected = json!({
            "latency": {"class": "low", "sla_us": 5000}, "hardware": ["gpu", "h100"], "queue": 3, "ttl_s": 90,
            "security": {"level": 3, "flags": ["crypto", "tee"], "domain": 7},
        });
        assert_eq!((method, body), (Method::PUT, Some(expected)));
        assert_eq!(request("10.1.0.5 --replace").2, Some(json!({})));
        let (method, _, body) = request("10.1.0.5 --locator 192.0.2.1 --load 1");
        assert_eq!((method, body), (Method::PATCH, Some(json!({"locators": {"192.0.2.1": {"load": 1.0}}}))));
        let (_, _, body) = request("10.1.0.5 --locator 192.0.2.1 --clear");
        assert_eq!(body, Some(json!({"locators": {"192.0.2.1": null}})));
        assert_eq!(request("10.1.0.5 --clear"), (Method::DELETE, "", None));
        assert_eq!(request("10.1.0.5 --heartbeat"), (Method::POST, "/heartbeat", None));
    }

    #[test]
    fn wrong_arguments_are_refused_before_anybody_is_asked() {
        for line in [
            "10.1.0.5 --load 1.1",
            "10.1.0.5 --load nan",
            "10.1.0.5 --state sleeping",
            "10.1.0.5 --queue 65535",
            "10.1.0.5 --security 256",
            "10.1.0.5 --security-flags crypt",
            "10.1.0.5 --ttl 4",
            "10.1.0.5 --sla-us 0",
            "10.1.0.5 --replace --clear",
            "10.1.0.5 --heartbeat --clear",
            "10.1.0.5 --locator 192.0.2.1 --replace",
            "somewhere --load 1",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        for line in [
            "10.1.0.5",
            "10.1.0.5 --clear --load 1",
            "10.1.0.5 --heartbeat --ttl 9",
            "10.1.0.5 --locator 192.0.2.1",
        ] {
            assert!(parsed(line).unwrap().request().is_err(), "{line}");
        }
    }

    #[test]
    fn the_group_is_found_by_the_eid() {
        let row = |iid, group: &str, eid: &str| Row {
            iid,
            group: Some(group.to_owned()),
            eid: eid.parse().unwrap(),
        };
        let rows = [
            row(100, "research", "10.1.0.5"),
            row(200, "trading", "10.1.0.5"),
            row(100, "research", "10.1.0.6"),
        ];
        let of = |line: &str| iid(&parsed(line).unwrap(), &rows);
        assert_eq!(of("10.1.0.6 --clear").unwrap(), 100);
        assert_eq!(of("10.1.0.5 --clear --group trading").unwrap(), 200);
        assert_eq!(of("10.1.0.9 --clear --group 300").unwrap(), 300);
        for (line, word) in [
            ("10.1.0.5 --clear", "research, trading"),
            ("10.1.0.9 --clear", "--group"),
            ("10.1.0.9 --clear --group research", "research"),
        ] {
            assert!(of(line).unwrap_err().to_string().contains(word), "{line}");
        }
    }
}
