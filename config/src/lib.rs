//! One gateway's file, read and proved.
//!
//! A file is judged whole before anything is done with it, and everything wrong with it is told at once.
//!
//! ```text
//! text --toml--> spanned tree --shape--> findings        is every value of its kind?
//!                     |
//!                     '--tree--> draft --rules--> findings    what do they mean together?
//!                                  |
//!                                  '--finish--> Config        only when nothing was found
//! ```
//!
//! - [`load`] and [`parse`] give a [`Validated`], which reads like a [`Config`], or a [`Report`].
//! - Each section of the file is one module (`gateway`, `dataplane`, `paths`, `port`, `rloc`, `group`, `mapping`,
//!   `mapping_system`, `map_server`, `map_resolver`, `site`, `class`, `policy`, `context`).
//!   It holds the typed section, the table of its fields, and its draft: the section as far as it could be read.
//! - Secrets stand in files of their own, which the file names; [`Secret`] keeps them out of every output.
//! - The tables of fields are the one source for the first pass, the help texts and `schema.json`.
//!   `default.toml` is the manual; a test holds it against the tables and the code's defaults.
//! - [`diff`] tells two configurations apart and says what a change takes; [`refusal`] says why a running gateway
//!   cannot take it.
//! - [`host`] holds a file against the machine: interfaces, cores, the default route.
//!
//! To add a field: the typed struct, its `Field`, its draft, `default.toml`, `diff`, and a bad file.
#![forbid(unsafe_code)]

mod class;
mod code;
mod config;
mod context;
mod dataplane;
mod diff;
mod draft;
mod field;
mod finding;
mod form;
mod gateway;
mod group;
pub mod host;
mod key;
mod load;
#[cfg(test)]
mod manual;
mod map_resolver;
mod map_server;
mod mapping;
mod mapping_system;
mod overhead;
mod paths;
mod policy;
mod port;
mod report;
mod rloc;
mod rules;
mod schema;
mod secret;
mod shape;
mod site;
mod suggest;
mod syntax;
mod tree;

pub use class::Class;
pub use code::Code;
pub use config::Config;
pub use context::Context;
pub use dataplane::{Dataplane, DscpDecap, Polling};
pub use diff::{Change, Effect, diff, refusal};
pub use finding::{Finding, See};
pub use gateway::{Gateway, Role};
pub use group::{Group, OnNegative, Served};
pub use key::{Key, KeyAlgorithm};
pub use load::{Validated, load, parse, parse_in};
pub use map_resolver::{Forward, MapResolver};
pub use map_server::MapServer;
pub use mapping::{Mapping, Rloc};
pub use mapping_system::{MapServerPeer, MappingSystem};
pub use overhead::{least_underlay_mtu, overhead};
pub use paths::Paths;
pub use policy::Policy;
pub use port::{Port, Side};
pub use report::{Look, Report};
pub use rloc::LocalRloc;
pub use schema::schema;
pub use secret::Secret;
pub use site::{ProxyReply, Site, SiteEid, SiteRloc, SiteSkill, StaticRegistration};
