//! Who may relay for whom: after a move the agent's previous site sends its frames on for a while, under its own
//! outer source, which the source check would refuse (design section 5).

use crate::departed::Departed;
use std::net::IpAddr;
use sterna_wire::{Family, Iid, addr_bytes};

/// Permissions there may be at a time. One agent that moved has one per locator of its previous site, for half a
/// minute: this is a hundred moves a second.
pub const MAX_RELAYS: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    iid: u32,
    family: Family,
    eid: [u8; 16],
    from_family: Family,
    from: [u8; 16],
}

impl Permission {
    pub fn new(iid: Iid, eid: IpAddr, from: IpAddr) -> Permission {
        Permission {
            iid: iid.get(),
            family: Family::of(eid),
            eid: addr_bytes(eid),
            from_family: Family::of(from),
            from: addr_bytes(from),
        }
    }
}

/// The permissions of one moment, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Relays {
    sorted: Vec<Permission>,
    departed: Departed,
}

impl Relays {
    /// These permissions (group, agent, outer source), and who may still come from where it was.
    pub fn new(all: impl Iterator<Item = (Iid, IpAddr, IpAddr)>, departed: Departed) -> Relays {
        let mut sorted: Vec<_> = all.map(|(iid, eid, from)| Permission::new(iid, eid, from)).collect();
        sorted.sort_unstable();
        Relays { sorted, departed }
    }

    /// Whether frames for an agent may come from this outer source; addresses as [`addr_bytes`].
    pub fn allow(
        &self,
        iid: u32,
        (family, eid): (Family, &[u8; 16]),
        (from_family, from): (Family, &[u8; 16]),
    ) -> bool {
        let wanted = Permission { iid, family, eid: *eid, from_family, from: *from };
        self.sorted.binary_search(&wanted).is_ok()
    }

    /// Whether an agent's own frames may still come from this outer source, because it was there a moment ago.
    pub fn was_there(
        &self,
        iid: u32,
        (family, eid): (Family, &[u8; 16]),
        (from_family, from): (Family, &[u8; 16]),
        now_ns: u64,
    ) -> bool {
        self.departed.allow(&Permission { iid, family, eid: *eid, from_family, from: *from }, now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_is_for_one_agent_of_one_group_from_one_rloc() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let iid = |n| Iid::new(n).unwrap();
        let relays = Relays::new(
            [
                (iid(200), address("10.0.0.1"), address("192.0.2.2")),
                (iid(100), address("fd00::1"), address("192.0.2.2")),
            ]
            .into_iter(),
            Departed::default(),
        );
        let allow = |n, eid: &str, from: &str| {
            let (eid, from) = (address(eid), address(from));
            let of = |a| (Family::of(a), addr_bytes(a));
            let (eid, from) = (of(eid), of(from));
            relays.allow(n, (eid.0, &eid.1), (from.0, &from.1))
        };
        assert!(allow(200, "10.0.0.1", "192.0.2.2") && allow(100, "fd00::1", "192.0.2.2"));
        assert!(!allow(100, "10.0.0.1", "192.0.2.2"), "another group");
        assert!(!allow(200, "10.0.0.2", "192.0.2.2"), "another agent");
        assert!(!allow(200, "10.0.0.1", "192.0.2.3"), "another RLOC");
        assert!(!allow(200, "10.0.0.1", "c000:202::"), "the same bytes of another family");
    }
}
