//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sterna_pktgen::agents;
use sterna_pktgen::clock::SECOND_NS;
use sterna_pktgen::compare::{Ignore, Rules};
use sterna_pktgen::profile::Profile;
use sterna_pktgen::run::{Engine, Options, Place};
use sterna_wire::Mac;

/// Loads a network at a rate that does not depend on what comes back, and says what came of each packet.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sends a profile, and receives it if --rx is given.
    Run(Box<RunArguments>),
    /// Plays agents at one or more gateways: TCP/IP stacks that talk to each other, and move.
    Agents(AgentsArguments),
    /// Only receives what another sterna-pktgen on this machine sends with the same --run-id.
    Sink(Box<SinkArguments>),
    /// Checks profiles and says everything that is wrong with them.
    Check {
        /// The profiles' files.
        #[arg(required = true)]
        profiles: Vec<PathBuf>,
        /// They are profiles of agents.
        #[arg(long)]
        agents: bool,
    },
    /// Compares two captures packet by packet. Ends with 0 if they are the same, 1 if not, 2 if one cannot be read.
    Compare(CompareArguments),
    /// Lists the profiles that come with the program.
    Profiles,
    /// Lists the classes of hostile packets.
    Classes,
    /// Prints a profile that comes with the program; `manual` explains every key, `agents` those of agents.
    Show {
        /// Its name.
        name: String,
    },
}

#[derive(Args)]
pub(crate) struct CompareArguments {
    /// A capture: what should be.
    pub a: PathBuf,
    /// Another one: what is.
    pub b: PathBuf,
    /// What may differ.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    ignore: Vec<Ignore>,
    /// Compare only frames whose innermost packet is UDP: neighbour talk comes and goes.
    #[arg(long)]
    only_udp: bool,
    /// Another order is a difference too.
    #[arg(long)]
    order: bool,
    /// Differences that are told one by one.
    #[arg(long, value_name = "N", default_value_t = 10)]
    most: usize,
    /// The verdict as JSON.
    #[arg(long)]
    pub json: bool,
}

impl CompareArguments {
    /// What is compared.
    pub fn rules(&self) -> Rules {
        let Self { only_udp, order, most, .. } = *self;
        Rules { ignore: self.ignore.clone(), only_udp, order, most }
    }
}

#[derive(Args)]
pub(crate) struct RunArguments {
    /// A file, or the name of a profile that comes with the program.
    pub profile: String,
    /// The interface to send on.
    #[arg(long)]
    tx: String,
    /// The interface to receive on; it may be the same.
    #[arg(long)]
    rx: Option<String>,
    /// The network namespace of --tx.
    #[arg(long, value_name = "NAME")]
    tx_netns: Option<String>,
    /// Seconds to send; without it, until Ctrl-C or --count.
    #[arg(long, value_name = "S", value_parser = seconds)]
    duration: Option<Duration>,
    /// Packets to send at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Packets per second instead of the profile's rate, or `max`.
    #[arg(long, value_name = "PPS", value_parser = rate)]
    rate: Option<Rate>,
    /// The destination MAC address instead of the profile's: that of the gateway under test.
    #[arg(long, value_name = "MAC")]
    to_mac: Option<Mac>,
    /// What sends: sockets, or the kernel's live frames with a few probes beside them.
    #[arg(long, default_value = "xdp")]
    engine: EngineName,
    #[command(flatten)]
    receiver: Receiver,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
pub(crate) struct SinkArguments {
    /// The interface to receive on.
    #[arg(long)]
    rx: String,
    /// Seconds to receive; without it, until Ctrl-C.
    #[arg(long, value_name = "S", value_parser = seconds)]
    duration: Option<Duration>,
    #[command(flatten)]
    receiver: Receiver,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Args)]
pub(crate) struct AgentsArguments {
    /// The agents' profile, a file; `show agents` explains every key.
    pub profile: PathBuf,
    /// Seconds to talk; without it, until Ctrl-C or the command `end`.
    #[arg(long, value_name = "S", value_parser = seconds)]
    duration: Option<Duration>,
    /// Seconds to wait at most for what is under way when talking is over.
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    linger: Duration,
    /// Take commands from standard input, and connect, talk and move by them alone.
    #[arg(long)]
    commands: bool,
    /// The report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Let the kernel run the ports' program where the driver cannot: about ten times slower.
    #[arg(long)]
    allow_generic: bool,
    /// Use also an interface with the default route, or outside a lab namespace.
    #[arg(long)]
    i_own_this_network: bool,
}

