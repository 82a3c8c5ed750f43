//! The measured gateway's tables, built as in production: records through the shared-memory ring.

use crate::case::{Case, Traffic};
use crate::frames::{
    AGENT_MAC, AGENT_V4, AGENT_V6, Family, GATEWAY_MAC, IID, LOCAL_V4, LOCAL_V6, OTHER_V4, OTHER_V6,
    PORT_MAC, REMOTE_V4, REMOTE_V6,
};
use crate::remote::Numbering;
use anyhow::{Result, anyhow, bail};
use std::net::IpAddr;
use sterna_config::{Config, DscpDecap};
use sterna_dataplane::apply::{Applier, TableLimits, build_tables};
use sterna_dataplane::counters::catalogue;
use sterna_dataplane::layout::{PortRow, Side};
use sterna_dataplane::state::Upward;
use sterna_dataplane::tables::Tables;
use sterna_shm::{
    Adjacency, ClassRow, ClassRows, CounterBlock, Counters, CountersView, EidAction, Event, Group, Locator,
    LocatorSet, NextHop, Offer, Policy, ScopeName, Settings, Update, session_pair,
};
use sterna_wire::{Iid, Mac, Prefix};

/// Eid-side port.
pub const EID_PORT: u16 = 0;
/// Rloc-side port.
pub const RLOC_PORT: u16 = 1;

/// What a case's tables must hold; cases with the same plan share a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Families of the remote EIDs; each has all numbers.
    pub families: &'static [Family],
    /// Outer family.
    pub outer: Family,
    /// Remote EIDs per family.
    pub eids: u32,
    /// How they are numbered.
    pub numbering: Numbering,
    /// Two equal locators instead of one.
    pub two_locators: bool,
    /// Class rows of its own for every EID.
    pub classes: bool,
    /// Room for EIDs that come and go beside them.
    pub spare: u32,
}

impl Plan {
    /// What a case needs.
    pub fn of(case: &Case) -> Plan {
        let families: &[Family] = match (case.traffic, case.inner) {
            (Traffic::Mixed, _) => &[Family::V4, Family::V6],
            (_, Family::V4) => &[Family::V4],
            (_, Family::V6) => &[Family::V6],
        };
        Plan {
            families,
            outer: case.outer,
            // A mixture has as many EIDs as its name says, half of them of each family.
            eids: if families.len() > 1 { case.eids.div_ceil(2) } else { case.eids },
            numbering: Numbering { prefixes: case.prefixes },
            two_locators: case.two_locators,
            classes: case.classes,
            spare: if case.updates { case.eids / 2 } else { 0 },
        }
    }

    /// How many entries the table is sized for: what the configuration says, or more if it must be.
    pub fn room(&self, config: &Config) -> usize {
        let needed = self.eids as usize * self.families.len() + self.spare as usize + 64;
        config.dataplane.max_eids.max(needed)
    }

    fn remotes(self) -> impl Iterator<Item = Update> {
        let of = move |family| {
            let prefix = move |n| self.numbering.prefix(family, n);
            (0..self.eids).flat_map(move |n| {
                let classes = self.classes.then_some(n + 1);
                let rows = classes.map(|id| Update::ClassesUpsert { id, rows: class_rows() });
                rows.into_iter().chain([remote(prefix(n), classes)])
            })
        };
        self.families.iter().flat_map(move |family| of(*family))
    }

    /// What an EID takes, bytes: its entry, and its class rows where it has some.
    pub fn bytes_per_eid(&self, site: &Site, config: &Config) -> f64 {
        let per = |bytes: usize, room: usize| bytes as f64 / room as f64;
        let rows = per(site.applier.classes_footprint(), config.dataplane.max_sets);
        let entry = per(site.applier.eid_footprint().0, self.room(config));
        entry + if self.classes { rows } else { 0.0 }
    }
}

/// Built tables and the region of their counters.
pub struct Site {
    /// The writer, kept alive.
    pub applier: Applier,
    /// What the packets are looked up in.
    pub tables: Tables,
    /// The counters' region.
    pub counters: Counters,
    /// The counters, as anybody reads them.
    pub view: CountersView,
    /// Counter blocks by port.
    pub blocks: Vec<CounterBlock>,
}

/// The ports' rows.
pub fn ports() -> Vec<PortRow> {
    vec![
        PortRow { side: Side::Eid, mac: Mac([2, 0, 0, 0, 0, 0x11]), mtu: 1500 },
        PortRow { side: Side::Rloc, mac: Mac(PORT_MAC), mtu: 1600 },
    ]
}

