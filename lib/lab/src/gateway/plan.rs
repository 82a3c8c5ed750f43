//! The config file of a gateway, written by the lab in the shape an operator would write.

pub mod context;
mod key;
mod registry;
pub mod server;

use std::fmt::Write;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::{LabError, Result};
use crate::identity::LabId;
use crate::requirements::BPF_DIR;
use crate::site::{Family, GROUPS, Site, agent_tag, anycast_gateway, anycast_mac, eid_prefix, roaming_range};
use crate::underlay::rloc;

pub use context::ContextPlan;
pub use key::KeyFile;
pub use registry::RegistryPlan;

/// The group of the VLAN scenario: on the same port as group 100, behind a tag.
pub const TAGGED_GROUP: u32 = 300;
/// Its tag.
pub const TAG: u16 = 30;

/// A locator in a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locator {
    /// The RLOC.
    pub address: IpAddr,
    /// Lower is preferred, 255 is never sent to.
    pub priority: u8,
}

/// `[[rloc]]`: one of our own locators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLocator {
    /// The RLOC.
    pub address: IpAddr,
    /// The port it is on.
    pub port: String,
    /// What we register it with: lower is preferred.
    pub priority: u8,
    /// What we register it with: its share among those of one priority.
    pub weight: u8,
}

/// `[[group]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPlan {
    /// Instance-ID.
    pub iid: u32,
    /// Name of the eid-side port.
    pub port: String,
    /// 802.1Q tag.
    pub vlan: Option<u16>,
    /// Prefixes served here.
    pub eids: Vec<String>,
    /// Ranges in which agents come and go.
    pub dynamic_eids: Vec<String>,
    /// EIDs that agents of several sites have at the same time.
    pub skills: Vec<String>,
}

/// `[[mapping]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingPlan {
    /// Instance-ID.
    pub iid: u32,
    /// EID-prefix at the other site.
    pub eid: String,
    /// The site's locators of the outer family.
    pub locators: Vec<Locator>,
}

/// A whole gateway file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayPlan {
    /// Where it stands.
    pub site: Site,
    /// Its name, unique on the machine.
    pub name: String,
    /// Its folder, for sockets and logs.
    pub folder: PathBuf,
    /// The core of its first worker.
    pub core: usize,
    /// The cores of further workers, each with a queue of every port.
    pub more_cores: Vec<usize>,
    /// Other keys of `[dataplane]` with their values, as TOML.
    pub dataplane: Vec<(&'static str, String)>,
    /// Our own locators.
    pub rlocs: Vec<OwnLocator>,
    /// The groups.
    pub groups: Vec<GroupPlan>,
    /// The mappings of the other site.
    pub mappings: Vec<MappingPlan>,
    /// The mapping system, when mappings are not static.
    pub registry: Option<RegistryPlan>,
    /// By what locators are chosen.
    pub context: ContextPlan,
}

impl GatewayPlan {
    /// The file of a site in the lab's ordinary state: everything right, mappings static.
    pub fn ordinary(id: &LabId, site: Site) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            site,
            name: id.namespace(&site.gateway()),
            folder: id.folder().join(site.gateway()),
            core: if site == Site::A { 0 } else { cores - 1 },
            more_cores: Vec::new(),
            dataplane: Vec::new(),
            rlocs: own_rlocs(site),
            groups: GROUPS.iter().map(|iid| group(site, *iid)).collect(),
            mappings: GROUPS.iter().flat_map(|iid| mappings(site.other(), *iid)).collect(),
            registry: None,
            context: ContextPlan::default(),
        }
    }

    /// The same with the mapping system in place of static mappings; agents of group 100 come and go in a range.
    pub fn mapped(id: &LabId, site: Site) -> Self {
        let mut plan = Self::ordinary(id, site);
        plan.mappings.clear();
        plan.registry = Some(RegistryPlan::of(site));
        plan.groups[0].dynamic_eids = Family::BOTH.map(roaming_range).to_vec();
        plan
    }

    /// Adds the tagged group at this site, with the agents of group 100 as its members, under `tag`.
    pub fn add_tagged_group(&mut self, tag: u16) {
        let mut tagged = group(self.site, TAGGED_GROUP);
        "eid100".clone_into(&mut tagged.port);
        tagged.vlan = Some(tag);
        self.groups.push(tagged);
        self.mappings.extend(mappings(self.site.other(), TAGGED_GROUP));
    }

    /// Adds a group of synthetic agents that come and go, behind its tag.
    pub fn add_agent_group(&mut self, iid: u32) {
        self.groups.push(GroupPlan {
            iid,
            port: format!("eid{}", GROUPS[1]),
            vlan: Some(agent_tag(iid)),
            eids: Vec::new(),
            dynamic_eids: vec![roaming_range(Family::V4)],
            skills: Vec::new(),
        });
    }

    /// Where the two planes meet, and the API is served.
    pub fn run_dir(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// The control plane's API.
    pub fn control_socket(&self) -> PathBuf {
        self.run_dir().join("control.sock")
    }

    /// The config file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("gateway.toml")
    }

    /// Where its XDP links are pinned.
    pub fn pin_dir(&self) -> PathBuf {
        PathBuf::from(BPF_DIR).join("sterna").join(&self.name)
    }

    /// Where it keeps what must survive a restart.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Writes the file, its keys, and the folders it names.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self) -> Result<()> {
        make_folders(&[self.run_dir(), self.state_dir()])?;
        if let Some(registry) = &self.registry {
            registry.key.write(&self.folder)?;
        }
        write_file(&self.config_file(), &self.render())
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let knobs: String = self.dataplane.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let cores: Vec<String> =
            std::iter::once(&self.core).chain(&self.more_cores).map(ToString::to_string).collect();
        let mut text = format!(
            "[gateway]\nname = \"{}\"\nroles = [\"xtr\"]\n\n[dataplane]\ncores = [{}]\nmax_eids = 65_536\n\
             max_sets = 1024\n{knobs}\n[paths]\nrun_dir = \"{}\"\npin_dir = \"{}\"\nstate_dir = \"{}\"\n",
            self.name,
            cores.join(", "),
            self.run_dir().display(),
            self.pin_dir().display(),
            self.state_dir().display()
        );
        for (port, side) in self.ports() {
            push(&mut text, format_args!("\n[[port]]\nname = \"{port}\"\nside = \"{side}\"\n"));
        }
        self.rlocs.iter().for_each(|own| own.render(&mut text));
        for group in &self.groups {
            group.render(&mut text);
        }
        for mapping in &self.mappings {
            mapping.render(&mut text);
        }
        if let Some(registry) = &self.registry {
            registry.render(&mut text);
        }
        self.context.render(&mut text);
        text
    }

    fn ports(&self) -> Vec<(String, &'static str)> {
        let eid = GROUPS.iter().map(|iid| (format!("eid{iid}"), "eid"));
        let rloc = (0..2).map(|link| (format!("rloc{link}"), "rloc"));
        eid.chain(rloc).collect()
    }
}

