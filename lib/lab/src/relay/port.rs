//! One interface, opened for whole frames both ways.

use std::io;
use std::os::fd::IntoRawFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};
use socket2::{Domain, Socket, Type};

use crate::error::{LabError, Result};

/// How long a receiver waits before it looks whether it should end.
const TICK: Duration = Duration::from_millis(20);
/// Room for what arrives while the receiver waits for a core, bytes.
const RECEIVE_BUFFER: usize = 16 << 20;

/// The sending half; many may use it.
pub struct Port {
    sender: Mutex<Box<dyn DataLinkSender>>,
}

/// The receiving half.
pub struct Receiver {
    receiver: Box<dyn DataLinkReceiver>,
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
    /// The next frame; none after a short time without.
    pub fn frame(&mut self) -> Option<&[u8]> {
        self.receiver.next().ok()
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
    let config = Config {
        read_timeout: Some(TICK),
        channel_type: pnet_datalink::ChannelType::Layer2,
        socket_fd: Some(socket.into_raw_fd()),
        ..Config::default()
    };
    match pnet_datalink::channel(&interface, config).map_err(what())? {
        Channel::Ethernet(sender, receiver) => {
            Ok((Port { sender: Mutex::new(sender) }, Receiver { receiver }))
        }
        _ => Err(what()(io::ErrorKind::Unsupported.into())),
    }
}
