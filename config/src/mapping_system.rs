//! `[mapping_system]`: whom an xTR asks, whom it registers with, and at what pace.

mod fields;

use std::net::IpAddr;

use crate::finding::Located;
use crate::key::{self, Key};
use crate::secret::Secrets;
use crate::tree::{Listed, Node};

pub(crate) use self::fields::SECTION;

/// The table `[mapping_system]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingSystem {
    /// The map-resolvers that Map-Requests are sent to; at least one.
    pub map_resolvers: Vec<IpAddr>,
    /// The map-servers that we register with; none for a site that only asks.
    pub map_servers: Vec<MapServerPeer>,
    /// The Site-ID of our registers (RFC 9301 section 5.6); the same at every gateway of a site.
    pub site_id: u64,
    /// Our xTR-ID; nothing where the gateway shall make one and keep it in its state directory.
    pub xtr_id: Option<[u8; 16]>,
    /// Whether we ask to be told of changes (RFC 9437).
    pub subscribe: bool,
    /// How often registrations are refreshed, in seconds.
    pub register_s: u32,
    /// How long others may keep our mappings, in minutes.
    pub mapping_ttl_min: u32,
    /// How long a mapping stays in use when nobody answers for it any more, in seconds.
    pub stale_max_s: u32,
    /// Map-Requests per second, all together.
    pub request_rate: u32,
    /// Map-Requests that may be sent at once.
    pub request_burst: u32,
    /// How often an idle remote RLOC is probed, in seconds.
    pub probe_s: u32,
    /// How often a remote RLOC is probed that gets packets and sends none, in milliseconds.
    pub fast_probe_ms: u32,
    /// Probes per second, all together.
    pub probe_rate: u32,
    /// After what silence an agent is asked whether it is still there, in seconds.
    pub agent_silent_s: u32,
    /// How long packets wait for an agent that said it will leave, in seconds.
    pub detach_hold_s: u32,
    /// How long packets for an agent that left are sent on, in seconds.
    pub relay_s: u32,
    /// Moves of an EID within [`MappingSystem::moves_within_s`] that are believed.
    pub moves_max: u32,
    /// The time in which moves are counted, and for which an EID that moved too often stays where it is, in seconds.
    pub moves_within_s: u32,
}

/// A map-server that we register with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapServerPeer {
    /// Its address.
    pub address: IpAddr,
    /// The keys that it may sign with; at least one.
    pub keys: Vec<Key>,
    /// Index in [`MapServerPeer::keys`] of the one that we sign with.
    pub send: usize,
    /// Whether it shall answer Map-Requests for us (RFC 9301 section 5.6, the P bit).
    pub proxy_reply: bool,
}

impl MapServerPeer {
    /// [`MapServerPeer::proxy_reply`] when the file does not say.
    pub const DEFAULT_PROXY_REPLY: bool = true;

    /// The key that we sign with.
    pub fn sending_key(&self) -> Option<&Key> {
        self.keys.get(self.send)
    }
}

impl Default for MappingSystem {
    /// Whom to ask is for the file to say: no map-resolver, no map-server.
    fn default() -> Self {
        MappingSystem {
            map_resolvers: Vec::new(),
            map_servers: Vec::new(),
            site_id: 0,
            xtr_id: None,
            subscribe: true,
            register_s: 60,
            mapping_ttl_min: 1440,
            stale_max_s: 86_400,
            request_rate: 1000,
            request_burst: 200,
            probe_s: 60,
            fast_probe_ms: 300,
            probe_rate: 1000,
            agent_silent_s: 60,
            detach_hold_s: 5,
            relay_s: 30,
            moves_max: 5,
            moves_within_s: 180,
        }
    }
}

/// `[mapping_system]` as far as it could be read.
pub(crate) struct Draft {
    pub map_resolvers: Listed<IpAddr>,
    pub map_servers: Listed<PeerDraft>,
    site_id: Option<Located<u64>>,
    xtr_id: Option<Located<Option<[u8; 16]>>>,
    subscribe: Option<Located<bool>>,
    register_s: Option<Located<u32>>,
    mapping_ttl_min: Option<Located<u32>>,
    stale_max_s: Option<Located<u32>>,
    request_rate: Option<Located<u32>>,
    request_burst: Option<Located<u32>>,
    probe_s: Option<Located<u32>>,
    fast_probe_ms: Option<Located<u32>>,
    probe_rate: Option<Located<u32>>,
    agent_silent_s: Option<Located<u32>>,
    detach_hold_s: Option<Located<u32>>,
    relay_s: Option<Located<u32>>,
    moves_max: Option<Located<u32>>,
    moves_within_s: Option<Located<u32>>,
}

