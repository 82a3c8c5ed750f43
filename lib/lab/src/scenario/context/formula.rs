//! The formula of design section 9, written down here once more from its text: what the Map-Server must come to.
//!
//! > Score: start 500; latency low +150, medium 0, high -200, unknown -50; load -(permille/4), unknown -125; state
//! > active or idle 0, busy -100, migrating -200, draining -400, unknown -50; each soft constraint met +10 x weight,
//! > unmet -10 x weight; clamp to 0..1000 at the end. failed and suspended are excluded for every requester.
//! > Order: eff = 200 x base priority + (1000 - score); sort by (eff, RLOC bytes); walk down and give the same priority
//! > to all within 50 of the first of their group.
//!
//! In words of its own, so that an error in the product is not repeated here.

use std::net::Ipv4Addr;

/// What is said of a locator; none is "nobody said".
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// `low`, `medium`, `high`.
    pub latency: Option<&'static str>,
    /// Thousandths.
    pub load: Option<u16>,
    /// As in the API.
    pub state: Option<&'static str>,
    /// Names of hardware.
    pub hardware: Option<&'static [&'static str]>,
    /// Level.
    pub security: Option<u8>,
}

/// A locator of a case.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The last number of its address.
    pub last: u8,
    /// As it is registered.
    pub priority: u8,
    /// What is said of it.
    pub said: Said,
}

/// What is needed.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    /// This hardware.
    Hardware(&'static [&'static str]),
    /// This latency or better.
    Latency(&'static str),
    /// This load or less, thousandths.
    Load(u16),
    /// This level or more.
    Security(u8),
    /// One of these states.
    State(&'static [&'static str]),
}

/// What is needed, and how much: none is a must.
pub type Wanted = (Wish, Option<u8>);

/// What must come back for one locator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its address.
    pub address: Ipv4Addr,
    /// The priority that follows.
    pub priority: u8,
    /// The score that it has.
    pub score: u16,
}

/// The address of a place.
pub fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 16, 0, last)
}

/// Some(true) met, Some(false) not, none: nobody said.
fn met(said: &Said, wish: Wish) -> Option<bool> {
    match wish {
        Wish::Hardware(names) => said.hardware.map(|here| names.iter().all(|name| here.contains(name))),
        Wish::Latency(worst) => {
            let place = |name| ["low", "medium", "high"].iter().position(|known| *known == name);
            said.latency.map(|here| place(here) <= place(worst))
        }
        Wish::Load(most) => said.load.map(|load| load <= most),
        Wish::Security(least) => said.security.map(|level| level >= least),
        Wish::State(allowed) => said.state.map(|state| allowed.contains(&state)),
    }
}

/// A hard wish that nobody said anything about: hardware and security must be known, the rest may pass.
fn excluded(said: &Said, wanted: &[Wanted]) -> bool {
    if matches!(said.state, Some("failed" | "suspended")) {
        return true;
    }
    wanted.iter().filter(|(_, weight)| weight.is_none()).any(|(wish, _)| match met(said, *wish) {
        Some(met) => !met,
        None => matches!(wish, Wish::Hardware(_) | Wish::Security(_)),
    })
}

fn score(said: &Said, wanted: &[Wanted]) -> u16 {
    let latency = match said.latency {
        Some("low") => 150,
        Some("medium") => 0,
        Some(_) => -200,
        None => -50,
    };
    let load = match said.load {
        Some(permille) => -(i32::from(permille) / 4),
        None => -125,
    };
    let state = match said.state {
        Some("active" | "idle") => 0,
        Some("busy") => -100,
        Some("migrating") => -200,
        Some("draining") => -400,
        _ => -50,
    };
    let mut sum = 500 + latency + load + state;
    for (wish, weight) in wanted {
        if let Some(weight) = weight {
            let points = 10 * i32::from(*weight);
            sum += if met(said, *wish) == Some(true) { points } else { -points };
        }
    }
    u16::try_from(sum.clamp(0, 1000)).unwrap_or(0)
}

/// What must come back, best first.
pub fn expected(places: &[Place], wanted: &[Wanted]) -> Vec<Expected> {
    let mut left: Vec<(i32, Ipv4Addr, u16)> = Vec::new();
    for place in places {
        if !excluded(&place.said, wanted) {
            let score = score(&place.said, wanted);
            let eff = 200 * i32::from(place.priority) + (1000 - i32::from(score));
            left.push((eff, address(place.last), score));
        }
    }
    left.sort_unstable();
    let mut out: Vec<Expected> = Vec::new();
    let mut group: Option<i32> = None;
    let mut priority = 0;
    for (eff, address, score) in left {
        match group {
            Some(first) if eff <= first + 50 => {}
            _ => {
                group = Some(eff);
                priority += 1;
            }
        }
        out.push(Expected { address, priority, score });
    }
    out
}
