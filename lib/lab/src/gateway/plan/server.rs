//! The config file of the Map-Server's node: sites, their keys and what each may register.

use std::path::PathBuf;

use crate::error::Result;
use crate::identity::LabId;
use crate::site::{Family, GROUPS, Site, group_range};
use crate::underlay::Node;

use super::{KeyFile, make_folders, push, write_file};

/// The number of the lab's keys; the algorithm is what the config takes when nothing is said.
const KEY_TERMS: &str = "id = 1";

/// `[[site]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SitePlan {
    /// Its name.
    pub name: String,
    /// What it signs with.
    pub key: KeyFile,
    /// Number and algorithm of that key, as TOML.
    pub key_terms: &'static str,
    /// Instance-ID and prefix of what it may register, more specific ones too.
    pub eids: Vec<(u32, String)>,
    /// Instance-ID and prefix of the skills that its agents may offer beside those of other sites.
    pub skills: Vec<(u32, String)>,
    /// Other keys of the section with their values, as TOML.
    pub knobs: Vec<(&'static str, String)>,
}

/// A whole file of a Map-Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPlan {
    /// Its name, unique on the machine.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its sites.
    pub sites: Vec<SitePlan>,
    /// `[map_server]`: keys and values, as TOML.
    pub limits: Vec<(&'static str, String)>,
}

impl SitePlan {
    /// What is right for a site of the lab: anything in either group.
    pub fn of(site: Site) -> Self {
        let eids = GROUPS.iter().flat_map(|iid| Family::BOTH.map(|f| (*iid, group_range(f).to_owned())));
        Self {
            name: format!("site-{}", site.letter()),
            key: KeyFile::of(site),
            key_terms: KEY_TERMS,
            eids: eids.collect(),
            skills: Vec::new(),
            knobs: Vec::new(),
        }
    }

    /// A site that is played by a script.
    pub fn scripted(name: &str, eids: &[(u32, &str)]) -> Self {
        Self {
            name: name.to_owned(),
            key: KeyFile::named(name),
            key_terms: KEY_TERMS,
            eids: eids.iter().map(|(iid, prefix)| (*iid, (*prefix).to_owned())).collect(),
            skills: Vec::new(),
            knobs: Vec::new(),
        }
    }

    fn render(&self, text: &mut String) {
        let eids: Vec<String> = self
            .eids
            .iter()
            .map(|(iid, prefix)| format!("{{ iid = {iid}, prefix = \"{prefix}\", more_specifics = true }}"))
            .collect();
        push(
            text,
            format_args!(
                "\n[[site]]\nname = \"{}\"\nkeys = [{{ {}, file = \"{}\" }}]\neids = [{}]\n",
                self.name,
                self.key_terms,
                self.key.file,
                eids.join(", ")
            ),
        );
        if !self.skills.is_empty() {
            let skills: Vec<String> = self.skills.iter().map(skill).collect();
            push(text, format_args!("skills = [{}]\n", skills.join(", ")));
        }
        for (key, value) in &self.knobs {
            push(text, format_args!("{key} = {value}\n"));
        }
    }
}

fn skill((iid, prefix): &(u32, String)) -> String {
    format!("{{ iid = {iid}, prefix = \"{prefix}\" }}")
}

impl ServerPlan {
    /// The file of the lab's ordinary state: the sites that there are.
    pub fn ordinary(id: &LabId, sites: &[Site]) -> Self {
        Self {
            name: id.namespace(Node::MapServer.name()),
            folder: id.folder().join(Node::MapServer.name()),
            sites: sites.iter().map(|site| SitePlan::of(*site)).collect(),
            limits: Vec::new(),
        }
    }

    /// Where its API is served.
    pub fn run_dir(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// The API's socket.
    pub fn control_socket(&self) -> PathBuf {
        self.run_dir().join("control.sock")
    }

    /// Where registrations survive a restart.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The config file.
    pub fn config_file(&self) -> PathBuf {
        self.folder.join("map-server.toml")
    }

    /// Writes the file, its keys, and the folders it names.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self) -> Result<()> {
        make_folders(&[self.run_dir(), self.state_dir()])?;
        self.sites.iter().try_for_each(|site| site.key.write(&self.folder))?;
        write_file(&self.config_file(), &self.render())
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = format!(
            "[gateway]\nname = \"{}\"\nroles = [\"map-server\", \"map-resolver\"]\n\n[paths]\nrun_dir = \"{}\"\n\
             state_dir = \"{}\"\n",
            self.name,
            self.run_dir().display(),
            self.state_dir().display()
        );
        for family in Family::BOTH {
            push(&mut text, format_args!("\n[[rloc]]\naddress = \"{}\"\n", Node::MapServer.address(family)));
        }
        if !self.limits.is_empty() {
            text.push_str("\n[map_server]\n");
            for (key, value) in &self.limits {
                push(&mut text, format_args!("{key} = {value}\n"));
            }
        }
        self.sites.iter().for_each(|site| site.render(&mut text));
        text
    }
}
