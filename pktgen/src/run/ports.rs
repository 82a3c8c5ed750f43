//! The ports of a run, and the workers at them.

use std::sync::{Arc, mpsc};

use anyhow::{Context, Result, anyhow, bail};
use sterna_wire::Mac;
use sterna_xsk::{Interface, KernelOptions, PROBE_PORT, Port, SinkProgram};

use super::recorders::Recorders;
use super::{Engine, Options, Place};
use crate::clock::Monotonic;
use crate::compose::{Composer, Link};
use crate::engine::{Control, Sender, Update, Worker};
use crate::guard::Surroundings;
use crate::interface::Counters;
use crate::namespace::inside;
use crate::pace::Schedule;
use crate::probe::RunId;
use crate::profile::Profile;
use crate::replay::Capture;
use crate::rewrite::Rewritten;
use crate::sink::Sink;

/// Bytes in front of a tagged packet.
const LINK_HEADER: usize = 18;

/// A worker's ports, its sender and its sink, each at one of them.
type Part = (Vec<Port>, Option<(usize, Sender)>, Option<(usize, Sink)>);

/// What was opened.
pub(super) struct Opened {
    pub run: RunId,
    pub link: Link,
    pub tx: Option<Place>,
    pub rx: Option<Place>,
    /// One per queue; empty when they are the rx ports too.
    tx_ports: Vec<Port>,
    rx_ports: Vec<Port>,
    pub queues: u32,
    pub program: Option<SinkProgram>,
    tx_before: Counters,
    rx_before: Counters,
    /// What was changed of a replay's frames; known once there are workers.
    pub rewritten: Option<Rewritten>,
}

impl Opened {
    /// Opens everything, once it is sure that it may be loaded.
    pub fn open(profile: &Profile, options: &Options, run: RunId) -> Result<Self> {
        let look = |place: &Option<Place>| place.as_ref().map(|place| look_at(place, options)).transpose();
        let (tx, rx) = (look(&options.tx)?, look(&options.rx)?);
        let of = |found: &Option<Interface>| found.as_ref().map(|interface| Mac(interface.mac));
        let source_mac = of(&tx).unwrap_or(Mac::ZERO);
        let destination = profile.frame.destination_mac.or(of(&rx));
        let Some(destination_mac) = destination.or(options.tx.is_none().then_some(Mac::ZERO)) else {
            bail!("no destination MAC address: give --to-mac, frame.destination_mac in the profile, or --rx");
        };
        let (mut rx_ports, mut program) = (Vec::new(), None);
        if let Some(place) = &options.rx {
            let (ports, loaded) = open_rx(place, options, run)?;
            (rx_ports, program) = (ports, Some(loaded));
        }
        let tx_ports = match &options.tx {
            Some(place) if options.rx.as_ref() != Some(place) => open_ports(place, options.queues)?,
            _ => Vec::new(),
        };
        Ok(Self {
            run,
            link: Link { source_mac, destination_mac, run },
            tx: options.tx.clone(),
            rx: options.rx.clone(),
            tx_ports,
            rx_ports,
            queues: options.queues,
            program,
            tx_before: counters(options.tx.as_ref())?,
            rx_before: counters(options.rx.as_ref())?,
            rewritten: None,
        })
    }

    /// What the kernel counted at both interfaces since they were opened.
    pub fn counters(&self) -> Result<(Option<Counters>, Option<Counters>)> {
        let since = |place: Option<&Place>, before: &Counters| {
            place.map(|place| counters(Some(place)).map(|now| now.since(before))).transpose()
        };
        Ok((since(self.tx.as_ref(), &self.tx_before)?, since(self.rx.as_ref(), &self.rx_before)?))
    }

    /// The workers, with the ports, which this has no more.
    pub fn workers(
        &mut self,
        profile: &Profile,
        options: &Options,
        (start_ns, recorders): (u64, &Recorders),
        control: &Arc<Control>,
        updates: &mpsc::Sender<Update>,
    ) -> Result<Vec<Worker<Monotonic>>> {
        let capture = match &profile.replay {
            Some(replay) => Some(Capture::load(replay, &self.link)?),
            None => None,
        };
        let rewritten = capture.as_ref().map(Capture::rewritten);
        self.rewritten = rewritten.filter(|rewritten| *rewritten != Rewritten::default());
        let mut tx_ports = std::mem::take(&mut self.tx_ports).into_iter();
        let mut rx_ports = std::mem::take(&mut self.rx_ports).into_iter();
        let mut parts: Vec<Part> = Vec::new();
        for queue in 0..options.queues {
            let (tx, rx) = (tx_ports.next(), rx_ports.next());
            let sender = match (tx.as_ref().or(rx.as_ref()), &self.tx) {
                (Some(port), Some(_)) => {
                    let sender = self.sender(profile, options, (queue, start_ns), capture.clone(), port)?;
                    Some(sender.recorded(recorders.sent.clone()))
                }
                _ => None,
            };
            let sink = rx.is_some().then(|| (0, Sink::new(self.run).recorded(recorders.received.clone())));
            parts.extend(split(tx, rx, sender, sink, options.separate));
        }
        let worker = |(index, (ports, sender, sink)): (usize, Part)| Worker {
            index,
            ports,
            sender,
            sink,
            control: Arc::clone(control),
            updates: updates.clone(),
            clock: Monotonic,
            sleeps: options.sleeps,
        };
        Ok(parts.into_iter().enumerate().map(worker).collect())
    }