/// One of `map_servers` as far as it could be read.
pub(crate) struct PeerDraft {
    pub address: Option<Located<IpAddr>>,
    pub keys: Listed<key::Draft>,
    pub proxy_reply: Option<Located<bool>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        let default = MappingSystem::default();
        Draft {
            map_resolvers: node.values("map_resolvers"),
            map_servers: node.tables("map_servers", &fields::MAP_SERVER, PeerDraft::read),
            site_id: node.get("site_id").or(default.site_id),
            xtr_id: node.get("xtr_id").optional(),
            subscribe: node.get("subscribe").or(default.subscribe),
            register_s: node.get("register_s").or(default.register_s),
            mapping_ttl_min: node.get("mapping_ttl_min").or(default.mapping_ttl_min),
            stale_max_s: node.get("stale_max_s").or(default.stale_max_s),
            request_rate: node.get("request_rate").or(default.request_rate),
            request_burst: node.get("request_burst").or(default.request_burst),
            probe_s: node.get("probe_s").or(default.probe_s),
            fast_probe_ms: node.get("fast_probe_ms").or(default.fast_probe_ms),
            probe_rate: node.get("probe_rate").or(default.probe_rate),
            agent_silent_s: node.get("agent_silent_s").or(default.agent_silent_s),
            detach_hold_s: node.get("detach_hold_s").or(default.detach_hold_s),
            relay_s: node.get("relay_s").or(default.relay_s),
            moves_max: node.get("moves_max").or(default.moves_max),
            moves_within_s: node.get("moves_within_s").or(default.moves_within_s),
        }
    }

    pub fn finish(self, secrets: &Secrets) -> Option<MappingSystem> {
        let peers = self.map_servers.into_values()?.into_iter().map(|peer| peer.finish(secrets));
        Some(MappingSystem {
            map_resolvers: self.map_resolvers.into_values()?,
            map_servers: peers.collect::<Option<_>>()?,
            site_id: self.site_id?.value,
            xtr_id: self.xtr_id?.value,
            subscribe: self.subscribe?.value,
            register_s: self.register_s?.value,
            mapping_ttl_min: self.mapping_ttl_min?.value,
            stale_max_s: self.stale_max_s?.value,
            request_rate: self.request_rate?.value,
            request_burst: self.request_burst?.value,
            probe_s: self.probe_s?.value,
            fast_probe_ms: self.fast_probe_ms?.value,
            probe_rate: self.probe_rate?.value,
            agent_silent_s: self.agent_silent_s?.value,
            detach_hold_s: self.detach_hold_s?.value,
            relay_s: self.relay_s?.value,
            moves_max: self.moves_max?.value,
            moves_within_s: self.moves_within_s?.value,
        })
    }
}

impl PeerDraft {
    fn read(node: &Node<'_, '_>) -> PeerDraft {
        PeerDraft {
            address: node.get("address").required(),
            keys: node.tables("keys", &key::SIGNING, key::Draft::read_signing),
            proxy_reply: node.get("proxy_reply").or(MapServerPeer::DEFAULT_PROXY_REPLY),
        }
    }

    /// The index of the key to sign with: the one that says so, or an only one that says nothing.
    pub fn send(&self) -> Option<usize> {
        let wanted: Vec<Option<bool>> = self
            .keys
            .entries
            .iter()
            .map(|key| key.value.send.as_ref().map(|send| send.value))
            .collect::<Option<_>>()?;
        match wanted.as_slice() {
            [None] => Some(0),
            several => {
                let mut sending = several.iter().enumerate().filter(|(_, send)| **send == Some(true));
                let only = sending.next().map(|(index, _)| index);
                only.filter(|_| sending.next().is_none())
            }
        }
    }

    fn finish(self, secrets: &Secrets) -> Option<MapServerPeer> {
        let send = self.send()?;
        let keys = self.keys.into_values()?.into_iter().map(|key| key.finish(secrets));
        Some(MapServerPeer {
            address: self.address?.value,
            keys: keys.collect::<Option<_>>()?,
            send,
            proxy_reply: self.proxy_reply?.value,
        })
    }
}
