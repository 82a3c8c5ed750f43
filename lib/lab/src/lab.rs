//! A lab that is up: built, looked into, taken down.

use std::path::PathBuf;

use crate::command;
use crate::error::Result;
use crate::gateway::plan::server::ServerPlan;
use crate::gateway::plan::{GatewayPlan, TAGGED_GROUP};
use crate::gateway::process::{Gateway, Plane, Programs};
use crate::gateway::server::MapServer;
use crate::identity::{LabId, LabLock};
use crate::leftovers::Leftovers;
use crate::namespace::Namespace;
use crate::relay::Relay;
use crate::relay::cable::Cable;
use crate::requirements;
use crate::site::{AGENT_GROUPS, GROUPS, Host, Site};
use crate::topology::{self, CABLE, Forwarding, Topology};
use crate::underlay::{CORE, Node, RELAY};
use crate::witness::capture::{Testimony, Witness};
use crate::witness::tally::Known;

/// Changes to the ordinary configs before anything starts: how a scenario gets what it needs, and its negative
/// control what it must fail on.
#[derive(Clone, Copy)]
pub struct Adjust<'a> {
    /// Called for every gateway.
    pub gateway: &'a dyn Fn(&mut GatewayPlan),
    /// Called for the Map-Server.
    pub server: &'a dyn Fn(&mut ServerPlan),
}

impl Adjust<'_> {
    /// Everything as it is.
    pub const NOTHING: Self = Self { gateway: &|_| {}, server: &|_| {} };
}

/// The seed of every relay: what one run loses, the next one loses.
const SEED: u64 = 0x5354_4552_4e41;

/// Namespaces, processes and witness of one lab. Dropping it takes everything down.
#[derive(Debug)]
pub struct Lab {
    id: LabId,
    topology: Topology,
    gateways: Vec<Gateway>,
    map_server: Option<MapServer>,
    relays: Vec<((Site, u8), Relay)>,
    cable: Option<Cable>,
    witness: Option<Witness>,
    kept: bool,
    is_down: bool,
    _lock: LabLock,
}

/// What taking a lab down came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Teardown {
    /// Both planes of each gateway ended when asked.
    pub politely: bool,
    /// Ports that still had an XDP program after their gateway had ended as it should.
    pub xdp_left: Vec<String>,
    /// Pinned folders that a gateway left although it ended as it should.
    pub pins_left: Vec<PathBuf>,
    /// What is still there after everything was cleared.
    pub leftovers: Leftovers,
}

impl Teardown {
    /// Nothing of the lab is left, and the gateways cleared up after themselves.
    pub fn is_clean(&self) -> bool {
        self.politely && self.xdp_left.is_empty() && self.pins_left.is_empty() && self.leftovers.is_empty()
    }
}

impl Lab {
    /// Builds the network and starts whoever forwards, with the witness watching from before.
    ///
    /// # Errors
    /// When the machine lacks something, or a gateway does not come up. What was made is taken down again.
    pub fn build(topology: Topology, adjust: Adjust<'_>) -> Result<Self> {
        requirements::check()?;
        let programs = match topology.forwarding {
            Forwarding::Sterna => Some(Programs::find()?),
            Forwarding::Kernel => None,
        };
        let lock = LabLock::acquire()?;
        clear_the_dead(&lock)?;
        let id = LabId::take(&lock)?;
        let mut lab = Self {
            id,
            topology,
            gateways: Vec::new(),
            map_server: None,
            relays: Vec::new(),
            cable: None,
            witness: None,
            kept: false,
            is_down: false,
            _lock: lock,
        };
        topology::wiring(&lab.id, &topology).make(&lab.id)?;
        lab.start_witness()?;
        lab.start_relays()?;
        if let Some(programs) = programs {
            requirements::mount_bpf_fs()?;
            lab.start_map_server(&programs, adjust)?;
            lab.start_gateways(&programs, adjust)?;
        }
        Ok(lab)
    }

    fn start_witness(&mut self) -> Result<()> {
        let core = self.namespace(CORE);
        let port_of = |node: Node| -> Result<Option<u32>> {
            let there = self.topology.nodes.contains(&node);
            there.then(|| core.interface_index(&node.core_port())).transpose()
        };
        let mut iids = vec![GROUPS[0], GROUPS[1], TAGGED_GROUP];
        if self.topology.synthetic {
            iids.extend(AGENT_GROUPS);
        }
        let known = Known { iids, map_server: port_of(Node::MapServer)?, outsider: port_of(Node::Outsider)? };
        let mut witness = Witness::start(&core, &self.id.folder(), &known)?;
        if self.topology.is_mapped() && !self.topology.sites.is_empty() {
            witness.keep_control(&core, &self.id.folder())?;
        }
        self.witness = Some(witness);
        Ok(())
    }