    fn sender(
        &self,
        profile: &Profile,
        options: &Options,
        (queue, start_ns): (u32, u64),
        capture: Option<Capture>,
        port: &Port,
    ) -> Result<Sender> {
        let live = options.engine == Engine::Live;
        let composer = Composer::new(profile, &self.link, PROBE_PORT, queue, self.queues, capture);
        let (longest, room) = (composer.longest(), port.frame_capacity());
        let most = if port.granted().multi_buffer { port.mtu() as usize + LINK_HEADER } else { room };
        if longest > most {
            return Err(anyhow!(
                "the profile has packets of {longest} bytes and {name} takes {most}: use smaller ones, or raise the MTU of the interface (`ip link set dev {name} mtu {longest}`)",
                name = port.name(),
            ));
        }
        let (rate, burst) = if live { (Some(profile.probe_rate), 1) } else { (profile.rate, profile.burst) };
        let schedule = Schedule::new(start_ns, rate, burst, queue, self.queues);
        let share = |count: u64| {
            count / u64::from(self.queues) + u64::from(u64::from(queue) < count % u64::from(self.queues))
        };
        Ok(Sender::new(composer, schedule, start_ns, options.count.filter(|_| !live).map(share), room))
    }
}

/// The workers of one queue: one for both halves, or one each.
fn split(
    tx: Option<Port>,
    rx: Option<Port>,
    sender: Option<Sender>,
    sink: Option<(usize, Sink)>,
    separate: bool,
) -> Vec<Part> {
    let parts: Vec<Part> = if separate && tx.is_some() {
        let sender = sender.map(|sender| (0, sender));
        vec![(rx.into_iter().collect(), None, sink), (tx.into_iter().collect(), sender, None)]
    } else {
        let ports: Vec<Port> = rx.into_iter().chain(tx).collect();
        let at = ports.len().saturating_sub(1);
        vec![(ports, sender.map(|sender| (at, sender)), sink)]
    };
    parts.into_iter().filter(|(ports, ..)| !ports.is_empty()).collect()
}

fn look_at(place: &Place, options: &Options) -> Result<Interface> {
    inside(place.namespace.as_deref(), || {
        let interface = Interface::find(&place.interface)?;
        if !options.own_network {
            Surroundings::of(&place.interface).allow(&place.interface)?;
        }
        if !interface.up {
            bail!("{0} is down: `ip link set dev {0} up`", place.interface);
        }
        Ok(interface)
    })
}

fn counters(place: Option<&Place>) -> Result<Counters> {
    let Some(place) = place else { return Ok(Counters::default()) };
    inside(place.namespace.as_deref(), || Ok(Counters::of(&place.interface)))
}

fn open_ports(place: &Place, queues: u32) -> Result<Vec<Port>> {
    inside(place.namespace.as_deref(), || {
        let open = |queue| {
            Port::open(&KernelOptions { multi_buffer: true, ..KernelOptions::new(&place.interface, queue) })
        };
        (0..queues).map(open).collect::<Result<_, _>>().with_context(|| format!("port {}", place.interface))
    })
}

fn open_rx(place: &Place, options: &Options, run: RunId) -> Result<(Vec<Port>, SinkProgram)> {
    let mut ports = open_ports(place, options.queues)?;
    let sockets = ports.iter().map(|port| port.wait_fd().context("a kernel port has a socket"));
    let sockets: Vec<_> = sockets.collect::<Result<_>>()?;
    let program = inside(place.namespace.as_deref(), || {
        let mut program = SinkProgram::load(&place.interface, run.tag())?;
        for (queue, socket) in (0..).zip(sockets) {
            program.register(queue, socket)?;
        }
        let mode = program.attach(options.allow_generic)?;
        Ok((program, mode))
    })?;
    ports.iter_mut().for_each(|port| port.set_mode(program.1));
    Ok((ports, program.0))
}
