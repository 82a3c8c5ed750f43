//! `[mapping_system]`: how a gateway of the lab finds the others.

use std::net::IpAddr;

use crate::site::{Family, Site};
use crate::underlay::Node;

use super::{KeyFile, push};

/// `[mapping_system]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryPlan {
    /// The Map-Server, which is the Map-Resolver too.
    pub map_server: IpAddr,
    /// The site's number.
    pub site_id: u64,
    /// What it signs with.
    pub key: KeyFile,
    /// May the Map-Server answer in its name?
    pub proxy_reply: bool,
    /// Other keys of the section with their values, as TOML.
    pub knobs: Vec<(&'static str, String)>,
}

impl RegistryPlan {
    /// What is right for a site.
    pub fn of(site: Site) -> Self {
        Self {
            map_server: Node::MapServer.address(Family::V4),
            site_id: u64::from(site.digit()),
            key: KeyFile::of(site),
            proxy_reply: true,
            knobs: Vec::new(),
        }
    }

    pub(super) fn render(&self, text: &mut String) {
        push(
            text,
            format_args!(
                "\n[mapping_system]\nmap_resolvers = [\"{}\"]\nmap_servers = [{{ address = \"{}\", keys = \
                 [{{ id = 1, file = \"{}\" }}], proxy_reply = {} }}]\nsite_id = {}\n",
                self.map_server, self.map_server, self.key.file, self.proxy_reply, self.site_id
            ),
        );
        for (key, value) in &self.knobs {
            push(text, format_args!("{key} = {value}\n"));
        }
    }
}
