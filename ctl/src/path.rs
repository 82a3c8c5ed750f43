//! `sterna path SRC DST`: where packets go, and why.

mod answer;

use std::io::Write;
use std::net::IpAddr;

use anyhow::{Context, Result, bail};

use crate::client::{self, escaped};
use crate::exit::Exit;
use crate::target::Target;
use answer::Answer;

/// The protocols that have names, as in `[[policy]]`.
const PROTOCOLS: [(&str, u8); 4] = [("tcp", 6), ("udp", 17), ("icmp", 1), ("icmpv6", 58)];

/// Explains the choice of a locator: the class, the candidates, and why the winner won.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The source EID
    #[arg(value_name = "SRC")]
    from: IpAddr,
    /// The destination EID
    #[arg(value_name = "DST")]
    to: IpAddr,
    /// The group, by name or instance-ID; needless where only one fits the source
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// The context class, by name or number, instead of what the policies give
    #[arg(long, value_name = "NAME", conflicts_with_all = ["dscp", "protocol", "port"])]
    class: Option<String>,
    /// The packet's DSCP
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=63))]
    dscp: Option<u8>,
    /// The packet's IP protocol: tcp, udp, icmp, icmpv6 or a number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    protocol: Option<u8>,
    /// The packet's destination port
    #[arg(long, value_name = "NUMBER", requires = "protocol")]
    port: Option<u16>,
    #[command(flatten)]
    target: Target,
    /// Print the gateway's own answer
    #[arg(long)]
    json: bool,
}

fn protocol(text: &str) -> Result<u8, String> {
    let named = PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    named
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "say tcp, udp, icmp, icmpv6 or a number from 0 to 255".to_owned())
}

/// Asks and tells. The status is 1 where the packet would not be sent.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<Exit> {
    if args.from.is_ipv4() != args.to.is_ipv4() {
        bail!("{} and {} are not of one address family", args.from, args.to);
    }
    let socket = args.target.control_socket()?;
    let answer = client::get(&socket, &query(args))?;
    if !answer.status.is_success() {
        bail!("{}", client::sentence(&answer.body));
    }
    let told: Answer = serde_json::from_str(&answer.body)
        .context("the gateway's answer is not understood; is it of another version? try --json")?;
    if args.json {
        writeln!(out, "{}", answer.body.trim_end())?;
    } else {
        write!(out, "{told}")?;
    }
    Ok(told.exit())
}

fn query(args: &Args) -> String {
    let mut query =
        format!("/v1/path?from={}&to={}", escaped(&args.from.to_string()), escaped(&args.to.to_string()));
    let mut add = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            query.push_str(&format!("&{key}={}", escaped(&value)));
        }
    };
    add("group", args.group.clone());
    add("class", args.class.clone());
    add("dscp", args.dscp.map(|dscp| dscp.to_string()));
    add("protocol", args.protocol.map(|protocol| protocol.to_string()));
    add("port", args.port.map(|port| port.to_string()));
    query
}

#[cfg(test)]
mod test {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(text: &str) -> Result<Args, clap::Error> {
        Cli::try_parse_from(std::iter::once("path").chain(text.split(' '))).map(|cli| cli.args)
    }

    #[test]
    fn the_question_names_what_was_given() {
        let args = parse("10.1.1.2 10.1.2.3 --group research --dscp 46 --protocol tcp --port 443").unwrap();
        assert_eq!(
            query(&args),
            "/v1/path?from=10.1.1.2&to=10.1.2.3&group=research&dscp=46&protocol=6&port=443"
        );
        let args = parse("fd00::1 fd00::2 --class gpu-fast").unwrap();
        assert_eq!(query(&args), "/v1/path?from=fd00%3A%3A1&to=fd00%3A%3A2&class=gpu-fast");
    }

    #[test]
    fn wrong_arguments_are_refused_with_what_is_right() {
        for (text, wanted) in [
            ("10.1.1.2", "<DST>"),
            ("10.1.1.2 here", "invalid value 'here'"),
            ("10.1.1.2 10.1.2.3 --dscp 64", "64 is not in 0..=63"),
            ("10.1.1.2 10.1.2.3 --protocol sctp", "say tcp, udp, icmp, icmpv6 or a number"),
            ("10.1.1.2 10.1.2.3 --port 443", "--protocol"),
            ("10.1.1.2 10.1.2.3 --class 1 --dscp 46", "cannot be used with"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
