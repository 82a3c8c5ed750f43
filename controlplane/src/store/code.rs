//! How values lie in the store: fixed fields in network byte order behind a version byte.

mod context;

pub(super) use context::{context, read_context};

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use sterna_wire::lisp::control::Act;
use sterna_wire::{Family, Iid, Prefix, addr_bytes, addr_from_bytes};

use crate::server::{
    Identity, RegisteredLocator, RegistrationKey, SavedRegistration, SavedSubscription, SavedXtr,
    SubscriptionKey,
};

/// First byte of every value; another one is of another version.
const VERSION: u8 = 1;
/// First byte of a subscription since it tells what was asked in ACX.
const WITH_QUESTION: u8 = 2;

/// Bytes being written.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn value() -> Writer {
        Writer(vec![VERSION])
    }

    fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend(value);
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    fn address(&mut self, address: IpAddr) -> &mut Self {
        let family = Family::of(address);
        let bytes = usize::from(family.bits() / 8);
        self.byte(family.bits()).bytes(&addr_bytes(address)[..bytes])
    }

    fn optional(&mut self, address: Option<IpAddr>) -> &mut Self {
        match address {
            Some(address) => self.address(address),
            None => self.byte(0),
        }
    }

    fn prefix(&mut self, iid: Iid, prefix: &Prefix) -> &mut Self {
        self.bytes(&iid.get().to_be_bytes()).address(prefix.addr()).byte(prefix.len())
    }

    fn name(&mut self, name: &str) -> &mut Self {
        // A site's name is a word of the config; longer ones would be told apart by this much too.
        let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
        self.bytes(&(name.len() as u16).to_be_bytes()).bytes(name)
    }

    fn identity(&mut self, identity: Identity) -> &mut Self {
        match identity {
            Identity::Id(id) => self.byte(1).bytes(&id),
            Identity::Address(address) => self.byte(2).address(address),
            Identity::Config => self.byte(3),
        }
    }
}

/// Bytes being read; none of its functions gives anything when they are not as they were written.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn value(bytes: &'a [u8]) -> Option<Reader<'a>> {
        let (version, rest) = bytes.split_first()?;
        (*version == VERSION).then_some(Reader(rest))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.array()?))
    }

    fn optional(&mut self) -> Option<Option<IpAddr>> {
        let (family, len) = match self.byte()? {
            0 => return Some(None),
            32 => (Family::V4, 4),
            128 => (Family::V6, 16),
            _ => return None,
        };
        let mut address = [0; 16];
        address[..len].copy_from_slice(self.take(len)?);
        Some(Some(addr_from_bytes(family, &address)))
    }

    fn address(&mut self) -> Option<IpAddr> {
        self.optional()?
    }

    fn prefix(&mut self) -> Option<(Iid, Prefix)> {
        let iid = Iid::new(self.u32()?)?;
        let address = self.address()?;
        Some((iid, Prefix::new(address, self.byte()?).ok()?))
    }

    fn name(&mut self) -> Option<Arc<str>> {
        let len = self.u16()?;
        Some(std::str::from_utf8(self.take(len.into())?).ok()?.into())
    }

    fn identity(&mut self) -> Option<Identity> {
        match self.byte()? {
            1 => Some(Identity::Id(self.array()?)),
            2 => Some(Identity::Address(self.address()?)),
            3 => Some(Identity::Config),
            _ => None,
        }
    }

    /// The value, if nothing is left.
    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

pub(super) fn registration_key(key: &RegistrationKey) -> Vec<u8> {
    let mut out = Writer::default();
    out.prefix(key.iid, &key.prefix).name(&key.site).identity(key.holder);
    out.0
}

fn read_registration_key(bytes: &[u8]) -> Option<RegistrationKey> {
    let mut reader = Reader(bytes);
    let (iid, prefix) = reader.prefix()?;
    let (site, holder) = (reader.name()?, reader.identity()?);
    reader.end(RegistrationKey { iid, prefix, site, holder })
}

