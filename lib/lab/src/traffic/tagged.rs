//! An agent behind an 802.1Q tag, by raw frames: many kernels (ours among them) have no VLAN interfaces.
//!
//! Frames are sent as they are through AF_PACKET. They are received through tcpdump, because the kernel takes
//! the tag out of a frame before a packet socket sees it, and libpcap puts it back. The host's own stack
//! ignores tagged frames, so the agent answers ARP and echo requests itself.

use std::io;
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::{
    ArpOperation, ArpPacket, Icmpv4Type, LinkSlice, NetSlice, PacketBuilder, SlicedPacket, TransportSlice,
};
use pcap_file::pcap::PcapReader;
use pnet_datalink::{Channel, Config, DataLinkSender};

use super::ledger::{Ledger, Tally};
use super::pace::Pace;
use super::payload::Payload;
use crate::error::{LabError, Result};
use crate::interrupt;
use crate::namespace::Namespace;
use crate::script::forge::mac_of;
use crate::thread;

const BROADCAST: [u8; 6] = [0xff; 6];
const INTERFACE: &str = "eth0";
/// How long an ARP answer or the last echo may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who the agent is.
#[derive(Clone, Copy, Debug)]
pub struct TaggedPlan {
    /// Its EID.
    pub address: Ipv4Addr,
    /// The group's gateway.
    pub gateway: Ipv4Addr,
    /// The tag of its frames, both ways.
    pub tag: u16,
    /// The group's instance-ID.
    pub group: u32,
}

/// What the agent has seen.
struct State {
    gateway_mac: Option<[u8; 6]>,
    ledger: Ledger,
    /// Set while an echo stream runs.
    pace: Option<Pace>,
}

struct Shared {
    plan: TaggedPlan,
    mac: [u8; 6],
    sender: Mutex<Box<dyn DataLinkSender>>,
    state: Mutex<State>,
    answered: AtomicU64,
    mistagged: AtomicU64,
}

/// A running tagged agent; stops when dropped.
pub struct TaggedAgent {
    shared: Arc<Shared>,
    capture: Child,
    reader: Option<JoinHandle<()>>,
}

