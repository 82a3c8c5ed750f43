//! A network interface, as the kernel describes it in this thread's network namespace.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::error::Error;
use crate::sys::{self, Answer, Ask};

/// What there is to know about an interface before opening a port on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index in this network namespace.
    pub ifindex: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its MTU in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Receive queues in use.
    pub rx_queues: u32,
}

impl Interface {
    /// Looks an interface up. Errors: no such interface, no permission for sockets.
    pub fn find(name: &str) -> Result<Self, Error> {
        const DOING: &str = "ask about an interface";
        let socket = sys::socket(libc::AF_INET, libc::SOCK_DGRAM).map_err(|e| Error::system(DOING, e))?;
        let failed = |source: io::Error| match source.raw_os_error() {
            Some(libc::ENODEV | libc::ENXIO) => Error::NoInterface { name: name.to_owned() },
            _ => Error::system(DOING, source),
        };
        let number = |ask| number(&socket, name, ask).map_err(failed);
        let ifindex = number(Ask::Index)?;
        let mac = match sys::ask_interface(socket.as_fd(), name, &Ask::HardwareAddress).map_err(failed)? {
            Answer::Address(mac) => mac,
            Answer::Number(_) => [0; 6],
        };
        Ok(Self {
            name: name.to_owned(),
            ifindex: ifindex.cast_unsigned(),
            mac,
            mtu: number(Ask::Mtu)?.cast_unsigned(),
            up: number(Ask::Flags)? & libc::IFF_UP != 0,
            // A driver that cannot be asked has one queue, as far as anybody can tell.
            rx_queues: sys::rx_channels(socket.as_fd(), name).unwrap_or(1).max(1),
        })
    }
}

fn number(socket: &OwnedFd, name: &str, ask: Ask) -> io::Result<i32> {
    match sys::ask_interface(socket.as_fd(), name, &ask)? {
        Answer::Number(number) => Ok(number),
        Answer::Address(_) => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}
