//! Whole IP packets between the planes: what hosts send to their gateway itself, and what it answers.
//!
//! They are too long for a ring's slots, rare, and may be lost, so they go over a socket pair of their own, one end of
//! which comes along with the welcome. Its buffers are the kernel's, of bounded size; nobody ever waits.
//! A message is the instance-ID, four bytes little-endian, and the packet.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags, SocketFlags,
    SocketType,
};
use sterna_wire::Iid;

use crate::abi::PACKET;

/// One end of the packets' way.
pub struct PacketLink(OwnedFd);

/// What there was to hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A packet of this group, the first `len` bytes of the buffer.
    Packet {
        /// Group.
        iid: Iid,
        /// Bytes.
        len: usize,
    },
    /// A message that is none.
    Noise,
    /// No message now.
    Nothing,
    /// The peer closed its end: there will be none any more.
    Over,
}

impl PacketLink {
    /// Both ends; nobody waits at either.
    pub(crate) fn pair() -> Result<(PacketLink, PacketLink), Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (near, far) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((PacketLink(near), PacketLink(far)))
    }

    /// The end that a peer sent, if it is one.
    pub(crate) fn received(fd: OwnedFd) -> Option<PacketLink> {
        let is_ours =
            socket_domain(&fd) == Ok(AddressFamily::UNIX) && socket_type(&fd) == Ok(SocketType::SEQPACKET);
        // What we say and hear never waits, whatever the descriptor's own mode is.
        is_ours.then_some(PacketLink(fd))
    }

    /// Sends a packet; false when there is no room now, nobody hears, or it is empty or longer than [`PACKET`].
    pub fn send(&self, iid: Iid, packet: &[u8]) -> bool {
        if packet.is_empty() || packet.len() > PACKET {
            return false;
        }
        let head = iid.get().to_le_bytes();
        let parts = [IoSlice::new(&head), IoSlice::new(packet)];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            match rustix::net::sendmsg(&self.0, &parts, &mut SendAncillaryBuffer::default(), flags) {
                Err(Errno::INTR) => {}
                other => return other.is_ok(),
            }
        }
    }

    /// Takes the next packet.
    pub fn receive(&self, packet: &mut [u8; PACKET]) -> Heard {
        let mut head = [0; 4];
        let got = loop {
            let mut parts = [IoSliceMut::new(&mut head), IoSliceMut::new(packet)];
            // Descriptors that come along are closed by the kernel.
            let mut control = RecvAncillaryBuffer::default();
            match rustix::net::recvmsg(&self.0, &mut parts, &mut control, RecvFlags::DONTWAIT) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        let (bytes, flags) = match got {
            Ok(got) => (got.bytes, got.flags),
            Err(Errno::AGAIN) => return Heard::Nothing,
            Err(_) => return Heard::Over,
        };
        let iid = Iid::new(u32::from_le_bytes(head));
        match (bytes.checked_sub(head.len()), iid) {
            // Nobody sends empty messages, so it is the end.
            (None, _) if bytes == 0 => Heard::Over,
            (Some(len @ 1..), Some(iid)) if !flags.contains(ReturnFlags::TRUNC) => Heard::Packet { iid, len },
            _ => Heard::Noise,
        }
    }
}

/// Readable when there is something to hear.
impl AsFd for PacketLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn iid(number: u32) -> Iid {
        Iid::new(number).unwrap()
    }

    #[test]
    fn packets_arrive_whole_and_in_order_and_the_end_is_told() {
        let (near, far) = PacketLink::pair().unwrap();
        let mut packet = [0; PACKET];
        assert_eq!(far.receive(&mut packet), Heard::Nothing);
        assert!(near.send(iid(100), &[0x45, 1, 2]) && near.send(iid(0xff_fffe), &[7; PACKET]));
        assert_eq!(far.receive(&mut packet), Heard::Packet { iid: iid(100), len: 3 });
        assert_eq!(packet[..3], [0x45, 1, 2]);
        assert_eq!(far.receive(&mut packet), Heard::Packet { iid: iid(0xff_fffe), len: PACKET });
        assert_eq!(packet, [7; PACKET]);
        assert!(far.send(iid(5), &[9]), "both ways");
        assert_eq!(near.receive(&mut packet), Heard::Packet { iid: iid(5), len: 1 });
        drop(near);
        assert_eq!(far.receive(&mut packet), Heard::Over);
        assert!(!far.send(iid(5), &[9]), "nobody hears");
    }

    #[test]
    fn noise_is_told_from_packets() {
        let (near, far) = PacketLink::pair().unwrap();
        assert!(!near.send(iid(1), &[]) && !near.send(iid(1), &[0; PACKET + 1]));
        let mut packet = [0; PACKET];
        let long = [1; 4 + PACKET + 1];
        for noise in [&[1][..], &[1, 0, 0, 0], &[1, 0, 0, 1, 0x45], &long] {
            rustix::net::send(&near.0, noise, SendFlags::empty()).unwrap();
            assert_eq!(far.receive(&mut packet), Heard::Noise, "{} bytes", noise.len());
        }
        assert_eq!(far.receive(&mut packet), Heard::Nothing);
    }

    #[test]
    fn a_peer_that_does_not_listen_is_not_waited_for() {
        let (near, far) = PacketLink::pair().unwrap();
        let sent = (0..100_000).take_while(|_| near.send(iid(1), &[0; PACKET])).count();
        assert!((10..10_000).contains(&sent), "{sent}");
        let mut packet = [0; PACKET];
        assert!(matches!(far.receive(&mut packet), Heard::Packet { .. }));
        assert!((0..10).any(|_| {
            far.receive(&mut packet);
            near.send(iid(1), &[0])
        }));
    }

    #[test]
    fn only_a_socket_pair_s_end_is_taken() {
        let (pipe, _writer) = std::io::pipe().unwrap();
        assert!(PacketLink::received(pipe.into()).is_none());
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(PacketLink::received(udp.into()).is_none());
        let stream = std::os::unix::net::UnixStream::pair().unwrap().0;
        assert!(PacketLink::received(stream.into()).is_none());
    }
}
