//! What is said of an agent's host: latency, hardware, state, load, security.

use alloc::string::String;
use alloc::vec::Vec;

use super::AcxError;
use super::tlv::{Tlv, kind, put};

/// The longest hardware token in bytes, and the most of them.
const MAX_TAG_LEN: usize = 63;
const MAX_TAGS: usize = 16;
const UNKNOWN_LOAD: u16 = 0xffff;
const MAX_PERMILLE: u16 = 1000;

/// What is said of one EID or one of its locators. A field without a value is not said: unchanged in a delta, unknown
/// in a snapshot. Each value can also say "unknown".
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Attributes {
    /// How long processing takes.
    pub latency: Option<Latency>,
    /// What hardware there is.
    pub hardware: Option<Hardware>,
    /// What the agent is doing.
    pub state: Option<AgentState>,
    /// How busy it is.
    pub load: Option<Load>,
    /// How well it is protected.
    pub security: Option<Security>,
}

/// A processing latency, by class (Latency_SLA of the draft).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LatencyClass {
    /// The best.
    Low,
    /// In between.
    Medium,
    /// The worst.
    High,
}

/// A processing latency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Latency {
    /// Its class; none is unknown.
    pub class: Option<LatencyClass>,
    /// What is promised, in microseconds; 0 is nothing.
    pub sla_us: u32,
}

/// A token that names a piece of hardware: 1 to 63 of `a-z 0-9 . _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(String);

/// What hardware there is.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Hardware {
    /// The kinds, as bits: [`Hardware::NAMES`].
    pub kinds: u32,
    /// More precisely, at most 16, sorted and each once.
    tags: Vec<Tag>,
}

/// What an agent is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum AgentState {
    /// Nobody said so lately.
    Unknown = 0,
    /// At work.
    Active = 1,
    /// Ready.
    Idle = 2,
    /// Ready, but slow.
    Busy = 3,
    /// It takes nothing new, and is about to end.
    Draining = 4,
    /// It does not work now.
    Suspended = 5,
    /// It is moving.
    Migrating = 6,
    /// It does not work any more.
    Failed = 7,
}

/// How busy an agent's host is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Load {
    /// 0 to 1000 thousandths of what it can do; none is unknown.
    pub permille: Option<u16>,
    /// Requests that wait, at most 65,534; none is unknown.
    pub queue: Option<u16>,
}

/// How well an agent's host is protected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Security {
    /// Higher is stronger.
    pub level: u8,
    /// [`Security::CRYPTO`], [`Security::ATTESTED`], [`Security::TEE`].
    pub flags: u8,
    /// Whose rules hold there; 0 is nobody's.
    pub domain: u16,
}

impl LatencyClass {
    /// The class with this name.
    pub fn from_name(name: &str) -> Option<LatencyClass> {
        [LatencyClass::Low, LatencyClass::Medium, LatencyClass::High]
            .into_iter()
            .find(|class| class.name() == name)
    }

    /// Its name in files and answers.
    pub const fn name(self) -> &'static str {
        match self {
            LatencyClass::Low => "low",
            LatencyClass::Medium => "medium",
            LatencyClass::High => "high",
        }
    }

    pub(super) const fn number(class: Option<LatencyClass>) -> u8 {
        match class {
            None => 0,
            Some(LatencyClass::Low) => 1,
            Some(LatencyClass::Medium) => 2,
            Some(LatencyClass::High) => 3,
        }
    }

    pub(super) const fn from_number(number: u8) -> Option<Option<LatencyClass>> {
        match number {
            0 => Some(None),
            1 => Some(Some(LatencyClass::Low)),
            2 => Some(Some(LatencyClass::Medium)),
            3 => Some(Some(LatencyClass::High)),
            _ => None,
        }
    }
}

impl AgentState {
    /// All of them, by their numbers.
    pub const ALL: [AgentState; 8] = [
        AgentState::Unknown,
        AgentState::Active,
        AgentState::Idle,
        AgentState::Busy,
        AgentState::Draining,
        AgentState::Suspended,
        AgentState::Migrating,
        AgentState::Failed,
    ];

