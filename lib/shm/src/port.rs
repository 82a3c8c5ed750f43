//! The ports of a gateway, as both planes name them.

use std::fmt;
use std::str::FromStr;

/// Which side of the gateway a port is on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Side {
    /// Towards agents.
    Eid = 0,
    /// Towards the underlay.
    Rloc = 1,
    /// One NIC with both.
    Both = 2,
}

impl Side {
    const ALL: [Side; 3] = [Side::Eid, Side::Rloc, Side::Both];

    /// The word for it: `eid`, `rloc` or `both`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Side::Eid => "eid",
            Side::Rloc => "rloc",
            Side::Both => "both",
        }
    }

    /// The side with this number.
    pub(crate) fn from_number(number: u8) -> Option<Side> {
        Side::ALL.into_iter().find(|side| *side as u8 == number)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Side {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Side, UnknownWord> {
        Side::ALL.into_iter().find(|side| side.as_str() == text).ok_or(UnknownWord)
    }
}

/// A word that names no variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not one of the known words")]
pub struct UnknownWord;

/// A port; its position in the list is the port index that records use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortDesc {
    /// Interface name.
    pub name: String,
    /// Its side.
    pub side: Side,
}
