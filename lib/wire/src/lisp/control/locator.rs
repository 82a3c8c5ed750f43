//! One locator of an EID record (RFC 9301 section 5.4).

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{ControlError, LispAddress, Reader, address};

/// The shortest locator: eight bytes with an address of family 0.
pub(super) const MIN_LEN: usize = 6 + address::MIN_LEN;

const LOCAL: u16 = 0x4;
const PROBED: u16 = 0x2;
const REACHABLE: u16 = 0x1;

/// One locator of an EID record.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LocatorRecord {
    /// Lowest is used first; 255 is never used for unicast.
    pub priority: u8,
    /// Share among those of equal priority.
    pub weight: u8,
    /// The same as `priority` for multicast; 255 is not used.
    pub multicast_priority: u8,
    /// The same as `weight` for multicast.
    pub multicast_weight: u8,
    /// It belongs to the ETR that sent the record (L bit).
    pub local: bool,
    /// The probe that is answered came to this locator (p bit, in probe replies only).
    pub probed: bool,
    /// It can be reached, as far as the sender knows (R bit).
    pub reachable: bool,
    /// The RLOC.
    pub address: LispAddress,
}

impl LocatorRecord {
    /// A reachable locator for unicast only, neither local nor probed.
    pub fn unicast(address: IpAddr, priority: u8, weight: u8) -> LocatorRecord {
        LocatorRecord {
            priority,
            weight,
            multicast_priority: 255,
            multicast_weight: 0,
            local: false,
            probed: false,
            reachable: true,
            address: address.into(),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<LocatorRecord, ControlError> {
        let [priority, weight, multicast_priority, multicast_weight] = reader.array()?;
        let flags = reader.u16()?;
        Ok(LocatorRecord {
            priority,
            weight,
            multicast_priority,
            multicast_weight,
            local: flags & LOCAL != 0,
            probed: flags & PROBED != 0,
            reachable: flags & REACHABLE != 0,
            address: LispAddress::read(reader)?,
        })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.priority, self.weight, self.multicast_priority, self.multicast_weight]);
        let bit = |set: bool, mask: u16| if set { mask } else { 0 };
        let flags = bit(self.local, LOCAL) | bit(self.probed, PROBED) | bit(self.reachable, REACHABLE);
        out.extend(flags.to_be_bytes());
        self.address.emit(out);
    }
}
