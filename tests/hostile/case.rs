//! One hostile control message: whom it goes to, and what may follow from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::world::{GATEWAY, PEER, SERVER, World, at, counters, ip};

/// Who receives the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The gateway: ITR and ETR.
    Xtr,
    /// The Map-Server and Map-Resolver.
    Server,
}

/// Message types of answers.
pub const REPLY: u8 = 2;
pub const NOTIFY: u8 = 4;
pub const ECM: u8 = 8;

type Make = Box<dyn Fn(&mut World) -> Vec<u8>>;
type Then = Box<dyn Fn(&mut World) -> bool>;

/// A message and its consequences. Without further words it is sent by the peer at site B to the gateway, and must
/// cost nothing but its counters.
pub struct Case {
    pub row: u8,
    what: &'static str,
    to: To,
    from: SocketAddr,
    make: Make,
    counts: &'static [&'static str],
    answers: Vec<(u8, SocketAddr)>,
    then: Vec<(&'static str, Then)>,
}

/// A message to the gateway.
pub fn to_xtr(row: u8, what: &'static str, make: impl Fn(&mut World) -> Vec<u8> + 'static) -> Case {
    Case {
        row,
        what,
        to: To::Xtr,
        from: at(PEER),
        make: Box::new(make),
        counts: &[],
        answers: Vec::new(),
        then: Vec::new(),
    }
}

/// A message to the Map-Server.
pub fn to_server(row: u8, what: &'static str, make: impl Fn(&mut World) -> Vec<u8> + 'static) -> Case {
    Case { to: To::Server, ..to_xtr(row, what, make) }
}

impl Case {
    pub fn from(self, source: &str) -> Case {
        Case { from: at(source), ..self }
    }

    /// The counters that rise: by one, or by as often as they are named. No other may.
    pub fn counts(self, counts: &'static [&'static str]) -> Case {
        Case { counts, ..self }
    }

    /// What is sent, in order: the message type and to whom.
    pub fn answers(self, answers: &[(u8, &str)]) -> Case {
        Case { answers: answers.iter().map(|(kind, to)| (*kind, at(to))).collect(), ..self }
    }

    /// What must hold afterwards.
    pub fn then(mut self, what: &'static str, holds: impl Fn(&mut World) -> bool + 'static) -> Case {
        self.then.push((what, Box::new(holds)));
        self
    }

    /// Runs the case in a world of its own; a sentence about what is not as the row says.
    pub fn run(&self) -> Result<(), String> {
        let mut world = World::new();
        let message = (self.make)(&mut world);
        world.xtr.take_datagrams();
        world.server.take_datagrams();
        let (now, to) = (world.now, self.to);
        let (plane, address) = match to {
            To::Xtr => (&mut world.xtr, GATEWAY),
            To::Server => (&mut world.server, SERVER),
        };
        let before = counters(plane);
        plane.datagram(&message, self.from, ip(address), now);
        let sent: Vec<_> = plane
            .take_datagrams()
            .iter()
            .map(|datagram| (datagram.bytes.first().map_or(0, |first| first >> 4), datagram.to))
            .collect();
        let risen = risen(&before, &counters(plane));
        let complain = |of: String| Err(format!("row {}, {}: {of}", self.row, self.what));
        let mut wanted: BTreeMap<String, u64> = BTreeMap::from([("dispatch.received".to_owned(), 1)]);
        for name in self.counts {
            *wanted.entry((*name).to_owned()).or_default() += 1;
        }
        if risen != wanted {
            return complain(format!("counted {risen:?} in place of {wanted:?}"));
        }
        if sent != self.answers {
            return complain(format!("sent {sent:?} in place of {:?}", self.answers));
        }
        for (what, holds) in &self.then {
            if !holds(&mut world) {
                return complain(format!("it does not hold that {what}"));
            }
        }
        Ok(())
    }
}

/// The counters that rose, and by how much.
pub fn risen(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let rise = |(name, count): (&String, &u64)| {
        let rise = count - before.get(name).copied().unwrap_or(0);
        (rise > 0).then(|| (name.clone(), rise))
    };
    after.iter().filter_map(rise).collect()
}
