//! The wire of one stack: one packet in, some out, all in memory.

use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use sterna_shm::PACKET;

/// Packets in both directions.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// The packet to be read next.
    pub incoming: Option<Vec<u8>>,
    /// What is to be sent.
    pub outgoing: Vec<Vec<u8>>,
}

/// A packet that is read.
pub(super) struct Incoming(Vec<u8>);

/// A place for a packet that is sent.
pub(super) struct Outgoing<'w>(&'w mut Vec<Vec<u8>>);

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
        let packet = self.incoming.take()?;
        Some((Incoming(packet), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        // The agent's own link may carry less: then it says so by its MSS.
        capabilities.max_transmission_unit = PACKET;
        capabilities
    }
}
