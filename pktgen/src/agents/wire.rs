//! The wire between one agent's stack and the crowd: IP packets on the stack's side, frames on the other.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use sterna_wire::Mac;
use sterna_wire::ethernet::EtherType;

use super::link::Link;
use super::segments::Watch;

/// Frames that wait to be taken at most: a stack whose frames are not taken waits with the next one.
const ROOM: usize = 64;
/// Packets that wait for the stack at most.
const INBOX: usize = 1024;

/// One agent's wire.
#[derive(Debug)]
pub struct Wire {
    link: Link,
    mtu: usize,
    /// Where everything is sent: the group's gateway. The stack waits until it is known.
    pub gateway: Option<Mac>,
    inbox: VecDeque<Vec<u8>>,
    outbox: Vec<Vec<u8>>,
    /// Packets that found the inbox full.
    pub overflow: u64,
    /// Looks at what passes.
    pub watch: Watch,
}

impl Wire {
    /// A wire for IP packets of up to `mtu` bytes.
    pub fn new(link: Link, mtu: usize) -> Self {
        let watch = Watch::default();
        Self { link, mtu, gateway: None, inbox: VecDeque::new(), outbox: Vec::new(), overflow: 0, watch }
    }

    /// An IP packet came for the agent.
    pub fn deliver(&mut self, packet: &[u8]) {
        if self.inbox.len() >= INBOX {
            self.overflow += 1;
            return;
        }
        self.watch.receives(packet);
        self.inbox.push_back(packet.to_vec());
    }

    /// A frame that is no stack's doing.
    pub fn say(&mut self, frame: Vec<u8>) {
        self.outbox.push(frame);
    }

    /// The frames that wait.
    pub fn frames(&mut self) -> std::vec::Drain<'_, Vec<u8>> {
        self.outbox.drain(..)
    }
}

/// A packet on its way to the stack.
#[derive(Debug)]
pub struct Arriving(Vec<u8>);

/// Room for a packet of the stack.
#[derive(Debug)]
pub struct Leaving<'w> {
    link: Link,
    gateway: Mac,
    outbox: &'w mut Vec<Vec<u8>>,
    watch: &'w mut Watch,
}

impl RxToken for Arriving {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let head = self.link.head_len();
        let mut frame = vec![0; head + len];
        let result = f(&mut frame[head..]);
        let version = frame.get(head).map_or(4, |byte| byte >> 4);
        let ethertype = if version == 6 { EtherType::IPV6 } else { EtherType::IPV4 };
        self.link.write_head(&mut frame, self.gateway, ethertype);
        self.watch.sends(&frame[head..]);
        self.outbox.push(frame);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Arriving;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Arriving, Leaving<'_>)> {
        let Self { link, gateway, inbox, outbox, watch, .. } = self;
        let gateway = (*gateway).filter(|_| outbox.len() < ROOM)?;
        let packet = inbox.pop_front()?;
        Some((Arriving(packet), Leaving { link: *link, gateway, outbox, watch }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        let Self { link, gateway, outbox, watch, .. } = self;
        let gateway = (*gateway).filter(|_| outbox.len() < ROOM)?;
        Some(Leaving { link: *link, gateway, outbox, watch })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}
