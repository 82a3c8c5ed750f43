//! What a sender needs of a locator (hard), or would rather have (soft).

use alloc::vec::Vec;

use super::AcxError;
use super::attributes::{Hardware, LatencyClass};
use super::tlv::{Tlv, kind, put};

/// The most constraints of one block.
pub(super) const MAX: usize = 16;
const HARD: u8 = 0x80;
const WEIGHT: u8 = 0x0f;
/// The weight of a soft constraint that says none.
const DEFAULT_WEIGHT: u8 = 4;

/// One constraint.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Constraint {
    /// What is needed.
    pub need: Need,
    /// A locator that does not meet it is not used at all.
    pub hard: bool,
    /// How much a soft one counts, 1 to 15; 4 where it is written as 0. A hard one has the weight 0.
    pub weight: u8,
}

/// What is needed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Need {
    /// A processing latency of this class at most, and of so many microseconds; none and 0 do not matter.
    Latency {
        /// The worst class that will do.
        class: Option<LatencyClass>,
        /// The longest promise that will do, in microseconds.
        max_us: u32,
    },
    /// All of this hardware.
    Hardware(Hardware),
    /// One of these states, as [`AgentState::bit`](super::AgentState::bit)s.
    State(u32),
    /// A load of so many thousandths at most.
    Load(u16),
    /// Protection.
    Security {
        /// The lowest level that will do.
        level: u8,
        /// Flags that must all be set.
        flags: u8,
        /// The domain; 0 is any.
        domain: u16,
    },
}

impl Constraint {
    /// A constraint that must be met.
    pub const fn hard(need: Need) -> Constraint {
        Constraint { need, hard: true, weight: 0 }
    }

    /// A preference, of weight 1 to 15.
    pub const fn soft(need: Need, weight: u8) -> Constraint {
        let weight = if weight == 0 { DEFAULT_WEIGHT } else { weight & WEIGHT };
        Constraint { need, hard: false, weight }
    }

    pub(super) fn read(tlv: &Tlv<'_>) -> Result<Constraint, AcxError> {
        let need = match tlv.kind {
            kind::C_LATENCY => {
                let [class, _, _, _, a, b, c, d] = tlv.array()?;
                let class = LatencyClass::from_number(class).ok_or(tlv.malformed())?;
                Need::Latency { class, max_us: u32::from_be_bytes([a, b, c, d]) }
            }
            kind::C_HARDWARE => Need::Hardware(Hardware::read(tlv)?),
            kind::C_STATE => Need::State(u32::from_be_bytes(tlv.array()?)),
            kind::C_LOAD => {
                let [a, b, ..] = tlv.array::<4>()?;
                Need::Load(u16::from_be_bytes([a, b]))
            }
            _ => {
                let [level, flags, a, b] = tlv.array()?;
                Need::Security { level, flags, domain: u16::from_be_bytes([a, b]) }
            }
        };
        let hard = tlv.flags & HARD != 0;
        Ok(if hard { Constraint::hard(need) } else { Constraint::soft(need, tlv.flags & WEIGHT) })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let flags = if self.hard { HARD } else { self.weight & WEIGHT };
        match &self.need {
            Need::Latency { class, max_us } => {
                let [a, b, c, d] = max_us.to_be_bytes();
                put(out, kind::C_LATENCY, flags, &[LatencyClass::number(*class), 0, 0, 0, a, b, c, d]);
            }
            Need::Hardware(hardware) => put(out, kind::C_HARDWARE, flags, &hardware.value()),
            Need::State(allowed) => put(out, kind::C_STATE, flags, &allowed.to_be_bytes()),
            Need::Load(permille) => {
                let [a, b] = permille.to_be_bytes();
                put(out, kind::C_LOAD, flags, &[a, b, 0, 0]);
            }
            Need::Security { level, flags: required, domain } => {
                let [a, b] = domain.to_be_bytes();
                put(out, kind::C_SECURITY, flags, &[*level, *required, a, b]);
            }
        }
    }
}