pub(super) fn registration(saved: &SavedRegistration) -> Vec<u8> {
    let mut out = Writer::value();
    out.bytes(&saved.ttl.to_be_bytes()).byte(saved.act as u8).bytes(&saved.version.to_be_bytes());
    out.byte(saved.flags);
    for locator in saved.locators.iter() {
        let bits = u8::from(locator.local) << 1 | u8::from(locator.reachable);
        out.bytes(&[locator.priority, locator.weight, locator.multicast_priority, locator.multicast_weight]);
        out.byte(bits).address(locator.address);
    }
    out.0
}

pub(super) fn read_registration(key: &[u8], value: &[u8]) -> Option<SavedRegistration> {
    let key = read_registration_key(key)?;
    let mut reader = Reader::value(value)?;
    let (ttl, act, version, flags) = (reader.u32()?, act(reader.byte()?)?, reader.u16()?, reader.byte()?);
    let mut locators = Vec::new();
    while !reader.0.is_empty() {
        let [priority, weight, multicast_priority, multicast_weight, bits] = reader.array()?;
        let (local, reachable) = (bits & 2 != 0, bits & 1 != 0);
        let address = reader.address()?;
        locators.push(RegisteredLocator {
            priority,
            address,
            weight,
            multicast_priority,
            multicast_weight,
            local,
            reachable,
        });
    }
    Some(SavedRegistration { key, ttl, act, version, flags, locators: locators.into() })
}

fn act(number: u8) -> Option<Act> {
    let all = [
        Act::NoAction,
        Act::NativelyForward,
        Act::SendMapRequest,
        Act::Drop,
        Act::DropPolicyDenied,
        Act::DropAuthFailure,
    ];
    all.into_iter().find(|act| *act as u8 == number)
}

pub(super) fn xtr_key(site: &str, identity: Identity) -> Vec<u8> {
    let mut out = Writer::default();
    out.name(site).identity(identity);
    out.0
}

pub(super) fn xtr(saved: &SavedXtr) -> Vec<u8> {
    let mut out = Writer::value();
    out.u64(saved.site_id).address(saved.source.ip()).bytes(&saved.source.port().to_be_bytes());
    out.optional(saved.local).byte(saved.key_id).byte(saved.algorithm).byte(saved.identified.into());
    for (key_id, nonce) in &saved.marks {
        out.byte(*key_id).u64(*nonce);
    }
    out.0
}

pub(super) fn read_xtr(key: &[u8], value: &[u8]) -> Option<SavedXtr> {
    let mut named = Reader(key);
    let (site, identity) = (named.name()?, named.identity()?);
    let mut reader = Reader::value(value)?;
    let site_id = reader.u64()?;
    let source = SocketAddr::new(reader.address()?, reader.u16()?);
    let (local, key_id, algorithm) = (reader.optional()?, reader.byte()?, reader.byte()?);
    let identified = reader.byte()? != 0;
    let mut marks = Vec::new();
    while !reader.0.is_empty() {
        marks.push((reader.byte()?, reader.u64()?));
    }
    named.end(SavedXtr { site, identity, site_id, source, local, key_id, algorithm, identified, marks })
}

pub(super) fn subscription_key(key: &SubscriptionKey) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes(&key.xtr_id).prefix(key.iid, &key.prefix).bytes(key.hash.as_ref().map_or(&[], |hash| hash));
    out.0
}

pub(super) fn subscription(saved: &SavedSubscription) -> Vec<u8> {
    let mut out = Writer(vec![WITH_QUESTION]);
    out.address(saved.answered.addr()).byte(saved.answered.len()).name(&saved.site).u64(saved.site_id);
    out.optional(saved.local).u64(saved.seen).u64(saved.reserved);
    out.question(saved.question.as_ref());
    for rloc in saved.rlocs.iter() {
        out.address(*rloc);
    }
    out.0
}

