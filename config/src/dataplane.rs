//! `[dataplane]`: the workers, their sizes and the header rules that hold for every group.

use toml::de::DeValue;

use crate::field::{Field, Kind, Need, Section};
use crate::finding::Located;
use crate::tree::{FromToml, Listed, Node};

/// The table `[dataplane]`. Everything but the header rules is fixed while the process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataplane {
    /// The CPU cores that workers are pinned to: one worker per core, worker `i` on `cores[i]`.
    pub cores: Vec<usize>,
    /// What a worker does when its queues are empty.
    pub polling: Polling,
    /// How many EID entries the table is built for.
    pub max_eids: usize,
    /// How many locator sets the table is built for.
    pub max_sets: usize,
    /// Slots of a receive ring, per port and worker; a power of two.
    pub rx_ring: u32,
    /// Slots of a transmit ring, per port and worker; a power of two.
    pub tx_ring: u32,
    /// UMEM frames per port and worker.
    pub frames: u32,
    /// Packets that a worker holds at most while their EIDs are being resolved.
    pub hold_packets: u32,
    /// How long a held packet waits for its answer, in milliseconds.
    pub hold_ms: u32,
    /// Whether the MSS option of TCP SYNs is lowered to what the underlay carries.
    pub mss_clamp: bool,
    /// Whether outer IPv4 headers have DF set (RFC 9300 section 7.2).
    pub outer_df: bool,
    /// What becomes of the outer DSCP on decapsulation (RFC 9300 section 5.3).
    pub dscp_decap: DscpDecap,
    /// One fixed outer UDP source port in place of the flow's hash; for a NAT in the way.
    pub udp_source_port: Option<u16>,
    /// Whether a port whose driver has no native XDP may be served in generic mode.
    pub allow_generic: bool,
}

/// What a worker does when its queues are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polling {
    /// Sleep on the sockets after `spin_turns` empty turns, `sleep_ms` at most.
    Adaptive {
        /// Empty turns before the worker sleeps.
        spin_turns: u32,
        /// The longest sleep, in milliseconds; a packet ends it at once.
        sleep_ms: u32,
    },
    /// Never sleep: lowest latency, one whole core per worker.
    Spin,
}

/// What becomes of the outer DSCP on decapsulation (RFC 2983).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DscpDecap {
    /// The outer DSCP is copied to the inner header.
    Uniform,
    /// The inner DSCP stays as the sender set it.
    Pipe,
}

impl Dataplane {
    /// [`Dataplane::cores`] when the file does not say.
    pub const DEFAULT_CORES: [usize; 1] = [0];
    /// `spin_turns` of adaptive polling when the file does not say.
    pub const DEFAULT_SPIN_TURNS: u32 = 0;
    /// `sleep_ms` of adaptive polling when the file does not say.
    pub const DEFAULT_SLEEP_MS: u32 = 10;
}

impl Default for Dataplane {
    fn default() -> Self {
        Dataplane {
            cores: Self::DEFAULT_CORES.to_vec(),
            polling: Polling::default(),
            max_eids: 1_000_000,
            max_sets: 65_536,
            rx_ring: 2048,
            tx_ring: 2048,
            frames: 8192,
            hold_packets: 4096,
            hold_ms: 2000,
            mss_clamp: true,
            outer_df: true,
            dscp_decap: DscpDecap::Uniform,
            udp_source_port: None,
            allow_generic: true,
        }
    }
}

impl Default for Polling {
    fn default() -> Self {
        Polling::Adaptive { spin_turns: Dataplane::DEFAULT_SPIN_TURNS, sleep_ms: Dataplane::DEFAULT_SLEEP_MS }
    }
}

static CORE: Kind = Kind::Integer { min: 0, max: 1023, why: "it is the number of a CPU as `lscpu` shows it" };

