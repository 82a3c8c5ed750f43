//! Packets longer than a frame: written apart, then laid over several frames.

use sterna_xsk::{Frame, Port};

/// Where a packet stands until it is laid over frames.
#[derive(Debug)]
pub(super) struct Parts {
    packet: Vec<u8>,
    /// Bytes of a packet that a frame takes.
    room: usize,
    /// Frames for the next packet.
    spare: Vec<Frame>,
}

impl Parts {
    /// For packets of at most `longest` bytes over frames of `room` bytes; `None` when one frame holds any of them.
    pub fn needed(longest: usize, room: usize) -> Option<Self> {
        (longest > room && room > 0).then(|| Self { packet: vec![0; longest], room, spare: Vec::new() })
    }

    /// The room for the next packet, once there are frames enough for the longest.
    pub fn packet(&mut self, port: &mut Port) -> Option<&mut [u8]> {
        let most = self.packet.len().div_ceil(self.room);
        let missing = most.saturating_sub(self.spare.len());
        port.fresh(&mut self.spare, missing);
        (self.spare.len() >= most).then_some(&mut self.packet[..])
    }

    /// Lays the first `length` bytes over frames, about as many into each, so that none is too short to be sent.
    pub fn lay(&mut self, length: usize, into: &mut Vec<Frame>) {
        let count = length.div_ceil(self.room).max(1);
        let part = length.div_ceil(count).max(1);
        for (at, bytes) in self.packet[..length].chunks(part).enumerate() {
            let Some(mut frame) = self.spare.pop() else { return };
            // A part is never more than the room.
            let _ = frame.write(bytes);
            frame.set_continued(at + 1 < count);
            into.push(frame);
        }
    }

    /// Gives back the frames that were not needed.
    pub fn release(&mut self, port: &mut Port) {
        port.release(&mut self.spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sterna_xsk::{MemoryOptions, memory_port};

    #[test]
    fn what_fits_needs_no_parts() {
        assert!(Parts::needed(1_500, 1_500).is_none());
        assert!(Parts::needed(1_501, 1_500).is_some());
    }

    proptest! {
        #[test]
        fn parts_joined_are_the_packet(length in 1_usize..=9_018, seed in any::<u8>()) {
            let (mut port, _wire) = memory_port(&MemoryOptions { mtu: 3_500, ..MemoryOptions::default() });
            let room = port.frame_capacity();
            let mut parts = Parts::needed(9_018, room).unwrap();
            let packet: Vec<u8> = (0..length).map(|at| (at as u8).wrapping_mul(seed)).collect();
            parts.packet(&mut port).unwrap()[..length].copy_from_slice(&packet);
            let mut frames = Vec::new();
            parts.lay(length, &mut frames);
            prop_assert_eq!(frames.len(), length.div_ceil(room));
            let joined: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
            prop_assert_eq!(joined, packet);
            let (last, others) = frames.split_last().unwrap();
            prop_assert!(!last.is_continued() && others.iter().all(Frame::is_continued));
            // Only the first has to be as long as a header, but the kernel sends none that is shorter.
            prop_assert!(length < 14 || frames.iter().all(|frame| frame.len() >= 14));
            port.release(&mut frames);
            parts.release(&mut port);
            prop_assert_eq!(port.ledger().held_by_app, 0);
        }
    }

    #[test]
    fn without_frames_there_is_no_packet() {
        let options = MemoryOptions { mtu: 3_500, frames: 2, ..MemoryOptions::default() };
        let (mut port, _wire) = memory_port(&options);
        let mut parts = Parts::needed(9_018, port.frame_capacity()).unwrap();
        assert!(parts.packet(&mut port).is_none());
        parts.release(&mut port);
        assert_eq!(port.ledger().held_by_app, 0);
    }
}
