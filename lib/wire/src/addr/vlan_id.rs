//! The number of an 802.1Q VLAN.

use core::fmt;
use core::str::FromStr;

use crate::error::AddrError;

/// A VLAN ID, 1 to 4094 (0 is a mere priority tag, 4095 is reserved).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct VlanId(u16);

impl VlanId {
    /// A VLAN ID, unless the number is out of range.
    #[inline]
    pub const fn new(value: u16) -> Option<VlanId> {
        if value >= 1 && value <= 4094 { Some(VlanId(value)) } else { None }
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for VlanId {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<VlanId, AddrError> {
        text.parse().ok().and_then(VlanId::new).ok_or(AddrError::BadVlanId)
    }
}

impl TryFrom<u16> for VlanId {
    type Error = AddrError;

    fn try_from(value: u16) -> Result<VlanId, AddrError> {
        VlanId::new(value).ok_or(AddrError::BadVlanId)
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::string::ToString;

    #[test]
    fn range_and_text() {
        assert_eq!(VlanId::new(0), None);
        assert_eq!(VlanId::new(4095), None);
        assert_eq!(VlanId::new(1).map(VlanId::get), Some(1));
        assert_eq!("4094".parse(), Ok(VlanId(4094)));
        assert_eq!("x".parse::<VlanId>(), Err(AddrError::BadVlanId));
        assert_eq!(VlanId::try_from(4095), Err(AddrError::BadVlanId));
        assert_eq!(VlanId(10).to_string(), "10");
    }
}