/// What senders and sinks have in common.
#[derive(Args)]
struct Receiver {
    /// The network namespace of --rx.
    #[arg(long, value_name = "NAME")]
    rx_netns: Option<String>,
    /// Queues to use, from 0; each has a worker.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    queues: u32,
    /// A thread each for sending and receiving, instead of one for both.
    #[arg(long)]
    separate: bool,
    /// CPUs to pin threads to, such as 0,1: live frames first, then workers.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Sleep while nothing is due: for shared machines; latencies then have the time of waking up in them.
    #[arg(long)]
    sleep: bool,
    /// Seconds to go on receiving after the last packet.
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    linger: Duration,
    /// The run's number, so that a sink elsewhere knows its probes.
    #[arg(long, value_name = "N")]
    run_id: Option<u32>,
    /// Let the kernel run the sink's program where the driver cannot: about ten times slower.
    #[arg(long)]
    allow_generic: bool,
    /// Load also an interface with the default route, or outside a lab namespace.
    #[arg(long)]
    i_own_this_network: bool,
}

#[derive(Args)]
pub(crate) struct Output {
    /// The report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write the latencies to this file, as an HDR histogram log.
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// Write captures of what was sent and of the probes that came, to NAME.sent.pcap and NAME.received.pcap.
    #[arg(long, value_name = "NAME")]
    record: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum EngineName {
    Xdp,
    Live,
}

#[derive(Clone, Copy)]
struct Rate(Option<u64>);

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate(None));
    }
    let rate = text.replace('_', "").parse().ok().filter(|rate| (1..=1_000_000_000).contains(rate));
    rate.map(|rate| Rate(Some(rate))).ok_or_else(|| "give 1 to 1000000000, or max".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=1e6).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "give seconds, such as 10 or 0.5".to_owned())
}

fn ns(duration: Duration) -> u64 {
    duration.as_secs() * SECOND_NS + u64::from(duration.subsec_nanos())
}

fn place(interface: &str, namespace: Option<&String>) -> Place {
    Place { interface: interface.to_owned(), namespace: namespace.cloned() }
}

impl Receiver {
    fn options(&self, tx: Option<Place>, rx: Option<Place>, output: &Output) -> Options {
        Options {
            queues: self.queues,
            separate: self.separate,
            cores: self.cores.clone(),
            sleeps: self.sleep,
            linger_ns: ns(self.linger),
            run_id: self.run_id,
            hdr: output.hdr.clone(),
            record: output.record.clone(),
            allow_generic: self.allow_generic,
            own_network: self.i_own_this_network,
            ..Options::between(tx, rx)
        }
    }
}

impl RunArguments {
    /// Changes what the command line says otherwise than the profile.
    pub fn change(&self, profile: &mut Profile) {
        if let Some(Rate(rate)) = self.rate {
            profile.rate = rate;
        }
        if self.to_mac.is_some() {
            profile.frame.destination_mac = self.to_mac;
        }
    }

    /// How to run.
    pub fn options(&self) -> Options {
        let tx = place(&self.tx, self.tx_netns.as_ref());
        let rx = self.rx.as_ref().map(|rx| place(rx, self.receiver.rx_netns.as_ref()));
        Options {
            name: self.profile.clone(),
            engine: match self.engine {
                EngineName::Xdp => Engine::Xdp,
                EngineName::Live => Engine::Live,
            },
            duration_ns: self.duration.map(ns),
            count: self.count,
            ..self.receiver.options(Some(tx), rx, &self.output)
        }
    }
}

impl AgentsArguments {
    /// How to run.
    pub fn options(&self) -> agents::run::Options {
        agents::run::Options {
            name: self.profile.display().to_string(),
            duration_ns: self.duration.map(ns),
            linger_ns: ns(self.linger),
            commands: self.commands,
            demands: agents::run::Demands {
                own_network: self.i_own_this_network,
                allow_generic: self.allow_generic,
            },
        }
    }
}

impl SinkArguments {
    /// How to run.
    pub fn options(&self) -> Options {
        let rx = place(&self.rx, self.receiver.rx_netns.as_ref());
        Options {
            name: "sink".to_owned(),
            duration_ns: self.duration.map(ns),
            ..self.receiver.options(None, Some(rx), &self.output)
        }
    }
}
