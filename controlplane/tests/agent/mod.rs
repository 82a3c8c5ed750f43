//! An agent's host with a TCP of its own, on a wire in memory.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::net::IpAddr;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

#[derive(Default)]
struct Wire {
    incoming: Vec<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

struct Incoming(Vec<u8>);
struct Outgoing<'w>(&'w mut Vec<Vec<u8>>);

impl phy::RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl phy::TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let written = write(&mut packet);
        self.0.push(packet);
        written
    }
}

impl Device for Wire {
    type RxToken<'w> = Incoming;
    type TxToken<'w> = Outgoing<'w>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        if self.incoming.is_empty() {
            return None;
        }
        Some((Incoming(self.incoming.remove(0)), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1400;
        capabilities
    }
}

/// A host.
pub struct Host {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    start: std::time::Instant,
    next_port: u16,
}

impl Host {
    pub fn new(eid: IpAddr, start: std::time::Instant) -> Host {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = 7;
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        interface.update_ip_addrs(|all| all.push(IpCidr::new(eid.into(), 8)).unwrap());
        match eid {
            IpAddr::V4(eid) => drop(interface.routes_mut().add_default_ipv4_route(eid)),
            IpAddr::V6(eid) => drop(interface.routes_mut().add_default_ipv6_route(eid)),
        }
        Host { interface, wire, sockets: SocketSet::new(Vec::new()), start, next_port: 40_000 }
    }

    /// Opens a connection.
    pub fn connect(&mut self, to: IpAddr, port: u16) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 16384]);
        let mut socket = Socket::new(buffer(), buffer());
        self.next_port += 1;
        socket.connect(self.interface.context(), (to, port), self.next_port).unwrap();
        self.sockets.add(socket)
    }

    pub fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub fn state(&mut self, handle: SocketHandle) -> State {
        self.socket(handle).state()
    }

    /// Reads packets and lets time pass; gives what the host sends.
    pub fn turn(&mut self, packets: Vec<Vec<u8>>, now: std::time::Instant) -> Vec<Vec<u8>> {
        self.wire.incoming.extend(packets);
        let micros = now.duration_since(self.start).as_micros();
        let now = Instant::from_micros(i64::try_from(micros).unwrap());
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        std::mem::take(&mut self.wire.outgoing)
    }

    /// What has come on a connection.
    pub fn read(&mut self, handle: SocketHandle) -> Vec<u8> {
        let mut bytes = vec![0; 16384];
        let read = self.socket(handle).recv_slice(&mut bytes).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }
}