pub(crate) static SECTION: Section = Section {
    name: "[dataplane]",
    meaning: "the workers, their sizes and the header rules",
    fields: &[
        Field {
            key: "cores",
            kind: Kind::List { of: &CORE, min: 1, max: 64 },
            need: Need::Default("[0]"),
            meaning: "the cores that workers are pinned to, one worker each",
            example: "[1]",
        },
        Field {
            key: "polling",
            kind: Kind::Word { words: &["adaptive", "spin"], later: &[] },
            need: Need::Default("\"adaptive\""),
            meaning: "what a worker does when its queues are empty",
            example: "\"adaptive\"",
        },
        Field {
            key: "spin_turns",
            kind: Kind::Integer {
                min: 0,
                max: 1_000_000,
                why: "more turns than this never end on an idle core",
            },
            need: Need::Default("0"),
            meaning: "empty turns before an adaptive worker sleeps",
            example: "0",
        },
        Field {
            key: "sleep_ms",
            kind: Kind::Integer {
                min: 1,
                max: 1000,
                why: "a sleeping worker must still look after its timers",
            },
            need: Need::Default("10"),
            meaning: "the longest sleep of an adaptive worker in milliseconds",
            example: "10",
        },
        Field {
            key: "max_eids",
            kind: Kind::Integer {
                min: 64,
                max: 33_554_432,
                why: "the table is made at start, about 100 bytes for each",
            },
            need: Need::Default("1000000"),
            meaning: "how many EID entries the table is built for",
            example: "1_000_000",
        },
        Field {
            key: "max_sets",
            kind: Kind::Integer {
                min: 16,
                max: 1_048_576,
                why: "the table is made at start, so its size takes memory at once",
            },
            need: Need::Default("65536"),
            meaning: "how many locator sets the table is built for",
            example: "65_536",
        },
        Field {
            key: "rx_ring",
            kind: Kind::Integer {
                min: 64,
                max: 32_768,
                why: "a deeper ring turns overload into delay, a shallower one into loss",
            },
            need: Need::Default("2048"),
            meaning: "slots of a receive ring; a power of two",
            example: "2048",
        },
        Field {
            key: "tx_ring",
            kind: Kind::Integer {
                min: 64,
                max: 32_768,
                why: "a deeper ring turns overload into delay, a shallower one into loss",
            },
            need: Need::Default("2048"),
            meaning: "slots of a transmit ring; a power of two",
            example: "2048",
        },
        Field {
            key: "frames",
            kind: Kind::Integer {
                min: 256,
                max: 1_048_576,
                why: "each frame takes 2 or 4 KiB per port and worker",
            },
            need: Need::Default("8192"),
            meaning: "UMEM frames per port and worker",
            example: "8192",
        },
        Field {
            key: "hold_packets",
            kind: Kind::Integer { min: 0, max: 1_048_576, why: "each takes a frame of memory per worker" },
            need: Need::Default("4096"),
            meaning: "packets that a worker holds at most while their EIDs are being resolved",
            example: "4096",
        },
        Field {
            key: "hold_ms",
            kind: Kind::Integer {
                min: 100,
                max: 60_000,
                why: "sooner no mapping system answers, and later every host has given up",
            },
            need: Need::Default("2000"),
            meaning: "how long a held packet waits for its answer in milliseconds",
            example: "2000",
        },
        Field {
            key: "mss_clamp",
            kind: Kind::Bool,
            need: Need::Default("true"),
            meaning: "whether the MSS of TCP SYNs is lowered to what the underlay carries",
            example: "true",
        },
        Field {
            key: "outer_df",
            kind: Kind::Bool,
            need: Need::Default("true"),
            meaning: "whether outer IPv4 headers have DF set",
            example: "true",
        },
        Field {
            key: "dscp_decap",
            kind: Kind::Word { words: &["uniform", "pipe"], later: &[] },
            need: Need::Default("\"uniform\""),
            meaning: "whether the outer DSCP is copied inwards (uniform) or left (pipe)",
            example: "\"uniform\"",
        },
        Field {
            key: "udp_source_port",
            kind: Kind::Integer { min: 1024, max: 65535, why: "lower ports belong to services" },
            need: Need::Optional("the flow's hash"),
            meaning: "one fixed outer UDP source port; the flow's hash where absent",
            example: "61000",
        },
        Field {
            key: "allow_generic",
            kind: Kind::Bool,
            need: Need::Default("true"),
            meaning: "whether a port without native XDP may be served in generic mode",
            example: "true",
        },
    ],
    reserved: &[("crypto", "encryption"), ("flows", "pinned flows")],
};