    /// Its name in files and answers.
    pub const fn name(self) -> &'static str {
        match self {
            AgentState::Unknown => "unknown",
            AgentState::Active => "active",
            AgentState::Idle => "idle",
            AgentState::Busy => "busy",
            AgentState::Draining => "draining",
            AgentState::Suspended => "suspended",
            AgentState::Migrating => "migrating",
            AgentState::Failed => "failed",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<AgentState> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Its bit in a constraint.
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }
}

impl Tag {
    /// A token; none when it is too long, empty, or has other characters.
    pub fn new(text: &str) -> Option<Tag> {
        let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let fits = (1..=MAX_TAG_LEN).contains(&text.len()) && text.bytes().all(known);
        fits.then(|| Tag(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Hardware {
    /// The names of the kinds by their bits.
    pub const NAMES: [(&'static str, u32); 8] = [
        ("gpu", 1),
        ("npu", 2),
        ("fpga", 4),
        ("tee", 8),
        ("rdma", 16),
        ("high-mem", 32),
        ("nvme", 64),
        ("video-codec", 128),
    ];

    /// These kinds and tokens; none when the tokens are more than 16.
    pub fn new(kinds: u32, mut tags: Vec<Tag>) -> Option<Hardware> {
        tags.sort();
        tags.dedup();
        (tags.len() <= MAX_TAGS).then_some(Hardware { kinds, tags })
    }

    /// Names of kinds, and tokens for whatever is no kind's name. The first that is neither is the error.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Hardware, &'a str> {
        let mut hardware = Hardware::default();
        for name in names {
            match Self::NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, bit)) => hardware.kinds |= bit,
                None => hardware.tags.push(Tag::new(name).ok_or(name)?),
            }
            if hardware.tags.len() > MAX_TAGS {
                return Err(name);
            }
        }
        hardware.tags.sort();
        hardware.tags.dedup();
        Ok(hardware)
    }

    /// The names of the kinds that are set, then the tokens.
    pub fn names(&self) -> impl Iterator<Item = &str> + '_ {
        let kinds = Self::NAMES.iter().filter(|(_, bit)| self.kinds & bit != 0).map(|(name, _)| *name);
        kinds.chain(self.tags.iter().map(Tag::as_str))
    }

    /// The tokens, sorted.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Whether all of `other` is here too.
    pub fn has(&self, other: &Hardware) -> bool {
        self.kinds & other.kinds == other.kinds && other.tags.iter().all(|tag| self.tags.contains(tag))
    }

    pub(super) fn read(tlv: &Tlv<'_>) -> Result<Hardware, AcxError> {
        let malformed = || tlv.malformed();
        let (kinds, rest) = tlv.value.split_first_chunk::<4>().ok_or_else(malformed)?;
        let (count, mut rest) = rest.split_first().ok_or_else(malformed)?;
        if usize::from(*count) > MAX_TAGS {
            return Err(malformed());
        }
        let mut tags = Vec::with_capacity((*count).into());
        for _ in 0..*count {
            let (len, behind) = rest.split_first().ok_or_else(malformed)?;
            let text = behind.get(..usize::from(*len)).ok_or_else(malformed)?;
            let text = core::str::from_utf8(text).map_err(|_| malformed())?;
            tags.push(Tag::new(text).ok_or_else(malformed)?);
            rest = &behind[usize::from(*len)..];
        }
        if !rest.is_empty() {
            return Err(malformed());
        }
        Hardware::new(u32::from_be_bytes(*kinds), tags).ok_or_else(malformed)
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let mut value = self.kinds.to_be_bytes().to_vec();
        value.push(self.tags.len() as u8);
        for tag in &self.tags {
            value.push(tag.0.len() as u8);
            value.extend(tag.0.as_bytes());
        }
        value
    }
}

impl Security {
    /// The underlay's packets are encrypted.
    pub const CRYPTO: u8 = 1;
    /// Somebody vouches for the host's software.
    pub const ATTESTED: u8 = 2;
    /// It runs in a trusted execution environment.
    pub const TEE: u8 = 4;
    /// The names of the flags in files and answers.
    pub const NAMES: [(&'static str, u8); 3] =
        [("crypto", Self::CRYPTO), ("attested", Self::ATTESTED), ("tee", Self::TEE)];

    /// The names of the flags that are set.
    pub fn names(flags: u8) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, bit)| flags & bit != 0).map(|(name, _)| name)
    }

    /// The flag with this name.
    pub fn flag(name: &str) -> Option<u8> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, bit)| bit)
    }
}