impl TaggedAgent {
    /// Starts the agent on `eth0` of a host.
    ///
    /// # Errors
    /// When a packet socket or tcpdump cannot be had.
    pub fn start(namespace: &Namespace, plan: TaggedPlan) -> Result<Self> {
        let mac = mac_of(namespace, INTERFACE)?;
        let sender = namespace.run(open)??;
        let mut command = Command::new("tcpdump");
        command
            .args(["-i", INTERFACE, "-Q", "in", "-n", "-U", "--immediate-mode", "-w", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut capture = namespace.spawn(command)?;
        let stdout = capture.stdout.take();
        let state = State { gateway_mac: None, ledger: Ledger::default(), pace: None };
        let shared = Arc::new(Shared {
            plan,
            mac,
            sender: Mutex::new(sender),
            state: Mutex::new(state),
            answered: AtomicU64::new(0),
            mistagged: AtomicU64::new(0),
        });
        let mut agent = Self { shared: Arc::clone(&shared), capture, reader: None };
        if let Some(stdout) = stdout {
            agent.reader = Some(thread::start("tagged agent", move || listen(stdout, &shared))?);
        }
        Ok(agent)
    }

    /// Asks for the gateway's MAC by ARP inside the tag, until it is told.
    ///
    /// # Errors
    /// [`LabError::Late`] when nobody answers.
    pub fn find_gateway(&self) -> Result<[u8; 6]> {
        interrupt::wait_for("an ARP answer inside the tag", PATIENCE, || {
            if let Some(mac) = lock(&self.shared.state).gateway_mac {
                return Ok(Some(mac));
            }
            let plan = &self.shared.plan;
            self.shared.send_arp(ArpOperation::REQUEST, BROADCAST, [0; 6], plan.gateway);
            interrupt::sleep(Duration::from_millis(100))?;
            Ok(None)
        })
    }

    /// Sends `count` echo requests at `rate` per second through the gateway, and accounts for the answers.
    ///
    /// # Errors
    /// When the gateway does not answer ARP.
    pub fn ping(&self, target: Ipv4Addr, rate: u32, count: u64) -> Result<Tally> {
        let gateway = self.find_gateway()?;
        let pace = Pace::begin(rate);
        {
            let mut state = lock(&self.shared.state);
            (state.pace, state.ledger) = (Some(pace), Ledger::default());
        }
        let mut payload = [0; 56];
        for sequence in 0..count {
            let due = pace.wait(sequence);
            interrupt::check()?;
            let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
            Payload { group: self.shared.plan.group, sequence, due_ns, answerer: 0 }.emit(&mut payload);
            let [.., high, low] = sequence.to_be_bytes();
            self.shared.send_echo(true, gateway, target, u16::from_be_bytes([high, low]), &payload);
        }
        // All answers, or as long as one may take: what is missing then is the tally's to tell.
        let all = || Ok((lock(&self.shared.state).ledger.delivered() >= count).then_some(()));
        match interrupt::wait_for("the last echo", PATIENCE, all) {
            Ok(()) | Err(LabError::Late { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut state = lock(&self.shared.state);
        state.pace = None;
        Ok(std::mem::take(&mut state.ledger).close(count))
    }

    /// Echo requests that it answered.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Packets of its group that came with another tag or without.
    pub fn mistagged(&self) -> u64 {
        self.shared.mistagged.load(Ordering::Relaxed)
    }
}

impl Drop for TaggedAgent {
    fn drop(&mut self) {
        // The end of tcpdump ends the reader.
        let _ = self.capture.kill();
        let _ = self.capture.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the packet socket; inside the namespace.
fn open() -> Result<Box<dyn DataLinkSender>> {
    let what = || LabError::io(format!("opening a packet socket on {INTERFACE}"));
    let interface = pnet_datalink::interfaces()
        .into_iter()
        .find(|interface| interface.name == INTERFACE)
        .ok_or_else(|| what()(io::ErrorKind::NotFound.into()))?;
    let config = Config { promiscuous: false, ..Config::default() };
    match pnet_datalink::channel(&interface, config).map_err(what())? {
        Channel::Ethernet(sender, _) => Ok(sender),
        _ => Err(what()(io::ErrorKind::Unsupported.into())),
    }
}

impl Shared {
    fn send(&self, frame: &[u8]) {
        // What cannot be sent is found missing.
        let _ = lock(&self.sender).send_to(frame, None);
    }

    fn send_arp(&self, operation: ArpOperation, to: [u8; 6], target_mac: [u8; 6], target: Ipv4Addr) {
        let arp = ArpPacket::new(
            etherparse::ArpHardwareId::ETHERNET,
            etherparse::EtherType::IPV4,
            operation,
            &self.mac,
            &self.plan.address.octets(),
            &target_mac,
            &target.octets(),
        );
        let Ok(arp) = arp else { return };
        let mut frame = Vec::new();
        let built = PacketBuilder::ethernet2(self.mac, to).single_vlan(self.vlan()).arp(arp);
        if built.write(&mut frame).is_ok() {
            self.send(&frame);
        }
    }

    fn send_echo(&self, request: bool, to: [u8; 6], target: Ipv4Addr, number: u16, payload: &[u8]) {
        let builder = PacketBuilder::ethernet2(self.mac, to).single_vlan(self.vlan()).ipv4(
            self.plan.address.octets(),
            target.octets(),
            64,
        );
        let id = self.plan.tag;
        let builder = if request {
            builder.icmpv4_echo_request(id, number)
        } else {
            builder.icmpv4_echo_reply(id, number)
        };
        let mut frame = Vec::new();
        if builder.write(&mut frame, payload).is_ok() {
            self.send(&frame);
        }
    }

    fn vlan(&self) -> etherparse::VlanId {
        etherparse::VlanId::try_new(self.plan.tag).unwrap_or(etherparse::VlanId::ZERO)
    }

    fn hear(&self, frame: &[u8]) {
        let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
            return;
        };
        let tag = packet.vlan().and_then(|vlan| match vlan {
            etherparse::VlanSlice::SingleVlan(vlan) => Some(vlan.vlan_identifier().value()),
            etherparse::VlanSlice::DoubleVlan(_) => None,
        });
        let ours = tag == Some(self.plan.tag);
        let Some(LinkSlice::Ethernet2(ethernet)) = packet.link else {
            return;
        };
        match (&packet.net, &packet.transport) {
            (Some(NetSlice::Arp(arp)), _) if ours => self.hear_arp(ethernet.source(), &arp.to_packet()),
            (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) => {
                if ours && ip.header().destination_addr() == self.plan.address {
                    let from = ip.header().source_addr();
                    self.hear_echo(ethernet.source(), from, icmp.icmp_type(), icmp.payload());
                } else if !ours && Payload::parse(icmp.payload()).is_ok_and(|p| p.group == self.plan.group) {
                    self.mistagged.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
    }

    fn hear_arp(&self, from: [u8; 6], arp: &ArpPacket) {
        let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).ok();
        if arp.operation == ArpOperation::REPLY
            && address(arp.sender_protocol_addr()) == Some(self.plan.gateway)
        {
            lock(&self.state).gateway_mac = arp.sender_hw_addr().try_into().ok();
        } else if arp.operation == ArpOperation::REQUEST
            && address(arp.target_protocol_addr()) == Some(self.plan.address)
            && let Some(asker) = address(arp.sender_protocol_addr())
        {
            self.send_arp(ArpOperation::REPLY, from, from, asker);
        }
    }

    fn hear_echo(&self, mac: [u8; 6], from: Ipv4Addr, kind: Icmpv4Type, payload: &[u8]) {
        match kind {
            Icmpv4Type::EchoRequest(echo) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                self.send_echo(false, mac, from, echo.seq, payload);
            }
            Icmpv4Type::EchoReply(_) => {
                let mut state = lock(&self.state);
                let Some(pace) = state.pace else { return };
                match Payload::parse(payload) {
                    Ok(p) if p.group == self.plan.group => {
                        state.ledger.arrived(p.sequence, pace.since(p.due_ns))
                    }
                    Ok(_) => state.ledger.stray(),
                    Err(_) => state.ledger.changed(),
                }
            }
            _ => {}
        }
    }
}

fn listen(stdout: ChildStdout, shared: &Shared) {
    let Ok(mut reader) = PcapReader::new(stdout) else {
        return;
    };
    while let Some(Ok(packet)) = reader.next_raw_packet() {
        shared.hear(&packet.data);
    }
}
