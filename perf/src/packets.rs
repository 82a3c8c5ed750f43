//! The received frames of a case: what comes in, in which order, and what must become of each.

use crate::case::{Case, Traffic};
use crate::frames::{Direction, Family, Sequence, Slot, template};
use crate::remote::Numbering;
use anyhow::{Result, ensure};
use sterna_xsk::{BURST, Frame};

/// Bursts of received frames that a timed case cycles over, so that no frame was touched for the last 1,000.
pub const CYCLE: usize = 1024;
/// Sizes of a mixture, by how many of twelve packets have each.
const MIXED_SIZES: [(usize, usize); 3] = [(64, 7), (512, 4), (1400, 1)];
/// One packet in so many of a mixture is for an EID that nobody has.
const MIXED_MISS: u64 = 100;

/// What must become of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// It goes out, as one for the remote EID of this number.
    Out(u32),
    /// It waits for an answer that does not come, or finds no room to.
    Waits,
}

/// One kind of frame.
struct Kind {
    inner: Family,
    slot: Slot,
}

/// What the frames of a case hold.
pub struct Packets {
    traffic: Traffic,
    numbering: Numbering,
    kinds: Vec<Kind>,
    /// Each frame's kind, by its place in a turn of so many frames.
    turn: Vec<usize>,
    sequence: Sequence,
    missing: u32,
    put: u64,
    expected: Vec<Expected>,
}

impl Packets {
    /// Fills the frames with the first packets of a case.
    pub fn new(case: &Case, eids: u32, frames: &mut [Frame]) -> Result<Packets> {
        let mut images = Vec::new();
        let mut packets = Packets {
            traffic: case.traffic,
            numbering: Numbering { prefixes: case.prefixes },
            kinds: Vec::new(),
            turn: Vec::new(),
            sequence: Sequence::new(eids, case.order)?,
            missing: 0,
            put: 0,
            expected: vec![Expected::Waits; frames.len()],
        };
        for (inner, size, share) in shapes(case) {
            images.push(template(case.direction, inner, case.outer, size)?);
            packets.turn.extend(std::iter::repeat_n(packets.kinds.len(), share));
            packets.kinds.push(Kind { inner, slot: Slot::new(case.direction, inner, case.outer) });
        }
        spread(&mut packets.turn);
        for (at, frame) in frames.iter_mut().enumerate() {
            ensure!(
                frame.write(&images[packets.turn[at % packets.turn.len()]]),
                "the packet does not fit a frame"
            );
        }
        for at in (0..frames.len()).step_by(BURST) {
            packets.renew(at, &mut frames[at..at + BURST]);
        }
        Ok(packets)
    }

    /// Readies the burst at a place of the cycle for its next use.
    pub fn renew(&mut self, at: usize, frames: &mut [Frame]) {
        for (at, frame) in (at..).zip(frames) {
            let kind = &self.kinds[self.turn[at % self.turn.len()]];
            self.put += 1;
            let misses = match self.traffic {
                Traffic::Hits => false,
                Traffic::Misses => true,
                Traffic::Mixed => self.put.is_multiple_of(MIXED_MISS),
            };
            let address = if misses {
                self.missing = self.missing.wrapping_add(1);
                self.expected[at] = Expected::Waits;
                self.numbering.unknown(kind.inner, self.missing)
            } else {
                let number = self.sequence.next();
                self.expected[at] = Expected::Out(number);
                self.numbering.address(kind.inner, number)
            };
            kind.slot.put(frame.bytes_mut(), &address);
        }
    }

    /// What must become of the frame at a place of the cycle.
    pub fn expected(&self, at: usize) -> Expected {
        self.expected[at]
    }

    /// Where the underlay's or the agents' frames come in.
    pub fn is_encap(case: &Case) -> bool {
        case.direction == Direction::Encap
    }
}

/// Inner families, sizes and shares.
fn shapes(case: &Case) -> Vec<(Family, usize, usize)> {
    if case.traffic != Traffic::Mixed {
        return vec![(case.inner, case.size, 1)];
    }
    let of = |family| MIXED_SIZES.map(|(size, share)| (family, size, share));
    [of(Family::V4), of(Family::V6)].concat()
}

/// Shuffles a turn, the same way each time: neighbours shall differ, as they do in traffic.
fn spread(turn: &mut [usize]) {
    let mut state = 0x9e37_79b9_u32;
    for at in (1..turn.len()).rev() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        turn.swap(at, (state >> 16) as usize % (at + 1));
    }
}
