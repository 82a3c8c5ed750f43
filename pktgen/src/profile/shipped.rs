//! The profiles that come with the program.

/// A profile within the program.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name, with which `sterna-pktgen run` takes it.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! profiles {
    ($($name:literal)*) => {
        &[$(Shipped { name: $name, text: include_str!(concat!("../../profiles/", $name, ".toml")) }),*]
    };
}

/// All of them, by name. What needs a capture of yours (a replay) is not among them.
pub const fn shipped() -> &'static [Shipped] {
    profiles! {
        "bursts"
        "frames-64"
        "frames-512"
        "frames-1518"
        "frames-jumbo"
        "frames-mixed"
        "groups-vlan"
        "hostile"
        "imix"
        "ipv6"
        "lisp-ipv4"
        "lisp-ipv6"
        "manual"
        "misses"
        "one-per-second"
        "million-uniform"
        "million-zipf"
    }
}
