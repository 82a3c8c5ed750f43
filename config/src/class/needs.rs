//! What is needed of a locator, in `require` and in each entry of `prefer`.

use std::collections::BTreeSet;

use sterna_wire::lisp::control::acx::{AgentState, Hardware, LatencyClass, Need, Security};
use toml::de::DeValue;

use crate::finding::{At, Located};
use crate::tree::{FromToml, Listed, Node, Permille};

/// The needs of one table as far as they could be read.
pub(crate) struct Draft {
    hardware: Listed<String>,
    max_latency: Option<Located<Option<LatencyClass>>>,
    max_latency_us: Option<Located<Option<u32>>>,
    states: Listed<AgentState>,
    max_load: Option<Located<Option<Permille>>>,
    min_security: Option<Located<Option<u8>>>,
    security: Listed<Flag>,
    domain: Option<Located<Option<u16>>>,
    /// The kinds of need that are named, by a word for each.
    pub kinds: BTreeSet<&'static str>,
    /// Where the table stands.
    pub at: At,
}

/// Each key with the kind of need that it is part of.
const KINDS: [(&str, &str); 8] = [
    ("hardware", "hardware"),
    ("max_latency", "latency"),
    ("max_latency_us", "latency"),
    ("states", "state"),
    ("max_load", "load"),
    ("min_security", "security"),
    ("security", "security"),
    ("domain", "security"),
];

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        let given = node.given();
        let kinds = KINDS.iter().filter(|(key, _)| given.contains_key(key)).map(|(_, kind)| *kind);
        Draft {
            hardware: node.values("hardware"),
            max_latency: node.get("max_latency").optional(),
            max_latency_us: node.get("max_latency_us").optional(),
            states: node.values("states"),
            max_load: node.get("max_load").optional(),
            min_security: node.get("min_security").optional(),
            security: node.values("security"),
            domain: node.get("domain").optional(),
            kinds: kinds.collect(),
            at: node.at.clone(),
        }
    }

    /// The needs, one per kind that is named; nothing when a value was bad.
    pub fn needs(&self) -> Option<Vec<Need>> {
        let hardware = values(&self.hardware)?;
        let hardware = Hardware::from_names(hardware.iter().map(|name| name.as_str())).ok()?;
        let (class, max_us) = (self.max_latency.as_ref()?.value, self.max_latency_us.as_ref()?.value);
        let states = values(&self.states)?.iter().fold(0, |bits, state| bits | state.bit());
        let max_load = self.max_load.as_ref()?.value;
        let (level, domain) = (self.min_security.as_ref()?.value, self.domain.as_ref()?.value);
        let flags = values(&self.security)?.iter().fold(0, |bits, Flag(bit)| bits | bit);
        let need = |kind: &str| match kind {
            "hardware" => Some(Need::Hardware(hardware.clone())),
            "latency" => Some(Need::Latency { class, max_us: max_us.unwrap_or(0) }),
            "state" => Some(Need::State(states)),
            "load" => max_load.map(|Permille(most)| Need::Load(most)),
            _ => {
                let (level, domain) = (level.unwrap_or(0), domain.unwrap_or(0));
                Some(Need::Security { level, flags, domain })
            }
        };
        Some(self.kinds.iter().filter_map(|kind| need(kind)).collect())
    }
}

fn values<T>(listed: &Listed<T>) -> Option<Vec<&T>> {
    listed.whole.then(|| listed.entries.iter().map(|entry| &entry.value).collect())
}

/// A bit of [`Security::flags`].
pub(super) struct Flag(u8);

impl FromToml for Flag {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Security::flag(value.as_str()?).map(Flag)
    }
}

impl FromToml for LatencyClass {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        LatencyClass::from_name(value.as_str()?)
    }
}

impl FromToml for AgentState {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        AgentState::from_name(value.as_str()?)
    }
}
