//! A policy: which packets of the eid side are of which context class.

use sterna_wire::{Iid, Prefix};

use crate::classes::CLASSES;
use crate::layout::{Field, Invalid, Reader, Writer};
use crate::shape;

/// Policies there may be.
pub const MAX_POLICIES: usize = 64;

/// What a packet must have to be of a class. What is not said matches all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Group.
    pub iid: Option<Iid>,
    /// The source EID is in it.
    pub from: Option<Prefix>,
    /// The destination EID is in it.
    pub to: Option<Prefix>,
    /// The DSCP, 0 to 63.
    pub dscp: Option<u8>,
    /// The protocol, behind IPv6 extension headers.
    pub protocol: Option<u8>,
    /// The destination port, from the first to the last. A fragment has none.
    pub ports: Option<(u16, u16)>,
    /// The class, 0 to 15; 0 takes packets out of all later policies.
    pub class: u8,
}

impl Policy {
    /// What is wrong with it, if anything.
    const fn fault(&self) -> Option<&'static str> {
        match self {
            Policy { class, .. } if *class as usize >= CLASSES => Some("a class is above 15"),
            Policy { dscp: Some(64..), .. } => Some("a DSCP is above 63"),
            Policy { ports: Some((first, last)), .. } if *first > *last => Some("a port range is empty"),
            _ => None,
        }
    }
}

type Ports = Option<(u16, u16)>;

impl Field for (u16, u16) {
    const SIZE: usize = 2 * u16::SIZE;
    const SHAPE: u64 = shape::field(shape::START, "range", u16::SHAPE);

    fn put(&self, out: &mut Writer) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
        Ok((u16::take(from)?, u16::take(from)?))
    }
}

impl Field for Policy {
    const SIZE: usize =
        Option::<Iid>::SIZE + 2 * Option::<Prefix>::SIZE + 2 * Option::<u8>::SIZE + Ports::SIZE + u8::SIZE;
    const SHAPE: u64 = {
        let hash = shape::text(shape::START, "Policy");
        let hash = shape::field(hash, "iid", Option::<Iid>::SHAPE);
        let hash = shape::field(hash, "from", Option::<Prefix>::SHAPE);
        let hash = shape::field(hash, "to", Option::<Prefix>::SHAPE);
        let hash = shape::field(hash, "dscp", Option::<u8>::SHAPE);
        let hash = shape::field(hash, "protocol", Option::<u8>::SHAPE);
        let hash = shape::field(hash, "ports", Ports::SHAPE);
        shape::field(hash, "class", u8::SHAPE)
    };

    fn put(&self, out: &mut Writer) {
        self.iid.put(out);
        self.from.put(out);
        self.to.put(out);
        self.dscp.put(out);
        self.protocol.put(out);
        self.ports.put(out);
        self.class.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
        let policy = Policy {
            iid: Field::take(from)?,
            from: Field::take(from)?,
            to: Field::take(from)?,
            dscp: Field::take(from)?,
            protocol: Field::take(from)?,
            ports: Field::take(from)?,
            class: u8::take(from)?,
        };
        policy.fault().map_or(Ok(policy), |fault| Err(Invalid(fault)))
    }
}
