//! One interface, opened for whole frames both ways.

use std::io::{self, Read};
use std::os::fd::IntoRawFd;
use std::sync::{Mutex, PoisonError};

use pnet_datalink::{Channel, Config, DataLinkSender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use crate::error::{LabError, Result};

/// How long a receiver waits before it looks whether it should end.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// The longest frame, bytes: no packet is longer.
const LONGEST: usize = (1 << 16) + 18;
/// Room for what arrives while the receiver waits for a core, bytes.
const RECEIVE_BUFFER: usize = 16 << 20;

/// The sending half; many may use it.
pub struct Port {
    sender: Mutex<Box<dyn DataLinkSender>>,
}

/// The receiving half; many may use it.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
    buffer: Mutex<Vec<u8>>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Port")
    }
}

impl Port {
    /// Sends a frame; false when the kernel refused it.
    pub fn send(&self, frame: &[u8]) -> bool {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(sender.send_to(frame, None), Some(Ok(())))
    }
}

impl Receiver {
    /// Waits for frames, a short time at most.
    pub fn wait(&self) {
        // Interrupted or not: who waits looks.
        let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&TICK));
    }

    /// Gives every frame that has come to `each`, in order. When it returns, all frames that had come when it was
    /// called have been given, by this call or by another.
    pub fn drain(&self, mut each: impl FnMut(&[u8])) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(length) = (&self.socket).read(&mut buffer) {
            each(&buffer[..length]);
        }
    }
}

/// Opens an interface of the calling thread's namespace, promiscuous: a relay takes frames that are for others.
///
/// # Errors
/// When it is not there, or we are not root.
pub fn open(name: &str) -> Result<(Port, Receiver)> {
    let what = || LabError::io(format!("opening a packet socket on {name}"));
    let interface = pnet_datalink::interfaces()
        .into_iter()
        .find(|interface| interface.name == name)
        .ok_or_else(|| what()(io::ErrorKind::NotFound.into()))?;
    // One socket for both ways: a packet socket does not hear what it sent itself. Without a protocol it hears
    // nothing until it is bound to this interface, so that no frame of another one comes in between.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None).map_err(what())?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER)
        .map_err(|errno| what()(errno.into()))?;
    socket.set_nonblocking(true).map_err(what())?;
    let own = socket.try_clone().map_err(what())?;
    let config = Config {
        channel_type: pnet_datalink::ChannelType::Layer2,
        socket_fd: Some(socket.into_raw_fd()),
        ..Config::default()
    };
    match pnet_datalink::channel(&interface, config).map_err(what())? {
        // Its receiver tells a frame that was read from one that was given to nobody yet by nothing.
        Channel::Ethernet(sender, _) => Ok((
            Port { sender: Mutex::new(sender) },
            Receiver { socket: own, buffer: Mutex::new(vec![0; LONGEST]) },
        )),
        _ => Err(what()(io::ErrorKind::Unsupported.into())),
    }
}
