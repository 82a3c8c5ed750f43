//! `[gateway]`: who this box is.

use std::fmt;

use toml::de::DeValue;

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::Located;
use crate::tree::{FromToml, Listed, Node};

/// The table `[gateway]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The gateway's name: 1 to 64 characters that are safe in a file name.
    pub name: String,
    /// What this gateway does; at least one.
    pub roles: Vec<Role>,
}

/// A LISP role (RFC 9300 section 3, RFC 9301 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// ITR and ETR in one: encapsulates and decapsulates for the groups of this file.
    Xtr,
    /// Takes registers of sites and answers for them.
    MapServer,
    /// Takes the questions of ITRs.
    MapResolver,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Xtr, Role::MapServer, Role::MapResolver];

    /// The word that stands for the role in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Xtr => "xtr",
            Role::MapServer => "map-server",
            Role::MapResolver => "map-resolver",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

pub(crate) static SECTION: Section = Section {
    name: "[gateway]",
    meaning: "who this box is",
    fields: &[
        Field {
            key: "name",
            kind: Kind::Text(Form::Name),
            need: Need::Required,
            meaning: "the gateway's name, used in paths and by `sterna show --name`",
            example: "\"gw-a\"",
        },
        Field {
            key: "roles",
            kind: Kind::List {
                of: &Kind::Word {
                    words: &["xtr", "map-server", "map-resolver"],
                    later: &["rtr", "ddt", "proxy"],
                },
                min: 1,
                max: 8,
            },
            need: Need::Default("[\"xtr\"]"),
            meaning: "what this gateway does",
            example: "[\"xtr\"]",
        },
    ],
    reserved: &[],
};

/// `[gateway]` as far as it could be read.
pub(crate) struct Draft {
    pub name: Option<Located<String>>,
    pub roles: Listed<Role>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft { name: node.get("name").required(), roles: node.values("roles") }
    }

    /// Whether the gateway has a role, if that can be told.
    pub fn has(&self, role: Role) -> Option<bool> {
        let given = &self.roles.entries;
        let default = given.is_empty() && role == Role::Xtr;
        self.roles.whole.then(|| default || given.iter().any(|given| given.value == role))
    }

    pub fn finish(self) -> Option<Gateway> {
        let roles: Vec<Role> = self.roles.into_values()?;
        let roles = if roles.is_empty() { vec![Role::Xtr] } else { roles };
        Some(Gateway { name: self.name?.value, roles })
    }
}

impl FromToml for Role {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let word = value.as_str()?;
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }
}
