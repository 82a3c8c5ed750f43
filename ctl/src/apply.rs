//! `sterna apply`.

use std::io::Write;

use anyhow::{Context, Result, bail};
use hyper::StatusCode;
use serde::Deserialize;

use crate::client;
use crate::exit::Exit;
use crate::target::Target;

/// Has a running gateway read its config file again. All of it is taken, or nothing: on any mistake, or a change that
/// needs a restart, the gateway keeps what it has.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Print the gateway's own answer
    #[arg(long)]
    json: bool,
}

/// The answer to `POST /v1/apply`, taken or not.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    changes: Vec<Change>,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Change {
    path: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Finding {
    code: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    line: usize,
    #[serde(default)]
    column: usize,
    text: String,
    #[serde(default)]
    help: String,
}

/// Applies and says what changed, or why nothing did.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit> {
    let socket = args.target.control_socket()?;
    let answer = client::post(&socket, "/v1/apply")?;
    let exit = match answer.status {
        StatusCode::OK => Exit::Ok,
        StatusCode::UNPROCESSABLE_ENTITY => Exit::Found,
        status => bail!("the gateway refused: {} ({status})", client::sentence(&answer.body)),
    };
    if args.json {
        writeln!(out, "{}", answer.body.trim_end())?;
        return Ok(exit);
    }
    let body: Body = serde_json::from_str(&answer.body).context("the gateway's answer is not understood")?;
    match exit {
        Exit::Ok => applied(&body.changes, out)?,
        _ => refused(&body.findings, out)?,
    }
    Ok(exit)
}

fn applied(changes: &[Change], out: &mut dyn Write) -> Result<()> {
    if changes.is_empty() {
        writeln!(out, "applied: the file says what the gateway does already")?;
        return Ok(());
    }
    writeln!(out, "applied, {} changed:", changes.len())?;
    for change in changes {
        writeln!(out, "  {}: {}", change.path, change.text)?;
    }
    Ok(())
}

fn refused(findings: &[Finding], out: &mut dyn Write) -> Result<()> {
    for finding in findings {
        let place = match (finding.line, finding.path.as_str()) {
            (0, path) => path.to_owned(),
            (line, "") => format!("line {line}, column {}", finding.column),
            (line, path) => format!("line {line}, column {}, {path}", finding.column),
        };
        writeln!(out, "{}  {place}: {}", finding.code, finding.text)?;
        if !finding.help.is_empty() {
            writeln!(out, "  help: {}", finding.help)?;
        }
    }
    writeln!(out, "not applied: the gateway keeps its configuration")?;
    Ok(())
}

#[cfg(test)]
mod test {
    use super::*;

    fn text(write: impl FnOnce(&mut dyn Write) -> Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn changes_are_listed() {
        let body: Body = serde_json::from_str(
            r#"{"applied":true,"changes":[{"path":"mapping[0].rlocs","effect":"live","text":"192.0.2.2 out"}]}"#,
        )
        .unwrap();
        assert_eq!(
            text(|out| applied(&body.changes, out)),
            "applied, 1 changed:\n  mapping[0].rlocs: 192.0.2.2 out\n"
        );
        assert!(text(|out| applied(&[], out)).contains("already"));
    }

    #[test]
    fn findings_are_listed_with_their_place_and_help() {
        let body: Body = serde_json::from_str(
            r#"{"findings":[
                {"code":"STERNA-C004","path":"port[0].mut","line":3,"column":1,"text":"no","help":"did you mean `mtu`?"},
                {"code":"STERNA-R001","path":"dataplane.cores","line":0,"column":0,"text":"[0] becomes [1]"}]}"#,
        )
        .unwrap();
        assert_eq!(
            text(|out| refused(&body.findings, out)),
            "STERNA-C004  line 3, column 1, port[0].mut: no\n  help: did you mean `mtu`?\n\
             STERNA-R001  dataplane.cores: [0] becomes [1]\n\
             not applied: the gateway keeps its configuration\n"
        );
    }
}
