//! The measured gateway's tables, built as in production: records through the shared-memory ring.

use crate::frames::{
    AGENT_MAC, Family, GATEWAY_MAC, IID, LOCAL_V4, LOCAL_V6, PORT_MAC, REMOTE_V4, REMOTE_V6,
};
use crate::frames::{AGENT_V4, AGENT_V6, eid_v4, eid_v6};
use anyhow::{Result, anyhow, bail};
use std::net::IpAddr;
use sterna_config::{Config, DscpDecap};
use sterna_dataplane::apply::{Applier, TableLimits, build_tables};
use sterna_dataplane::counters::catalogue;
use sterna_dataplane::layout::{PortRow, Side};
use sterna_dataplane::state::Upward;
use sterna_dataplane::tables::Tables;
use sterna_shm::{
    Adjacency, Counters, EidAction, Event, Group, Locator, LocatorSet, NextHop, Offer, ScopeName, Settings,
    Update, session_pair,
};
use sterna_wire::{Iid, Mac, Prefix};

/// Eid-side port.
pub const EID_PORT: u16 = 0;
/// Rloc-side port.
pub const RLOC_PORT: u16 = 1;

/// Built tables and the region of their counters.
pub struct Site {
    /// The writer, kept alive.
    pub applier: Applier,
    /// What the packets are looked up in.
    pub tables: Tables,
    /// Counter blocks by port.
    pub counters: Counters,
}

/// The ports' rows.
pub fn ports() -> Vec<PortRow> {
    vec![
        PortRow { side: Side::Eid, mac: Mac([2, 0, 0, 0, 0, 0x11]), mtu: 1500 },
        PortRow { side: Side::Rloc, mac: Mac(PORT_MAC), mtu: 1600 },
    ]
}

/// How many entries the table is sized for.
pub fn room(config: &Config, eids: u32) -> usize {
    config.dataplane.max_eids.max(eids as usize + 64)
}

/// The site with `eids` remote host EIDs that share one locator set, sized as the configuration says (or larger if
/// it must be).
pub fn build(config: &Config, eids: u32, inner: Family, outer: Family) -> Result<Site> {
    let limits = TableLimits {
        max_eids: room(config, eids),
        max_sets: config.dataplane.max_sets,
        max_adjacencies: 1 << 16,
        max_hops: 1 << 12,
        max_groups: 1 << 14,
        readers: 1,
        seed: [0x1234_5678_9abc_def1, 0xfedc_ba98_7654_3211],
    };
    let (mut applier, tables) = build_tables(&limits, ports());
    let scope = |port: u16, side| ScopeName { worker: 0, port, port_name: format!("mem{port}"), side };
    let scopes = [scope(EID_PORT, sterna_shm::Side::Eid), scope(RLOC_PORT, sterna_shm::Side::Rloc)];
    let counters = Counters::create(&catalogue(), &scopes)?;
    let offer = Offer { counters: &counters, ring_slots: 4096, ports: &[] };
    let (mut dataplane, mut control) = session_pair(&offer)?;
    applier.begin_session();
    let mut updates =
        fixed_updates(config, outer)?.into_iter().chain((0..eids).map(|n| remote(n, inner))).peekable();
    while updates.peek().is_some() {
        while let Some(update) = updates.peek() {
            if control.updates.push(update).is_err() {
                break;
            }
            updates.next();
        }
        while let Some(update) = dataplane.updates.pop()? {
            match applier.apply(&update) {
                Ok(None | Some(Event::Applied { .. })) => {}
                Ok(Some(event)) => bail!("the tables refused an update: {event:?}"),
                Err(fault) => bail!("{fault}"),
            }
        }
    }
    applier.flush();
    attach_agent(&mut applier, inner)?;
    Ok(Site { applier, tables, counters })
}

fn fixed_updates(config: &Config, outer: Family) -> Result<Vec<Update>> {
    let (local, remote): (IpAddr, IpAddr) = match outer {
        Family::V4 => (LOCAL_V4.into(), REMOTE_V4.into()),
        Family::V6 => (LOCAL_V6.into(), REMOTE_V6.into()),
    };
    let settings = Settings {
        mss_clamp: config.dataplane.mss_clamp,
        dscp_decap_pipe: config.dataplane.dscp_decap == DscpDecap::Pipe,
        udp_source_fixed: config.dataplane.udp_source_port,
        smallest_underlay_mtu: 1600,
        outer_df: config.dataplane.outer_df,
        eid_api_port: config.context.eid_api_port,
    };
    let iid = Iid::new(IID).ok_or_else(|| anyhow!("the instance-ID is out of range"))?;
    let group = Group {
        iid,
        port: EID_PORT,
        vlan: None,
        mac: Mac(GATEWAY_MAC),
        gateway_v4: Some(([10, 255, 0, 1].into(), 16)),
        gateway_v6: Some(("fd00:64:ff::1".parse()?, 64)),
        proxy_arp: true,
    };
    let hop =
        NextHop { port: RLOC_PORT, source: Mac(PORT_MAC), destination: Some(Mac(crate::frames::ROUTER_MAC)) };
    let adjacency = Adjacency { next_hop: 1, local, remote, mtu: 1600, udp_checksum: false };
    let locator = Locator { adjacency: 1, priority: 1, weight: 100, usable: true, keep: false };
    let set = LocatorSet::new(&[locator]).ok_or_else(|| anyhow!("too many locators"))?;
    let served = |prefix: &str| -> Result<Update> {
        let action = EidAction::Local { port: EID_PORT, vlan: None, via: None };
        Ok(Update::EidUpsert { iid, prefix: prefix.parse::<Prefix>()?, action })
    };
    Ok(vec![
        Update::SettingsUpsert { settings },
        Update::GroupUpsert { group },
        Update::LocalRlocUpsert { address: local },
        Update::NextHopUpsert { id: 1, hop },
        Update::AdjacencyUpsert { id: 1, adjacency },
        Update::SetUpsert { id: 1, set },
        served("10.255.0.0/24")?,
        served("fd00:64:ff::/64")?,
    ])
}

fn remote(n: u32, inner: Family) -> Update {
    let eid: IpAddr = match inner {
        Family::V4 => eid_v4(n).into(),
        Family::V6 => eid_v6(n).into(),
    };
    // `IID` is in range: fixed_updates has checked it.
    let iid = Iid::new(IID).unwrap_or(Iid::DEFAULT);
    Update::EidUpsert { iid, prefix: Prefix::host(eid), action: EidAction::Remote { set: 1, classes: None } }
}

/// The local agent, as ARP or ND would have taught it.
fn attach_agent(applier: &mut Applier, inner: Family) -> Result<()> {
    let eid: IpAddr = match inner {
        Family::V4 => AGENT_V4.into(),
        Family::V6 => AGENT_V6.into(),
    };
    let seen = Upward::Learned { iid: IID, eid, mac: Mac(AGENT_MAC), port: EID_PORT, vlan: 0 };
    match applier.learn(&seen) {
        Some(Event::Agent { .. }) => Ok(()),
        _ => bail!("the agent was not accepted"),
    }
}
