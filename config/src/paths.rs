//! `[paths]`: where a gateway keeps its sockets, its pins, and what must survive it.

use std::path::{Path, PathBuf};

use crate::field::{Field, Form, Kind, Need, Section};
use crate::finding::Located;
use crate::tree::Node;

/// The table `[paths]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The directory of the sockets; `/run/sterna/NAME` by default.
    pub run_dir: PathBuf,
    /// The bpffs directory of the pinned XDP links; `/sys/fs/bpf/sterna/NAME` by default.
    pub pin_dir: PathBuf,
    /// The directory of what must survive a restart; `/var/lib/sterna/NAME` by default.
    pub state_dir: PathBuf,
}

impl Paths {
    /// The folder that holds one run directory per gateway.
    pub const RUN_ROOT: &str = "/run/sterna";
    /// The folder that holds one directory of pins per gateway.
    pub const PIN_ROOT: &str = "/sys/fs/bpf/sterna";
    /// The folder that holds one state directory per gateway.
    pub const STATE_ROOT: &str = "/var/lib/sterna";

    /// The default paths of a gateway with this name.
    pub fn of(name: &str) -> Paths {
        Paths {
            run_dir: Path::new(Self::RUN_ROOT).join(name),
            pin_dir: Path::new(Self::PIN_ROOT).join(name),
            state_dir: Path::new(Self::STATE_ROOT).join(name),
        }
    }

    /// The socket on which the dataplane awaits its control plane.
    pub fn dataplane_socket(&self) -> PathBuf {
        self.run_dir.join("dataplane.sock")
    }

    /// The socket of the control plane's API.
    pub fn control_socket(&self) -> PathBuf {
        self.run_dir.join("control.sock")
    }
}

pub(crate) static SECTION: Section = Section {
    name: "[paths]",
    meaning: "where a gateway keeps its sockets, its pins, and what must survive it",
    fields: &[
        Field {
            key: "run_dir",
            kind: Kind::Text(Form::Path),
            need: Need::Optional("/run/sterna/NAME"),
            meaning: "the directory of the sockets; /run/sterna/NAME where absent",
            example: "\"/run/sterna/gw-a\"",
        },
        Field {
            key: "pin_dir",
            kind: Kind::Text(Form::Path),
            need: Need::Optional("/sys/fs/bpf/sterna/NAME"),
            meaning: "the bpffs directory of the pinned XDP links; /sys/fs/bpf/sterna/NAME where absent",
            example: "\"/sys/fs/bpf/sterna/gw-a\"",
        },
        Field {
            key: "state_dir",
            kind: Kind::Text(Form::Path),
            need: Need::Optional("/var/lib/sterna/NAME"),
            meaning: "the directory of what must survive a restart; /var/lib/sterna/NAME where absent",
            example: "\"/var/lib/sterna/gw-a\"",
        },
    ],
    reserved: &[],
};

/// `[paths]` as far as it could be read.
pub(crate) struct Draft {
    pub run_dir: Option<Located<Option<PathBuf>>>,
    pub pin_dir: Option<Located<Option<PathBuf>>>,
    pub state_dir: Option<Located<Option<PathBuf>>>,
}

impl Draft {
    pub fn read(node: &Node<'_, '_>) -> Draft {
        Draft {
            run_dir: node.get("run_dir").optional(),
            pin_dir: node.get("pin_dir").optional(),
            state_dir: node.get("state_dir").optional(),
        }
    }

    pub fn finish(self, name: &str) -> Option<Paths> {
        let default = Paths::of(name);
        Some(Paths {
            run_dir: self.run_dir?.value.unwrap_or(default.run_dir),
            pin_dir: self.pin_dir?.value.unwrap_or(default.pin_dir),
            state_dir: self.state_dir?.value.unwrap_or(default.state_dir),
        })
    }
}