impl OwnLocator {
    fn render(&self, text: &mut String) {
        push(
            text,
            format_args!(
                "\n[[rloc]]\naddress = \"{}\"\nport = \"{}\"\npriority = {}\nweight = {}\n",
                self.address, self.port, self.priority, self.weight
            ),
        );
    }
}

impl GroupPlan {
    fn render(&self, text: &mut String) {
        let gateways: Vec<String> = Family::BOTH
            .iter()
            .map(|family| anycast_gateway(*family))
            .map(|(address, length)| format!("\"{address}/{length}\""))
            .collect();
        // What is empty is left out, as an operator would.
        let list = |key: &str, words: &[String]| match words {
            [] => String::new(),
            words => format!("{key} = [{}]\n", quoted(words)),
        };
        let eids = list("eids", &self.eids)
            + &list("dynamic_eids", &self.dynamic_eids)
            + &list("skills", &self.skills);
        let mac: Vec<String> = anycast_mac(self.iid).iter().map(|byte| format!("{byte:02x}")).collect();
        let vlan = self.vlan.map(|tag| format!("vlan = {tag}\n")).unwrap_or_default();
        push(
            text,
            format_args!(
                "\n[[group]]\niid = {}\nname = \"group-{}\"\nport = \"{}\"\n{vlan}gateway = [{}]\nmac = \"{}\"\n\
                 {eids}",
                self.iid,
                self.iid,
                self.port,
                gateways.join(", "),
                mac.join(":")
            ),
        );
    }
}

impl MappingPlan {
    fn render(&self, text: &mut String) {
        let rlocs: Vec<String> = self
            .locators
            .iter()
            .map(|l| format!("{{ address = \"{}\", priority = {}, weight = 100 }}", l.address, l.priority))
            .collect();
        push(
            text,
            format_args!(
                "\n[[mapping]]\niid = {}\neid = \"{}\"\nrlocs = [{}]\n",
                self.iid,
                self.eid,
                rlocs.join(", ")
            ),
        );
    }
}

fn push(text: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(part);
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn make_folders(folders: &[PathBuf]) -> Result<()> {
    folders.iter().try_for_each(|folder| {
        fs::create_dir_all(folder).map_err(LabError::io(format!("making {}", folder.display())))
    })
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(LabError::io(format!("writing {}", path.display())))
}

/// Link 0 is preferred, link 1 stands by.
fn own_rlocs(site: Site) -> Vec<OwnLocator> {
    let own = |link, family| OwnLocator {
        address: rloc(site, link, family),
        port: format!("rloc{link}"),
        priority: link + 1,
        weight: 100,
    };
    (0..2).flat_map(|link| Family::BOTH.map(|family| own(link, family))).collect()
}

fn group(site: Site, iid: u32) -> GroupPlan {
    let eids = Family::BOTH
        .iter()
        .flat_map(|inner| Family::BOTH.map(|outer| eid_prefix(site, *inner, outer)))
        .collect();
    GroupPlan {
        iid,
        port: format!("eid{iid}"),
        vlan: None,
        eids,
        dynamic_eids: Vec::new(),
        skills: Vec::new(),
    }
}

/// The mappings of a site: link 0 is preferred, link 1 stands by.
fn mappings(site: Site, iid: u32) -> Vec<MappingPlan> {
    let mut mappings = Vec::new();
    for inner in Family::BOTH {
        for outer in Family::BOTH {
            let locators =
                (0..2).map(|link| Locator { address: rloc(site, link, outer), priority: link + 1 }).collect();
            mappings.push(MappingPlan { iid, eid: eid_prefix(site, inner, outer), locators });
        }
    }
    mappings
}