impl Attributes {
    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }

    /// What `over` says goes before what stands here.
    pub fn overlaid(&self, over: &Attributes) -> Attributes {
        Attributes {
            latency: over.latency.or(self.latency),
            hardware: over.hardware.as_ref().or(self.hardware.as_ref()).cloned(),
            state: over.state.or(self.state),
            load: over.load.or(self.load),
            security: over.security.or(self.security),
        }
    }

    /// What remains when nobody has said anything for too long: hardware and security; the rest is unknown.
    pub fn without_dynamic(&self) -> Attributes {
        Attributes { hardware: self.hardware.clone(), security: self.security, ..Attributes::default() }
    }

    /// What stands here and is not so in `before`: a delta from there to here. What is no longer said is unknown.
    pub fn since(&self, before: &Attributes) -> Attributes {
        fn changed<T: PartialEq + Clone>(now: &Option<T>, before: &Option<T>, unknown: T) -> Option<T> {
            (now != before).then(|| now.clone().unwrap_or(unknown))
        }
        Attributes {
            latency: changed(&self.latency, &before.latency, Latency::default()),
            hardware: changed(&self.hardware, &before.hardware, Hardware::default()),
            state: changed(&self.state, &before.state, AgentState::Unknown),
            load: changed(&self.load, &before.load, Load::default()),
            security: changed(&self.security, &before.security, Security::default()),
        }
    }

    /// Reads a value into its field; false when the field has one already, which then holds.
    pub(super) fn read(&mut self, tlv: &Tlv<'_>) -> Result<bool, AcxError> {
        match tlv.kind {
            kind::LATENCY => {
                let [class, _, _, _, a, b, c, d] = tlv.array()?;
                let class = LatencyClass::from_number(class).ok_or(tlv.malformed())?;
                Ok(first(&mut self.latency, Latency { class, sla_us: u32::from_be_bytes([a, b, c, d]) }))
            }
            kind::HARDWARE => Ok(first(&mut self.hardware, Hardware::read(tlv)?)),
            kind::STATE => {
                let [number, ..] = tlv.array::<4>()?;
                let state = AgentState::ALL.get(usize::from(number)).ok_or(tlv.malformed())?;
                Ok(first(&mut self.state, *state))
            }
            kind::LOAD => {
                let [a, b, c, d] = tlv.array()?;
                let permille = known(u16::from_be_bytes([a, b]));
                if permille.is_some_and(|permille| permille > MAX_PERMILLE) {
                    return Err(tlv.malformed());
                }
                Ok(first(&mut self.load, Load { permille, queue: known(u16::from_be_bytes([c, d])) }))
            }
            _ => {
                let [level, flags, a, b] = tlv.array()?;
                let domain = u16::from_be_bytes([a, b]);
                Ok(first(&mut self.security, Security { level, flags, domain }))
            }
        }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        if let Some(Latency { class, sla_us }) = self.latency {
            let [a, b, c, d] = sla_us.to_be_bytes();
            put(out, kind::LATENCY, 0, &[LatencyClass::number(class), 0, 0, 0, a, b, c, d]);
        }
        if let Some(hardware) = &self.hardware {
            put(out, kind::HARDWARE, 0, &hardware.value());
        }
        if let Some(state) = self.state {
            put(out, kind::STATE, 0, &[state as u8, 0, 0, 0]);
        }
        if let Some(Load { permille, queue }) = self.load {
            let ([a, b], [c, d]) = (unknown(permille), unknown(queue));
            put(out, kind::LOAD, 0, &[a, b, c, d]);
        }
        if let Some(Security { level, flags, domain }) = self.security {
            let [a, b] = domain.to_be_bytes();
            put(out, kind::SECURITY, 0, &[level, flags, a, b]);
        }
    }
}

/// Sets what is not set yet; false when it was.
pub(super) fn first<T>(field: &mut Option<T>, value: T) -> bool {
    let new = field.is_none();
    if new {
        *field = Some(value);
    }
    new
}

fn known(number: u16) -> Option<u16> {
    (number != UNKNOWN_LOAD).then_some(number)
}

fn unknown(number: Option<u16>) -> [u8; 2] {
    number.unwrap_or(UNKNOWN_LOAD).to_be_bytes()
}