    fn start_relays(&mut self) -> Result<()> {
        let namespace = self.namespace(RELAY);
        for (at, &(site, link)) in (0_u64..).zip(self.topology.relayed) {
            let relay = Relay::link(&namespace, &topology::relay_ports(site, link), SEED + 16 * at)?;
            self.relays.push(((site, link), relay));
        }
        if self.topology.roamer {
            self.cable = Some(Cable::start(&self.namespace(CABLE))?);
        }
        Ok(())
    }

    fn start_map_server(&mut self, programs: &Programs, adjust: Adjust<'_>) -> Result<()> {
        if self.topology.is_mapped() {
            let mut plan = ServerPlan::ordinary(&self.id, self.topology.sites);
            (adjust.server)(&mut plan);
            let namespace = self.namespace(Node::MapServer.name());
            self.map_server.insert(MapServer::prepare(plan, programs, namespace)?).start()?;
        }
        Ok(())
    }

    fn start_gateways(&mut self, programs: &Programs, adjust: Adjust<'_>) -> Result<()> {
        for &site in self.topology.sites {
            let mut plan = if self.topology.is_mapped() {
                GatewayPlan::mapped(&self.id, site)
            } else {
                GatewayPlan::ordinary(&self.id, site)
            };
            (adjust.gateway)(&mut plan);
            let namespace = self.namespace(&site.gateway());
            let mut gateway = Gateway::prepare(plan, programs, &namespace)?;
            for plane in [Plane::Data, Plane::Control] {
                gateway.start(plane)?;
            }
            self.gateways.push(gateway);
        }
        self.gateways.iter_mut().try_for_each(Gateway::wait_ready)
    }

    /// Its name and folder.
    pub fn id(&self) -> &LabId {
        &self.id
    }

    /// A namespace by its short name.
    pub fn namespace(&self, short: &str) -> Namespace {
        Namespace::named(&self.id.namespace(short))
    }

    /// A host's namespace.
    pub fn host(&self, host: Host) -> Namespace {
        self.namespace(&host.name())
    }

    /// The gateway of a site; `None` when the kernel forwards.
    pub fn gateway(&self, site: Site) -> Option<&Gateway> {
        self.gateways.iter().find(|gateway| gateway.plan.site == site)
    }

    /// All gateways; none when the kernel forwards.
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// All gateways, to be killed and restarted.
    pub fn gateways_mut(&mut self) -> &mut [Gateway] {
        &mut self.gateways
    }

    /// What it consists of.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The Map-Server; `None` where mappings are static.
    pub fn map_server(&self) -> Option<&MapServer> {
        self.map_server.as_ref()
    }

    /// The Map-Server, to be killed and restarted.
    pub fn map_server_mut(&mut self) -> Option<&mut MapServer> {
        self.map_server.as_mut()
    }

    /// The relay on a link of a site; `None` where there is none.
    pub fn relay(&self, site: Site, link: u8) -> Option<&Relay> {
        self.relays.iter().find(|(at, _)| *at == (site, link)).map(|(_, relay)| relay)
    }

    /// Every relay on an underlay link.
    pub fn relays(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter().map(|(_, relay)| relay)
    }

    /// The cable of the agent that moves; `None` where there is none.
    pub fn cable(&self) -> Option<&Cable> {
        self.cable.as_ref()
    }

    /// The witness, until it has testified.
    pub fn witness(&self) -> Option<&Witness> {
        self.witness.as_ref()
    }

    /// Ends the capture; the second time there is nothing to say.
    ///
    /// # Errors
    /// When the witness missed something.
    pub fn testify(&mut self) -> Result<Option<Testimony>> {
        self.witness.take().map(Witness::stop).transpose()
    }

