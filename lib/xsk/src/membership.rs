//! Makes a real NIC hand up frames for addresses that are not its own.
//!
//! A group's gateway has one anycast MAC at every site, and a NIC filters by MAC before XDP sees a frame.
//! The kernel counts these memberships per socket and undoes them when the socket closes, also after a crash.

use std::os::fd::{AsFd, OwnedFd};

use crate::error::Error;
use crate::sys;

/// Promiscuous and all-multicast reception for as long as it lives.
pub(crate) struct Membership {
    _socket: OwnedFd,
}

impl Membership {
    /// Joins. The socket has no protocol, so it receives nothing itself.
    pub(crate) fn join(ifindex: u32) -> Result<Self, Error> {
        const DOING: &str = "receive frames for other MAC addresses (promiscuous mode)";
        let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW).map_err(|e| Error::system(DOING, e))?;
        for kind in [libc::PACKET_MR_PROMISC, libc::PACKET_MR_ALLMULTI] {
            let request = libc::packet_mreq {
                mr_ifindex: ifindex.cast_signed(),
                mr_type: kind as u16,
                mr_alen: 0,
                mr_address: [0; 8],
            };
            sys::set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
                .map_err(|e| Error::system(DOING, e))?;
        }
        Ok(Self { _socket: socket })
    }
}
