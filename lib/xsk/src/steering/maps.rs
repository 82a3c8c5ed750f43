//! The XDP program's tables, with their keys and values byte for byte as in `bpf/steer.bpf.c`.

use std::ffi::CStr;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::bpf::{self, Object};
use super::verdict::Verdict;
use crate::error::Error;

const PORTS: &CStr = c"ports";
const SOCKETS: &CStr = c"sockets";
const COUNTERS: &CStr = c"counters";
const LOCAL_V4: &CStr = c"local_v4";
const LOCAL_V6: &CStr = c"local_v6";
const MACS: &CStr = c"macs";

/// Entries of `local_v4` and of `local_v6`.
const LOCAL_MOST: u32 = 1024;
/// Entries of `macs`.
const MACS_MOST: u32 = 16384;

/// `struct port` of the program.
pub(crate) struct PortEntry {
    pub ifindex: u32,
    pub key_base: u32,
    pub queues: u32,
    pub counter_base: u32,
    pub side: u8,
    pub eid_miss: u8,
    pub rloc_miss: u8,
    pub mac: [u8; 6],
}

/// The tables of a loaded program.
pub(crate) struct Maps<'a>(pub &'a Object);

/// Sizes the tables that depend on the number of ports and queues.
pub(crate) fn size(object: &mut Object, ports: u32, queues: u32) -> io::Result<()> {
    object.set_max_entries(PORTS, ports)?;
    object.set_max_entries(SOCKETS, queues)?;
    object.set_max_entries(COUNTERS, ports * Verdict::ALL.len() as u32)
}

impl Maps<'_> {
    fn fd(&self, name: &CStr) -> Result<BorrowedFd<'_>, Error> {
        self.0.map_fd(name).map_err(|e| Error::system("find a table of the XDP program", e))
    }

    pub(crate) fn set_port(&self, port: &PortEntry) -> Result<(), Error> {
        let mut value = [0; 24];
        value[..4].copy_from_slice(&port.key_base.to_ne_bytes());
        value[4..8].copy_from_slice(&port.queues.to_ne_bytes());
        value[8..12].copy_from_slice(&port.counter_base.to_ne_bytes());
        value[12..15].copy_from_slice(&[port.side, port.eid_miss, port.rloc_miss]);
        value[15..21].copy_from_slice(&port.mac);
        // SAFETY: `ports` has keys of 4 and values of 24 bytes.
        unsafe { bpf::map_update(self.fd(PORTS)?, &port.ifindex.to_ne_bytes(), &value) }
            .map_err(|e| Error::system("write the ports of the XDP program", e))
    }

    pub(crate) fn set_socket(&self, key: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        let fd = socket.as_raw_fd().to_ne_bytes();
        // SAFETY: `sockets` has keys and values of 4 bytes.
        unsafe { bpf::map_update(self.fd(SOCKETS)?, &key.to_ne_bytes(), &fd) }
            .map_err(|e| Error::system("register a socket with the XDP program", e))
    }

    pub(crate) fn clear_socket(&self, key: u32) -> Result<(), Error> {
        // SAFETY: `sockets` has keys of 4 bytes.
        unsafe { bpf::map_delete(self.fd(SOCKETS)?, &key.to_ne_bytes()) }
            .or_else(|e| if e.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(e) })
            .map_err(|e| Error::system("withdraw a socket from the XDP program", e))
    }

    pub(crate) fn set_local(&self, address: IpAddr, present: bool) -> Result<(), Error> {
        match address {
            // SAFETY: `local_v4` has keys of 4 bytes and values of 1.
            IpAddr::V4(v4) => unsafe { self.set_member(LOCAL_V4, &v4.octets(), present) },
            // SAFETY: `local_v6` has keys of 16 bytes and values of 1.
            IpAddr::V6(v6) => unsafe { self.set_member(LOCAL_V6, &v6.octets(), present) },
        }
        .map_err(|e| full_or(e, "the box's own addresses", LOCAL_MOST))
    }

    pub(crate) fn set_mac(&self, ifindex: u32, mac: [u8; 6], present: bool) -> Result<(), Error> {
        let mut key = [0; 12];
        key[..4].copy_from_slice(&ifindex.to_ne_bytes());
        key[4..10].copy_from_slice(&mac);
        // SAFETY: `macs` has keys of 12 bytes and values of 1.
        unsafe { self.set_member(MACS, &key, present) }
            .map_err(|e| full_or(e, "the groups' MAC addresses", MACS_MOST))
    }

    /// # Safety
    /// The map has keys of `key.len()` bytes and values of 1.
    unsafe fn set_member(&self, map: &CStr, key: &[u8], present: bool) -> io::Result<()> {
        let map = self.0.map_fd(map)?;
        // SAFETY: the caller's contract.
        unsafe { if present { bpf::map_update(map, key, &[1]) } else { bpf::map_delete(map, key) } }
    }

    /// A counter, summed over the CPUs.
    pub(crate) fn counter(&self, index: u32) -> io::Result<u64> {
        // SAFETY: `counters` is a per-CPU array of u64.
        unsafe { bpf::per_cpu_sum(self.0.map_fd(COUNTERS)?, index) }
    }
}

fn full_or(error: io::Error, what: &'static str, most: u32) -> Error {
    match error.raw_os_error() {
        Some(libc::E2BIG | libc::ENOSPC) => Error::MapFull { what, most },
        _ => Error::system("write a table of the XDP program", error),
    }
}
