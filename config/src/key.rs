//! Shared secrets of gateways and map-servers, each in a file of its own.

use std::fmt;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::Located;
use crate::secret::{Secret, Secrets};
use crate::tree::{FromToml, Node};

/// A key that control messages are signed and verified with (RFC 9301 section 5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The Key ID on the wire; unique in its list.
    pub id: u8,
    /// What is computed with it.
    pub algorithm: KeyAlgorithm,
    /// The shared secret.
    pub secret: Secret,
}

/// The Algorithm ID on the wire (RFC 9301 section 12.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// HMAC-SHA-1-96, for peers that know nothing newer.
    Sha1,
    /// HMAC-SHA-256-128.
    Sha256,
}

impl KeyAlgorithm {
    /// The word that stands for the algorithm in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            KeyAlgorithm::Sha1 => "sha1",
            KeyAlgorithm::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The most keys of one peer: the present one, the next one, and some that were forgotten.
const MAX_KEYS: usize = 8;

const ID: Field = Field {
    key: "id",
    kind: Kind::Integer { min: 0, max: 255, why: "a Key ID is one octet; VPP knows only 0" },
    need: Need::Required,
    meaning: "the Key ID that both sides call the key by",
    example: "1",
};

const ALGORITHM: Field = Field {
    key: "algorithm",
    kind: Kind::Word { words: &["sha256", "sha1"], later: &[] },
    need: Need::Default("\"sha256\""),
    meaning: "HMAC-SHA-256-128, or HMAC-SHA-1-96 for old peers",
    example: "\"sha256\"",
};

const FILE: Field = Field {
    key: "file",
    kind: Kind::Text(Form::File),
    need: Need::Required,
    meaning: "the file that holds the secret, beside the config file unless it begins with `/`",
    example: "\"site-a.key\"",
};

/// A key that we only verify with.
pub(crate) static VERIFYING: Section = Section {
    name: "an entry of `keys`",
    meaning: "a key that registers are verified with",
    fields: &[ID, ALGORITHM, FILE],
    reserved: &[],
};

/// A key that we may sign with as well.
pub(crate) static SIGNING: Section = Section {
    name: "an entry of `keys`",
    meaning: "a key shared with the map-server",
    fields: &[
        ID,
        ALGORITHM,
        FILE,
        Field {
            key: "send",
            kind: Kind::Bool,
            need: Need::Optional("true for an only key, else false"),
            meaning: "whether our registers are signed with it; an only key is, where absent",
            example: "true",
        },
    ],
    reserved: &[],
};

/// The keys of a site.
pub(crate) const VERIFYING_LIST: Kind = Kind::List { of: &Kind::Table(&VERIFYING), min: 1, max: MAX_KEYS };
/// The keys shared with a map-server.
pub(crate) const SIGNING_LIST: Kind = Kind::List { of: &Kind::Table(&SIGNING), min: 1, max: MAX_KEYS };

/// One of `keys` as far as it could be read.
pub(crate) struct Draft {
    pub id: Option<Located<u8>>,
    pub algorithm: Option<Located<KeyAlgorithm>>,
    pub file: Option<Located<PathBuf>>,
    /// What is said of signing; always nothing for a site's key.
    pub send: Option<Located<Option<bool>>>,
}

impl Draft {
    fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            id: node.get("id").required(),
            algorithm: node.get("algorithm").or(KeyAlgorithm::Sha256),
            file: node.get("file").required(),
            send: node.get("send").optional(),
        }
    }

    /// Reads one of a site's keys.
    pub fn read_verifying(node: &Node<'_, '_>) -> Draft {
        let at = node.at.key("send", node.at.span.clone());
        Draft { send: Some(Located { value: None, at }), ..Draft::read(node) }
    }

    /// Reads one of a map-server's keys.
    pub fn read_signing(node: &Node<'_, '_>) -> Draft {
        Draft::read(node)
    }

    pub fn finish(self, secrets: &Secrets) -> Option<Key> {
        let secret = secrets.of(&self.file?.value)?;
        Some(Key { id: self.id?.value, algorithm: self.algorithm?.value, secret })
    }
}

impl FromToml for KeyAlgorithm {
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value.as_str()? {
            "sha1" => Some(KeyAlgorithm::Sha1),
            "sha256" => Some(KeyAlgorithm::Sha256),
            _ => None,
        }
    }
}
