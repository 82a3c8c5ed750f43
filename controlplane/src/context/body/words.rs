//! The attributes that a body names, value by value.

use serde_json::Value;
use sterna_wire::lisp::control::acx::{
    AgentState, Attributes, Hardware, Latency, LatencyClass, Load, Security,
};

use super::fault::{Reader, kind};

/// A value that a body names, or takes back.
type Leaf<T> = Option<Option<T>>;

/// What a body says of a host or of one of its locators.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Words {
    latency: Leaf<()>,
    latency_class: Leaf<LatencyClass>,
    sla_us: Leaf<u32>,
    hardware: Leaf<Hardware>,
    state: Leaf<AgentState>,
    load: Leaf<u16>,
    queue: Leaf<u16>,
    security: Leaf<()>,
    level: Leaf<u8>,
    flags: Leaf<u8>,
    domain: Leaf<u16>,
}

/// The most names of hardware: the kinds and the tokens that one value on the wire holds.
const MAX_HARDWARE: usize = 24;
/// The states that an agent may report.
const STATES: [&str; 8] =
    ["unknown", "active", "idle", "busy", "draining", "suspended", "migrating", "failed"];

impl Words {
    pub(super) fn read(reader: &mut Reader, value: &Value) -> Words {
        let mut words = Words::default();
        reader.object(value, |reader, key, value| words.field(reader, key, value));
        words
    }

    /// Reads a field; false when there is none of this name.
    pub(super) fn field(&mut self, reader: &mut Reader, key: &str, value: &Value) -> bool {
        match key {
            "latency" => self.latency(reader, value),
            "hardware" => self.hardware = leaf(reader, value, hardware),
            "state" => self.state = leaf(reader, value, state),
            "load" => self.load = leaf(reader, value, Reader::permille),
            "queue" => self.queue = leaf(reader, value, |reader, value| number(reader, value, 0, 65_534)),
            "security" => self.security(reader, value),
            _ => return false,
        }
        true
    }

    fn latency(&mut self, reader: &mut Reader, value: &Value) {
        if reader.clears(value) {
            self.latency = Some(None);
            return;
        }
        self.latency = Some(Some(()));
        reader.object(value, |reader, key, value| {
            match key {
                "class" => self.latency_class = leaf(reader, value, class),
                "sla_us" => {
                    self.sla_us =
                        leaf(reader, value, |reader, value| number(reader, value, 1, u32::MAX.into()));
                }
                _ => return false,
            }
            true
        });
    }

    fn security(&mut self, reader: &mut Reader, value: &Value) {
        if reader.clears(value) {
            self.security = Some(None);
            return;
        }
        self.security = Some(Some(()));
        reader.object(value, |reader, key, value| {
            match key {
                "level" => self.level = leaf(reader, value, |reader, value| number(reader, value, 0, 255)),
                "flags" => self.flags = leaf(reader, value, flags),
                "domain" => {
                    self.domain = leaf(reader, value, |reader, value| number(reader, value, 0, 65_535));
                }
                _ => return false,
            }
            true
        });
    }

    /// Changes what was said.
    pub(super) fn apply(&self, said: &mut Attributes) {
        let mut latency = said.latency.filter(|_| self.latency != Some(None)).unwrap_or_default();
        set(&mut latency.class, &self.latency_class);
        if let Some(sla_us) = self.sla_us {
            latency.sla_us = sla_us.unwrap_or(0);
        }
        said.latency = (latency != Latency::default()).then_some(latency);
        set(&mut said.hardware, &self.hardware);
        set(&mut said.state, &self.state);
        // As on the wire, where a value can say that it is not known.
        said.hardware = said.hardware.take().filter(|hardware| *hardware != Hardware::default());
        said.state = said.state.filter(|state| *state != AgentState::Unknown);
        let mut load = said.load.unwrap_or_default();
        set(&mut load.permille, &self.load);
        set(&mut load.queue, &self.queue);
        said.load = (load != Load::default()).then_some(load);
        self.apply_security(said);
    }

    /// Level 0 without flags and domain says as much as nothing.
    fn apply_security(&self, said: &mut Attributes) {
        match self.security {
            None => {}
            Some(None) => said.security = None,
            Some(Some(())) => {
                let mut security = said.security.unwrap_or_default();
                let told = |leaf: Leaf<u8>| leaf.map(Option::unwrap_or_default);
                security.level = told(self.level).unwrap_or(security.level);
                security.flags = told(self.flags).unwrap_or(security.flags);
                security.domain = self.domain.map(Option::unwrap_or_default).unwrap_or(security.domain);
                said.security = (security != Security::default()).then_some(security);
            }
        }
    }
}

fn set<T: Clone>(value: &mut Option<T>, leaf: &Leaf<T>) {
    if let Some(told) = leaf {
        value.clone_from(told);
    }
}

fn leaf<T>(
    reader: &mut Reader,
    value: &Value,
    read: impl FnOnce(&mut Reader, &Value) -> Option<T>,
) -> Leaf<T> {
    if reader.clears(value) { Some(None) } else { read(reader, value).map(Some) }
}

fn number<T: TryFrom<u64>>(reader: &mut Reader, value: &Value, least: u64, most: u64) -> Option<T> {
    reader.integer(value, least..=most).and_then(|number| number.try_into().ok())
}

fn class(reader: &mut Reader, value: &Value) -> Option<LatencyClass> {
    reader.word(value, &["low", "medium", "high"]).and_then(LatencyClass::from_name)
}

fn state(reader: &mut Reader, value: &Value) -> Option<AgentState> {
    reader.word(value, &STATES).and_then(AgentState::from_name)
}

fn flags(reader: &mut Reader, value: &Value) -> Option<u8> {
    let names = Security::NAMES.map(|(name, _)| name);
    let bits = reader.list(value, Security::NAMES.len(), |reader, value| {
        let word = reader.word(value, &names)?;
        Security::flag(word)
    })?;
    Some(bits.into_iter().fold(0, |all, bit| all | bit))
}

fn hardware(reader: &mut Reader, value: &Value) -> Option<Hardware> {
    let names = reader.list(value, MAX_HARDWARE, |reader, value| {
        let name = value.as_str().filter(|name| Hardware::from_names([*name]).is_ok());
        if name.is_none() {
            let form = "1 to 63 of a to z, digits, `.`, `_` and `-`";
            reader.fault(format!("must be a name of hardware ({form}), not {}", kind(value)));
        }
        name.map(str::to_owned)
    })?;
    let hardware = Hardware::from_names(names.iter().map(String::as_str)).ok();
    if hardware.is_none() {
        reader.fault("has more than 16 names that are no known kinds".to_owned());
    }
    hardware
}