    /// Leaves everything up; the next lab takes another name, `sterna lab down` clears this one.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn keep(mut self) -> Result<LabId> {
        self.id.keep()?;
        self.gateways.iter_mut().for_each(Gateway::leave_running);
        self.map_server.iter_mut().for_each(MapServer::leave_running);
        self.bridge_relays()?;
        self.kept = true;
        Ok(self.id.clone())
    }

    /// The relays end with this process: kernel bridges take their place in a lab that stays.
    fn bridge_relays(&mut self) -> Result<()> {
        let relayed = self.relays.drain(..).map(|(_, relay)| (RELAY, relay.ports().to_vec()));
        let cable = self.cable.take().map(|cable| (CABLE, cable.plugged_ports()));
        for (number, (short, ports)) in relayed.chain(cable).enumerate() {
            let mut commands = vec![format!("link add br{number} type bridge stp_state 0 mcast_snooping 0")];
            commands.extend(ports.iter().map(|port| format!("link set {port} master br{number}")));
            commands.push(format!("link set br{number} up"));
            let name = self.id.namespace(short);
            command::feed("ip", &["-n", &name, "-batch", "-"], &commands.join("\n"))?;
        }
        Ok(())
    }

    /// Takes everything down and looks whether it is gone.
    ///
    /// # Errors
    /// When something refuses to go.
    pub fn down(mut self) -> Result<Teardown> {
        self.clear()
    }

    fn clear(&mut self) -> Result<Teardown> {
        self.is_down = true;
        let mut politely = true;
        let (mut xdp_left, mut pins_left) = (Vec::new(), Vec::new());
        for gateway in &mut self.gateways {
            let orderly = gateway.has_dataplane();
            politely &= gateway.stop();
            if orderly {
                xdp_left.extend(xdp_ports(&self.id, gateway.plan.site));
                pins_left.extend(Some(gateway.plan.pin_dir()).filter(|pins| pins.exists()));
            }
        }
        politely &= self.map_server.as_mut().is_none_or(MapServer::stop);
        self.relays.clear();
        self.cable = None;
        self.witness = None;
        Leftovers::of(&self.id).remove()?;
        if LabId::all().is_empty() {
            requirements::unmount_bpf_fs();
        }
        Ok(Teardown { politely, xdp_left, pins_left, leftovers: Leftovers::of(&self.id) })
    }
}

/// Ports of a gateway's namespace that have an XDP program, as the kernel tells.
fn xdp_ports(id: &LabId, site: Site) -> Vec<String> {
    let name = id.namespace(&site.gateway());
    let text = command::output("ip", &["-n", &name, "-o", "link", "show"]).unwrap_or_default();
    text.lines()
        .filter(|line| line.contains("xdp"))
        .filter_map(|line| Some(format!("{name} {}", line.split(": ").nth(1)?)))
        .collect()
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.kept && !self.is_down {
            // On a panic or an error the reason is on its way already; what is left, the next lab clears.
            let _ = self.clear();
        }
    }
}

/// Clears labs whose run was killed. Only the holder of the lock may: whoever built them has not got it.
///
/// # Errors
/// When something refuses to go.
pub fn clear_the_dead(_lock: &LabLock) -> Result<()> {
    for id in LabId::all().iter().filter(|id| !id.is_kept()) {
        Leftovers::of(id).remove()?;
    }
    Ok(())
}

/// Takes down every lab there is, kept ones too. What there was, and what is left.
///
/// # Errors
/// When something refuses to go.
pub fn down_all() -> Result<(Leftovers, Leftovers)> {
    let found = Leftovers::of_all();
    found.remove()?;
    requirements::unmount_bpf_fs();
    Ok((found, Leftovers::of_all()))
}

/// The namespace of a host or gateway in a lab that is up, by its short name (`a1`) or its full one.
///
/// # Errors
/// [`crate::error::LabError::UnknownHost`] with what there is.
pub fn find_namespace(name: &str) -> Result<Namespace> {
    let all = Namespace::all_with_prefix(crate::identity::PREFIX);
    let matches = |namespace: &&Namespace| {
        namespace.name() == name || namespace.name().rsplit('-').next().is_some_and(|short| short == name)
    };
    // The newest lab is the one meant when several are up.
    all.iter().rev().find(matches).cloned().ok_or_else(|| crate::error::LabError::UnknownHost {
        name: name.to_owned(),
        known: if all.is_empty() {
            "none, no lab is up (`sterna demo --keep` leaves one)".to_owned()
        } else {
            all.iter().map(Namespace::name).collect::<Vec<_>>().join(" ")
        },
    })
}
