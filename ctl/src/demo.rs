//! `sterna demo`: everything at work on one machine, in under a minute.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;
use sterna_lab::report::Step;
use sterna_lab::scenario::{self, Options};

use crate::exit::Exit;
use crate::lab;

/// Three sites in network namespaces that find each other through a Map-Server: pings, TCP, UDP, two groups with the
/// same addresses, control planes that die, a locator that changes, an agent that moves during a transfer, and the
/// accounts. Needs root.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object alone: {"ok", "steps": [{"name", "ok", "detail"}]}
    #[arg(long)]
    json: bool,
    /// Leave the lab up and say how to look into it
    #[arg(long)]
    keep: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told {
    ok: bool,
    steps: Vec<Step>,
}

/// Runs the demo.
pub fn run(args: Args) -> Result<Exit> {
    let out = &mut io::stdout();
    let entry = scenario::find("demo")?;
    let told = lab::tell(entry, Options { keep: args.keep, ..Options::default() }, args.json, out);
    if args.json {
        return print(told.map(|told| Told { ok: told.ok, steps: told.steps }), out);
    }
    let told = told?;
    let word = if told.ok { "every step held" } else { "NOT every step held" };
    writeln!(out, "\n{word}, {:.1} s in all", told.figures.duration_s)?;
    Ok(if told.ok { Exit::Ok } else { Exit::Found })
}

/// Whoever reads JSON gets JSON, also when there could be no lab at all.
fn print(told: Result<Told>, out: &mut dyn Write) -> Result<Exit> {
    let (told, error) = match told {
        Ok(told) => (told, None),
        Err(error) => {
            let step = Step { name: "lab".to_owned(), ok: false, detail: format!("{error:#}") };
            (Told { ok: false, steps: vec![step] }, Some(error))
        }
    };
    writeln!(out, "{}", serde_json::to_string(&told)?)?;
    match error {
        Some(error) => Err(error),
        None => Ok(if told.ok { Exit::Ok } else { Exit::Found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json_also_when_there_is_no_lab() {
        let mut out = Vec::new();
        assert!(print(Err(anyhow::anyhow!("needs root: use sudo")), &mut out).is_err());
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(told["ok"], false);
        assert_eq!(told["steps"][0]["detail"], "needs root: use sudo");
    }

    #[test]
    fn the_shape_is_the_one_promised() {
        let mut out = Vec::new();
        let step = Step { name: "udp".into(), ok: true, detail: "all came".into() };
        assert_eq!(print(Ok(Told { ok: true, steps: vec![step] }), &mut out).unwrap(), Exit::Ok);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "{\"ok\":true,\"steps\":[{\"name\":\"udp\",\"ok\":true,\"detail\":\"all came\"}]}\n"
        );
    }
}
