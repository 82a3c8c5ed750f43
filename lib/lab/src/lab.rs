//! A lab that is up: built, looked into, taken down.

use std::path::PathBuf;

use crate::command;
use crate::error::Result;
use crate::gateway::plan::{GatewayPlan, TAGGED_GROUP};
use crate::gateway::process::{Gateway, Plane, Programs};
use crate::identity::{LabId, LabLock};
use crate::leftovers::Leftovers;
use crate::namespace::Namespace;
use crate::requirements;
use crate::two_sites::{self, CORE, Forwarding, GROUPS, Host, Site};
use crate::witness::capture::{Testimony, Witness};

/// A change to a gateway's ordinary config before it starts: how a scenario gets what it needs, and its
/// negative control what it must fail on.
pub type Adjust = dyn Fn(&mut GatewayPlan);

/// Namespaces, processes and witness of one lab. Dropping it takes everything down.
#[derive(Debug)]
pub struct Lab {
    id: LabId,
    gateways: Vec<Gateway>,
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
    /// Builds the two sites and starts whoever forwards, with the witness watching from before.
    ///
    /// # Errors
    /// When the machine lacks something, or a gateway does not come up. What was made is taken down again.
    pub fn build(forwarding: Forwarding, adjust: &Adjust) -> Result<Self> {
        requirements::check()?;
        let programs = match forwarding {
            Forwarding::Sterna => Some(Programs::find()?),
            Forwarding::Kernel => None,
        };
        let lock = LabLock::acquire()?;
        clear_the_dead()?;
        let id = LabId::take(&lock)?;
        let mut lab =
            Self { id, gateways: Vec::new(), witness: None, kept: false, is_down: false, _lock: lock };
        two_sites::wiring(&lab.id, forwarding).make(&lab.id)?;
        let known = [GROUPS[0], GROUPS[1], TAGGED_GROUP];
        lab.witness = Some(Witness::start(&lab.namespace(CORE), &lab.id.folder(), &known)?);
        if let Some(programs) = programs {
            requirements::mount_bpf_fs()?;
            lab.start_gateways(&programs, adjust)?;
        }
        Ok(lab)
    }

    fn start_gateways(&mut self, programs: &Programs, adjust: &Adjust) -> Result<()> {
        for site in Site::BOTH {
            let mut plan = GatewayPlan::ordinary(&self.id, site);
            adjust(&mut plan);
            let namespace = self.namespace(&site.gateway());
            let mut gateway = Gateway::prepare(plan, programs.clone(), namespace)?;
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

    /// Both gateways; none when the kernel forwards.
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// Both gateways, to be killed and restarted.
    pub fn gateways_mut(&mut self) -> &mut [Gateway] {
        &mut self.gateways
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
        self.kept = true;
        Ok(self.id.clone())
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
fn clear_the_dead() -> Result<()> {
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