/// `[dataplane]` as far as it could be read.
pub(crate) struct Draft {
    pub cores: Listed<usize>,
    pub polling: Option<Located<Word>>,
    pub spin_turns: Option<Located<u32>>,
    pub sleep_ms: Option<Located<u32>>,
    pub max_eids: Option<Located<usize>>,
    pub max_sets: Option<Located<usize>>,
    pub rx_ring: Option<Located<u32>>,
    pub tx_ring: Option<Located<u32>>,
    pub frames: Option<Located<u32>>,
    pub hold_packets: Option<Located<u32>>,
    pub hold_ms: Option<Located<u32>>,
    pub mss_clamp: Option<Located<bool>>,
    pub outer_df: Option<Located<bool>>,
    pub dscp_decap: Option<Located<DscpDecap>>,
    pub udp_source_port: Option<Located<Option<u16>>>,
    pub allow_generic: Option<Located<bool>>,
}

/// The word after `polling`.
#[derive(Clone, Copy)]
pub(crate) enum Word {
    Adaptive,
    Spin,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        let default = Dataplane::default();
        Draft {
            cores: node.values("cores"),
            polling: node.get("polling").or(Word::Adaptive),
            spin_turns: node.get("spin_turns").or(Dataplane::DEFAULT_SPIN_TURNS),
            sleep_ms: node.get("sleep_ms").or(Dataplane::DEFAULT_SLEEP_MS),
            max_eids: node.get("max_eids").or(default.max_eids),
            max_sets: node.get("max_sets").or(default.max_sets),
            rx_ring: node.get("rx_ring").or(default.rx_ring),
            tx_ring: node.get("tx_ring").or(default.tx_ring),
            frames: node.get("frames").or(default.frames),
            hold_packets: node.get("hold_packets").or(default.hold_packets),
            hold_ms: node.get("hold_ms").or(default.hold_ms),
            mss_clamp: node.get("mss_clamp").or(default.mss_clamp),
            outer_df: node.get("outer_df").or(default.outer_df),
            dscp_decap: node.get("dscp_decap").or(default.dscp_decap),
            udp_source_port: node.get("udp_source_port").optional(),
            allow_generic: node.get("allow_generic").or(default.allow_generic),
        }
    }

    /// How many workers there will be, if that can be told.
    pub fn workers(&self) -> Option<usize> {
        let given = self.cores.whole.then_some(self.cores.entries.len())?;
        Some(if given == 0 { Dataplane::DEFAULT_CORES.len() } else { given })
    }

    pub fn finish(self) -> Option<Dataplane> {
        let cores: Vec<usize> = self.cores.into_values()?;
        let (spin_turns, sleep_ms) = (self.spin_turns?.value, self.sleep_ms?.value);
        Some(Dataplane {
            cores: if cores.is_empty() { Dataplane::DEFAULT_CORES.to_vec() } else { cores },
            polling: match self.polling?.value {
                Word::Adaptive => Polling::Adaptive { spin_turns, sleep_ms },
                Word::Spin => Polling::Spin,
            },
            max_eids: self.max_eids?.value,
            max_sets: self.max_sets?.value,
            rx_ring: self.rx_ring?.value,
            tx_ring: self.tx_ring?.value,
            frames: self.frames?.value,
            hold_packets: self.hold_packets?.value,
            hold_ms: self.hold_ms?.value,
            mss_clamp: self.mss_clamp?.value,
            outer_df: self.outer_df?.value,
            dscp_decap: self.dscp_decap?.value,
            udp_source_port: self.udp_source_port?.value,
            allow_generic: self.allow_generic?.value,
        })
    }
}

impl FromToml for Word {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value.as_str()? {
            "adaptive" => Some(Word::Adaptive),
            "spin" => Some(Word::Spin),
            _ => None,
        }
    }
}

impl FromToml for DscpDecap {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value.as_str()? {
            "uniform" => Some(DscpDecap::Uniform),
            "pipe" => Some(DscpDecap::Pipe),
            _ => None,
        }
    }
}
