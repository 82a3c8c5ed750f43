//! Packets that come in several frames, put together again.

use sterna_xsk::Frame;

/// The longest packet that is put together, in bytes; IP has none that is longer. What comes beyond is left out, so
/// that the packet is judged as changed.
const LONGEST: usize = 1 << 16;

/// What came so far of a packet whose last frame has not.
#[derive(Debug, Default)]
pub(super) struct Join {
    bytes: Vec<u8>,
    is_whole: bool,
}

impl Join {
    /// The whole packet, if this frame ends one.
    #[inline]
    pub fn take<'f>(&'f mut self, frame: &'f Frame) -> Option<&'f [u8]> {
        if self.is_whole {
            self.bytes.clear();
            self.is_whole = false;
        }
        if self.bytes.is_empty() && !frame.is_continued() {
            return Some(frame.bytes());
        }
        let room = LONGEST.saturating_sub(self.bytes.len());
        self.bytes.extend(frame.bytes().iter().take(room));
        self.is_whole = !frame.is_continued();
        self.is_whole.then_some(&self.bytes[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sterna_xsk::{MemoryOptions, memory_port};

    #[test]
    fn frames_are_joined_until_one_ends_the_packet() {
        let (mut port, _wire) = memory_port(&MemoryOptions::default());
        let mut frames = Vec::new();
        port.fresh(&mut frames, 6);
        let told =
            [("one", false), ("two", true), ("", true), ("three", false), ("four", true), ("5", false)];
        let mut join = Join::default();
        let mut packets = Vec::new();
        for (frame, (text, continued)) in frames.iter_mut().zip(told) {
            assert!(frame.write(text.as_bytes()));
            frame.set_continued(continued);
            packets.extend(join.take(frame).map(<[u8]>::to_vec));
        }
        assert_eq!(packets, [b"one".to_vec(), b"twothree".to_vec(), b"four5".to_vec()]);
        port.release(&mut frames);
    }

    #[test]
    fn a_packet_without_end_takes_no_more_room_than_the_longest() {
        let (mut port, _wire) = memory_port(&MemoryOptions::default());
        let mut frames = Vec::new();
        port.fresh(&mut frames, 1);
        assert!(frames[0].write(&[7; 1_500]));
        frames[0].set_continued(true);
        let mut join = Join::default();
        assert!((0..100).all(|_| join.take(&frames[0]).is_none()));
        frames[0].set_continued(false);
        assert_eq!(join.take(&frames[0]).map(<[u8]>::len), Some(LONGEST));
        assert_eq!(join.take(&frames[0]).map(<[u8]>::len), Some(1_500));
        port.release(&mut frames);
    }
}
