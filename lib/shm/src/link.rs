//! The socket between the planes: silent after the handshake, and the sign of life by merely being open.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, Shutdown,
};

use crate::message::{Farewell, MAX_MESSAGE, Message};

/// Descriptors that go along with a welcome.
pub(crate) const DESCRIPTORS: usize = 6;

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum End {
    /// The other process closed the socket or died.
    #[error("the other plane is gone")]
    Gone,
    /// It said why.
    #[error(transparent)]
    Farewell(#[from] Farewell),
    /// It spoke where it should be silent.
    #[error("the other plane sent something unexpected")]
    Noise,
}

/// One end of an established connection.
pub(crate) struct Link {
    socket: OwnedFd,
    end: OnceLock<End>,
}

impl Link {
    pub(crate) fn new(socket: OwnedFd) -> Link {
        Link { socket, end: OnceLock::new() }
    }

    /// How it ended, if it has; one system call while it has not.
    pub(crate) fn end(&self) -> Option<End> {
        if let Some(end) = self.end.get() {
            return Some(*end);
        }
        let mut bytes = [0; 64];
        let end = match receive(self.socket.as_fd(), &mut bytes, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => return None,
            Ok(0) | Err(_) => End::Gone,
            Ok(len) => match Message::decode(&bytes[..len]) {
                Ok(Message::Farewell(farewell)) => End::Farewell(farewell),
                _ => End::Noise,
            },
        };
        Some(*self.end.get_or_init(|| end))
    }

    /// Says why and hangs up. The peer may be gone already, so nothing here can fail.
    pub(crate) fn dismiss(&self, farewell: Farewell) {
        let _ = send(self.socket.as_fd(), &Message::Farewell(farewell), &[], SendFlags::DONTWAIT);
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends one message and, with it, descriptors.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    message: &Message,
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<(), Errno> {
    let bytes = message.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::NOBUFS);
    }
    let flags = flags | SendFlags::NOSIGNAL;
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, flags) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Receives one message without descriptors (the kernel drops those that come along); 0 when the peer hung up.
pub(crate) fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8], flags: RecvFlags) -> Result<usize, Errno> {
    loop {
        match rustix::net::recv(socket, &mut *bytes, flags) {
            Err(Errno::INTR) => {}
            other => return other.map(|(len, _)| len),
        }
    }
}

/// Receives one message with its descriptors, close-on-exec; no bytes when the peer hung up.
pub(crate) fn receive_with_descriptors(socket: BorrowedFd<'_>) -> Result<(Vec<u8>, Vec<OwnedFd>), Errno> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut into = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors = descriptors.flatten().collect();
    bytes.truncate(received.bytes);
    Ok((bytes, descriptors))
}