pub(super) fn read_subscription(key: &[u8], value: &[u8]) -> Option<SavedSubscription> {
    let mut named = Reader(key);
    let xtr_id = named.array()?;
    let (iid, prefix) = named.prefix()?;
    let hash = if named.0.is_empty() { None } else { Some(named.array()?) };
    let key = named.end(SubscriptionKey { xtr_id, iid, prefix, hash })?;
    // Until there was ACX they were of the common version.
    let (asks, mut reader) = match value.split_first()? {
        (&WITH_QUESTION, rest) => (true, Reader(rest)),
        _ => (false, Reader::value(value)?),
    };
    let answered = Prefix::new(reader.address()?, reader.byte()?).ok()?;
    let (site, site_id, local) = (reader.name()?, reader.u64()?, reader.optional()?);
    let (seen, reserved) = (reader.u64()?, reader.u64()?);
    let question = if asks { reader.question()? } else { None };
    let mut rlocs = Vec::new();
    while !reader.0.is_empty() {
        rlocs.push(reader.address()?);
    }
    let same = answered.family() == prefix.family();
    same.then(|| SavedSubscription {
        key,
        answered,
        site,
        site_id,
        rlocs: rlocs.into(),
        local,
        seen,
        reserved,
        question,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Question;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from),]
    }

    fn prefix() -> impl Strategy<Value = (Iid, Prefix)> {
        (0u32..0xff_ffff, address(), 0u8..=128).prop_map(|(iid, address, len)| {
            let len = len.min(Family::of(address).bits());
            (Iid::new(iid).unwrap(), Prefix::masked(address, len).unwrap())
        })
    }

    fn identity() -> impl Strategy<Value = Identity> {
        prop_oneof![
            any::<[u8; 16]>().prop_map(Identity::Id),
            address().prop_map(Identity::Address),
            Just(Identity::Config),
        ]
    }

    fn locator() -> impl Strategy<Value = RegisteredLocator> {
        (any::<[u8; 4]>(), address(), any::<bool>(), any::<bool>()).prop_map(
            |([priority, weight, multicast_priority, multicast_weight], address, local, reachable)| {
                RegisteredLocator {
                    priority,
                    address,
                    weight,
                    multicast_priority,
                    multicast_weight,
                    local,
                    reachable,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            (iid, prefix) in prefix(),
            holder in identity(),
            name in "[a-z.\u{e4}-]{0,30}",
            locators in prop::collection::vec(locator(), 0..5),
            rlocs in prop::collection::vec(address(), 0..4),
            marks in prop::collection::vec((any::<u8>(), any::<u64>()), 0..4),
            local in prop::option::of(address()),
            numbers in any::<(u32, u64, u64, u16, u8, bool)>(),
            xtr_id in any::<[u8; 16]>(),
        ) {
            let site: Arc<str> = name.as_str().into();
            let key = RegistrationKey { iid, prefix, site: site.clone(), holder };
            let saved = SavedRegistration {
                key, ttl: numbers.0, act: act(numbers.4 % 6).unwrap(), version: numbers.3, flags: numbers.4,
                locators: locators.into(),
            };
            let (key, value) = (registration_key(&saved.key), registration(&saved));
            prop_assert_eq!(read_registration(&key, &value), Some(saved));
            let saved = SavedXtr {
                site: site.clone(), identity: holder, site_id: numbers.1,
                source: SocketAddr::new(prefix.addr(), numbers.3), local, key_id: numbers.4,
                algorithm: numbers.4 ^ 1, identified: numbers.5, marks,
            };
            prop_assert_eq!(read_xtr(&xtr_key(&site, holder), &xtr(&saved)), Some(saved));
            let saved = SavedSubscription {
                key: SubscriptionKey { xtr_id, iid, prefix, hash: numbers.5.then_some([numbers.4; 8]) },
                answered: prefix, site, site_id: numbers.1,
                rlocs: rlocs.into(), local, seen: numbers.1, reserved: numbers.2,
                question: numbers.5.then(|| Question { limit: Some(numbers.4), ..Question::default() }),
            };
            let (key, value) = (subscription_key(&saved.key), subscription(&saved));
            prop_assert_eq!(read_subscription(&key, &value), Some(saved));
        }

        #[test]
        fn noise_is_left_out(key in prop::collection::vec(any::<u8>(), 0..80), value in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut versioned = vec![VERSION];
            versioned.extend(&value);
            for value in [&value, &versioned] {
                let _ = read_registration(&key, value);
                let _ = read_xtr(&key, value);
                let _ = read_subscription(&key, value);
            }
            prop_assert_eq!(read_xtr(&key, &[VERSION + 1]), None);
        }
    }
}