/// The site of a plan.
pub fn build(config: &Config, plan: Plan) -> Result<Site> {
    let limits = TableLimits {
        max_eids: plan.room(config),
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
    fill(&mut applier, &counters, fixed_updates(config, plan)?.into_iter().chain(plan.remotes()))?;
    for family in plan.families {
        attach_agent(&mut applier, *family)?;
    }
    applier.flush();
    let blocks = (0..scopes.len()).map(|at| counters.block(at)).collect::<Option<_>>();
    Ok(Site {
        applier,
        tables,
        view: CountersView::open(counters.file()?)?,
        blocks: blocks.ok_or_else(|| anyhow!("a counter block was taken twice"))?,
        counters,
    })
}

/// Updates through a ring in shared memory, as a control plane sends them.
fn fill(applier: &mut Applier, counters: &Counters, updates: impl Iterator<Item = Update>) -> Result<()> {
    let (mut dataplane, mut control) = session_pair(&Offer { counters, ring_slots: 4096, ports: &[] })?;
    applier.begin_session();
    let mut updates = updates.peekable();
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
    Ok(())
}

fn fixed_updates(config: &Config, plan: Plan) -> Result<Vec<Update>> {
    let iid = iid();
    let group = Group {
        iid,
        port: EID_PORT,
        vlan: None,
        mac: Mac(GATEWAY_MAC),
        gateway_v4: Some(([10, 255, 0, 1].into(), 16)),
        gateway_v6: Some(("fd00:64:ff::1".parse()?, 64)),
        proxy_arp: true,
    };
    let served = |prefix: &str| -> Result<Update> {
        let action = EidAction::Local { port: EID_PORT, vlan: None, via: None };
        Ok(Update::EidUpsert { iid, prefix: prefix.parse::<Prefix>()?, action })
    };
    let mut updates = vec![
        Update::SettingsUpsert { settings: settings(config) },
        Update::GroupUpsert { group },
        Update::LocalRlocUpsert { address: locators(plan.outer).0 },
    ];
    updates.extend(underlay(plan.outer)?);
    if plan.two_locators {
        updates.push(Update::SetUpsert { id: 1, set: set(&[1, 2])? });
    }
    if plan.classes {
        updates.extend(policies());
    }
    updates.extend([served("10.255.0.0/24")?, served("fd00:64:ff::/64")?]);
    Ok(updates)
}

fn settings(config: &Config) -> Settings {
    Settings {
        mss_clamp: config.dataplane.mss_clamp,
        dscp_decap_pipe: config.dataplane.dscp_decap == DscpDecap::Pipe,
        udp_source_fixed: config.dataplane.udp_source_port,
        smallest_underlay_mtu: 1600,
        outer_df: config.dataplane.outer_df,
        eid_api_port: config.context.eid_api_port,
    }
}

/// The next hop, the adjacencies to both remote sites, and a set of one locator for each: 1 and 2.
pub fn underlay(outer: Family) -> Result<Vec<Update>> {
    let (local, remotes) = locators(outer);
    let hop =
        NextHop { port: RLOC_PORT, source: Mac(PORT_MAC), destination: Some(Mac(crate::frames::ROUTER_MAC)) };
    let mut updates = vec![Update::NextHopUpsert { id: 1, hop }];
    for (id, remote) in (1..).zip(remotes) {
        let adjacency = Adjacency { next_hop: 1, local, remote, mtu: 1600, udp_checksum: false };
        updates.push(Update::AdjacencyUpsert { id, adjacency });
        updates.push(Update::SetUpsert { id, set: set(&[id])? });
    }
    Ok(updates)
}

fn set(adjacencies: &[u32]) -> Result<LocatorSet> {
    let locator = |id: &u32| Locator { adjacency: *id, priority: 1, weight: 100, usable: true, keep: false };
    let locators: Vec<_> = adjacencies.iter().map(locator).collect();
    LocatorSet::new(&locators).ok_or_else(|| anyhow!("too many locators"))
}

/// Our RLOC and the two remote ones.
pub fn locators(outer: Family) -> (IpAddr, [IpAddr; 2]) {
    match outer {
        Family::V4 => (LOCAL_V4.into(), [REMOTE_V4.into(), OTHER_V4.into()]),
        Family::V6 => (LOCAL_V6.into(), [REMOTE_V6.into(), OTHER_V6.into()]),
    }
}

fn remote(prefix: Prefix, classes: Option<u32>) -> Update {
    Update::EidUpsert { iid: iid(), prefix, action: EidAction::Remote { set: 1, classes } }
}

/// Two policies with a class each: the packets match the second.
fn policies() -> [Update; 2] {
    const UDP: u8 = 17;
    let policy = |dscp, ports, class| Policy {
        iid: Some(iid()),
        from: None,
        to: None,
        dscp,
        protocol: Some(UDP),
        ports,
        class,
    };
    let voice = Update::PolicyUpsert { index: 0, policy: policy(Some(46), None, 2), more: true };
    [voice, Update::PolicyUpsert { index: 1, policy: policy(None, Some((5000, 5000)), 1), more: false }]
}

/// Class 1 and packets of no class go one way, class 2 the other.
fn class_rows() -> ClassRows {
    let mut rows = ClassRows::default();
    rows.0[0] = ClassRow::Set { set: 1 };
    rows.0[1] = ClassRow::Set { set: 1 };
    rows.0[2] = ClassRow::Set { set: 2 };
    rows
}

/// The measured group.
pub fn iid() -> Iid {
    // A number of 24 bits, so that there is one.
    Iid::new(IID).unwrap_or(Iid::DEFAULT)
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
