//! The instance-ID: the 24-bit number that keeps groups apart (RFC 9300 section 5.5).

use core::fmt;
use core::str::FromStr;

use crate::error::AddrError;

/// An instance-ID, 0 to 0xFFFFFE. 0 is the default instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Iid(u32);

impl Iid {
    /// Instance 0: what a data packet without the I bit belongs to.
    pub const DEFAULT: Iid = Iid(0);
    /// The value no group may have: it marks a control message inside a data packet (NAT traversal).
    pub const RESERVED: u32 = 0x00ff_ffff;

    /// An instance-ID, unless the number is reserved or does not fit in 24 bits.
    #[inline]
    pub const fn new(value: u32) -> Option<Iid> {
        if value < Self::RESERVED { Some(Iid(value)) } else { None }
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Iid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Iid {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Iid, AddrError> {
        text.parse().ok().and_then(Iid::new).ok_or(AddrError::BadIid)
    }
}

impl TryFrom<u32> for Iid {
    type Error = AddrError;

    fn try_from(value: u32) -> Result<Iid, AddrError> {
        Iid::new(value).ok_or(AddrError::BadIid)
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::string::ToString;

    #[test]
    fn range() {
        assert_eq!(Iid::new(0), Some(Iid::DEFAULT));
        assert_eq!(Iid::new(0xff_fffe).map(Iid::get), Some(0xff_fffe));
        assert_eq!(Iid::new(0xff_ffff), None);
        assert_eq!(Iid::new(0x0100_0000), None);
        assert_eq!(Iid::try_from(0xff_ffff), Err(AddrError::BadIid));
    }

    #[test]
    fn text() {
        assert_eq!("100".parse(), Ok(Iid(100)));
        assert_eq!(Iid(100).to_string(), "100");
        for wrong in ["", "-1", "16777215", "0x10", "1 "] {
            assert_eq!(wrong.parse::<Iid>(), Err(AddrError::BadIid), "{wrong}");
        }
    }
}
