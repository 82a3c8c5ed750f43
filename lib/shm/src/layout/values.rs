//! The values that records are made of, and what each of them insists on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sterna_wire::{Family, Iid, Mac, Prefix, VlanId, addr_bytes, addr_from_bytes};

use super::{Field, Invalid, Reader, Writer};
use crate::shape;

macro_rules! number_field {
    ($($number:ident),+) => {$(
        impl Field for $number {
            const SIZE: usize = size_of::<$number>();
            const SHAPE: u64 = shape::text(shape::START, stringify!($number));
            #[inline]
            fn put(&self, out: &mut Writer) {
                out.raw(self.to_le_bytes());
            }
            #[inline]
            fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
                Ok($number::from_le_bytes(from.raw()?))
            }
        }
    )+};
}
number_field!(u8, u16, u32, u64);

/// A type that stands in the record as another: `$inner`, converted and checked.
macro_rules! stand_in_field {
    ($outer:ty, $name:literal, $inner:ty, $to:expr, $from:expr, $wrong:literal) => {
        impl Field for $outer {
            const SIZE: usize = <$inner as Field>::SIZE;
            const SHAPE: u64 = shape::field(shape::START, $name, <$inner as Field>::SHAPE);
            #[inline]
            fn put(&self, out: &mut Writer) {
                let to: fn(&$outer) -> $inner = $to;
                to(self).put(out);
            }
            #[inline]
            fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
                let convert: fn($inner) -> Option<$outer> = $from;
                convert(<$inner as Field>::take(from)?).ok_or(Invalid($wrong))
            }
        }
    };
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

stand_in_field!(bool, "bool", u8, |v| u8::from(*v), flag, "a flag is neither 0 nor 1");
stand_in_field!(Iid, "iid", u32, |v| v.get(), Iid::new, "an instance-ID is out of range");
stand_in_field!(VlanId, "vlan", u16, |v| v.get(), VlanId::new, "a VLAN ID is out of range");
stand_in_field!(
    Family,
    "family",
    u8,
    |v| *v as u8,
    Family::from_version,
    "an address family is neither 4 nor 6"
);

/// A value that any bytes are.
macro_rules! bytes_field {
    ($bytes:ty, $len:literal) => {
        impl Field for $bytes {
            const SIZE: usize = $len;
            const SHAPE: u64 = shape::number(shape::text(shape::START, stringify!($bytes)), $len);
            #[inline]
            fn put(&self, out: &mut Writer) {
                out.raw(self.octets());
            }
            #[inline]
            fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
                Ok(<$bytes>::from(from.raw::<$len>()?))
            }
        }
    };
}
bytes_field!(Mac, 6);
bytes_field!(Ipv4Addr, 4);
bytes_field!(Ipv6Addr, 16);

impl Field for IpAddr {
    const SIZE: usize = Family::SIZE + 16;
    const SHAPE: u64 = shape::field(shape::text(shape::START, "ip"), "family", Family::SHAPE);
    #[inline]
    fn put(&self, out: &mut Writer) {
        Family::of(*self).put(out);
        out.raw(addr_bytes(*self));
    }
    #[inline]
    fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
        let family = Family::take(from)?;
        let bytes = from.raw::<16>()?;
        let address = addr_from_bytes(family, &bytes);
        if addr_bytes(address) != bytes {
            return Err(Invalid("bytes behind an IPv4 address are not zero"));
        }
        Ok(address)
    }
}

impl Field for Prefix {
    const SIZE: usize = IpAddr::SIZE + 1;
    const SHAPE: u64 = shape::field(shape::text(shape::START, "prefix"), "address", IpAddr::SHAPE);
    #[inline]
    fn put(&self, out: &mut Writer) {
        self.addr().put(out);
        self.len().put(out);
    }
    #[inline]
    fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
        let address = IpAddr::take(from)?;
        let len = u8::take(from)?;
        Prefix::new(address, len).map_err(|_| Invalid("a prefix is too long or has host bits"))
    }
}

impl<T: Field> Field for Option<T> {
    const SIZE: usize = 1 + T::SIZE;
    const SHAPE: u64 = shape::field(shape::START, "option", T::SHAPE);
    #[inline]
    fn put(&self, out: &mut Writer) {
        let end = out.at() + Self::SIZE;
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
        out.zeros_to(end);
    }
    #[inline]
    fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
        let end = from.at() + Self::SIZE;
        if bool::take(from)? {
            return T::take(from).map(Some);
        }
        from.zeros_to(end)?;
        Ok(None)
    }
}

/// An interface address: the host bits matter, the length is the link's.
macro_rules! interface_field {
    ($address:ty, $bits:literal) => {
        impl Field for ($address, u8) {
            const SIZE: usize = <$address>::SIZE + 1;
            const SHAPE: u64 = shape::field(shape::START, "interface", <$address>::SHAPE);
            #[inline]
            fn put(&self, out: &mut Writer) {
                self.0.put(out);
                self.1.put(out);
            }
            #[inline]
            fn take(from: &mut Reader<'_>) -> Result<Self, Invalid> {
                let address = <$address>::take(from)?;
                let len = u8::take(from)?;
                if len > $bits {
                    return Err(Invalid("an interface address has too long a prefix"));
                }
                Ok((address, len))
            }
        }
    };
}
interface_field!(Ipv4Addr, 32);
interface_field!(Ipv6Addr, 128);
