//! Texts that mean something: names, addresses, prefixes, MACs.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use sterna_wire::lisp::control::acx::{Hardware, Tag};
use sterna_wire::{AddrError, Family, Mac, Prefix};

use crate::code::Code;
use crate::field::Form;

/// Why a text does not have its form.
pub(crate) struct Misfit {
    pub code: Code,
    /// The sentence's end, after the text itself.
    pub text: String,
    pub help: String,
}

/// The length of an interface's name that Linux allows (IFNAMSIZ less the final zero).
const INTERFACE_MAX: usize = 15;
/// Long enough for a host name's label; a run directory's socket must fit into 108 bytes.
const NAME_MAX: usize = 64;

/// Whether a text has its form, and if not, why.
pub(crate) fn check(form: Form, text: &str) -> Result<(), Misfit> {
    match form {
        Form::Name => check_name(text),
        Form::Interface => check_interface(text),
        Form::Address => address(text).map(drop),
        Form::Prefix => prefix(text).map(drop),
        Form::Subnet => subnet(text).map(drop),
        Form::Mac => mac(text).map(drop),
        Form::Path => check_path(text),
        Form::File => check_file(text),
        Form::XtrId => xtr_id(text).map(drop),
        Form::Hardware => check_hardware(text),
        Form::Ports => ports(text).map(drop),
    }
}

fn misfit(code: Code, text: impl Into<String>, help: impl Into<String>) -> Misfit {
    Misfit { code, text: text.into(), help: help.into() }
}

fn check_name(text: &str) -> Result<(), Misfit> {
    let help = "use 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit: \
                the name becomes part of file names";
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let reason = match text.chars().next() {
        None => "is empty".to_owned(),
        Some(first) if !first.is_ascii_alphanumeric() => format!("begins with `{}`", first.escape_default()),
        Some(_) if text.len() > NAME_MAX => format!("is {} bytes long", text.len()),
        Some(_) => match text.chars().find(|&c| !safe(c)) {
            None => return Ok(()),
            Some(c) if c.is_whitespace() => "holds a blank".to_owned(),
            Some(c) => format!("holds `{}`", c.escape_default()),
        },
    };
    Err(misfit(Code::BadName, reason, help))
}

fn check_interface(text: &str) -> Result<(), Misfit> {
    let help = "use the name that `ip -brief link` shows: 1 to 15 characters, no blanks, no `/`";
    let reason = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > INTERFACE_MAX {
        format!("is {} bytes long", text.len())
    } else if text == "." || text == ".." {
        "is a directory's name".to_owned()
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':')) {
        "holds a blank, `/` or `:`".to_owned()
    } else {
        return Ok(());
    };
    Err(misfit(Code::BadName, reason, help))
}

fn check_path(text: &str) -> Result<(), Misfit> {
    if text.starts_with('/') && !text.contains('\0') && !text.split('/').any(|part| part == "..") {
        return Ok(());
    }
    Err(misfit(Code::BadName, "is not an absolute path", "begin with `/` and do without `..`"))
}

fn check_file(text: &str) -> Result<(), Misfit> {
    let reason = if text.is_empty() {
        "is empty"
    } else if text.ends_with('/') {
        "is a folder's path"
    } else if text.chars().any(char::is_control) {
        "holds a character that cannot be seen"
    } else {
        return Ok(());
    };
    Err(misfit(Code::BadName, reason, "name a file; the path begins in the config file's folder"))
}

/// The octets of an xTR-ID. All zero is none (RFC 9301 section 5.6).
pub(crate) fn xtr_id(text: &str) -> Result<[u8; 16], Misfit> {
    let help = "write 32 digits from 0 to 9 and a to f, or leave the field out: the gateway then makes one";
    let digits = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    match u128::from_str_radix(text, 16).ok().filter(|_| digits) {
        None => Err(misfit(Code::BadName, "is not 32 hexadecimal digits", help)),
        Some(0) => Err(misfit(Code::BadName, "is all zeros, which means that there is none", help)),
        Some(id) => Ok(id.to_be_bytes()),
    }
}

/// A name that is no kind's, and only by a slip: a locator that has the kind would not be found by it.
fn check_hardware(text: &str) -> Result<(), Misfit> {
    let kinds = Hardware::NAMES.map(|(name, _)| name);
    let meant = kinds.into_iter().find(|kind| *kind != text && letters(kind) == letters(text));
    if let Some(kind) = meant {
        return Err(misfit(Code::UnknownWord, "is no hardware", format!("did you mean \"{kind}\"?")));
    }
    let help = "use 1 to 63 of `a` to `z`, digits, `-`, `_` and `.`";
    Tag::new(text).map(drop).ok_or_else(|| misfit(Code::BadName, "is no name of hardware", help))
}

/// What is left of a word when its case, its hyphens, its plural and the order of its letters do not count.
fn letters(word: &str) -> Vec<char> {
    let word = word.to_lowercase();
    let mut letters: Vec<char> = word.strip_suffix('s').unwrap_or(&word).chars().collect();
    letters.retain(|letter| letter.is_alphanumeric());
    letters.sort_unstable();
    letters
}

/// The lowest and the highest port.
pub(crate) fn ports(text: &str) -> Result<RangeInclusive<u16>, Misfit> {
    let help = "write a port from 0 to 65535 as in \"443\", or a range as in \"8000-8100\"";
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()));
    match (port(low), port(high)) {
        (Some(low), Some(high)) if low <= high => Ok(low..=high),
        (Some(_), Some(_)) => Err(misfit(Code::OutOfRange, "ends before it begins", "turn the two around")),
        _ => Err(misfit(Code::OutOfRange, "is no port and no range of ports", help)),
    }
}

pub(crate) fn address(text: &str) -> Result<IpAddr, Misfit> {
    text.parse().map_err(|_| {
        let help = if text.contains('/') {
            "an address stands here, without a prefix length".to_owned()
        } else {
            "write four numbers from 0 to 255 as in \"192.0.2.1\", or IPv6 as in \"2001:db8::1\"".to_owned()
        };
        misfit(Code::BadAddress, "is not an IP address", help)
    })
}

pub(crate) fn prefix(text: &str) -> Result<Prefix, Misfit> {
    text.parse().map_err(|error| match error {
        AddrError::HostBits => host_bits(text),
        AddrError::BadPrefixLength => bad_length(text),
        _ => misfit(
            Code::BadAddress,
            "is not an IP prefix",
            "write an address and how many of its bits count, as in \"10.1.0.0/24\" or \"fd00:64::/64\"",
        ),
    })
}

fn host_bits(text: &str) -> Misfit {
    let masked = split(text).and_then(|(address, len)| Prefix::masked(address, len).ok());
    let help = match masked {
        Some(prefix) => format!("did you mean \"{prefix}\"?"),
        None => "clear the bits after the prefix length".to_owned(),
    };
    misfit(Code::BadAddress, "has bits set after its prefix length", help)
}

fn bad_length(text: &str) -> Misfit {
    let help = match text.split_once('/').and_then(|(address, _)| address.parse().ok()) {
        Some(address) => {
            let family = Family::of(address);
            format!("the length of an {family} prefix is a number from 0 to {}", family.bits())
        }
        None => "the length is a number after the `/`".to_owned(),
    };
    misfit(Code::BadAddress, "has no right prefix length", help)
}

/// An address and its subnet's length; the address may have host bits.
pub(crate) fn subnet(text: &str) -> Result<(IpAddr, u8), Misfit> {
    if let Some((address, len)) = split(text) {
        return if len <= Family::of(address).bits() { Ok((address, len)) } else { Err(bad_length(text)) };
    }
    let help = match text.parse::<IpAddr>() {
        Ok(address) => {
            let usual = if address.is_ipv4() { 24 } else { 64 };
            format!("add the subnet's length, as in \"{address}/{usual}\"")
        }
        Err(_) => "write an address and its subnet's length, as in \"10.1.0.1/16\"".to_owned(),
    };
    Err(misfit(Code::BadAddress, "is not an address with a subnet's length", help))
}

fn split(text: &str) -> Option<(IpAddr, u8)> {
    let (address, len) = text.split_once('/')?;
    let digits = !len.is_empty() && len.bytes().all(|c| c.is_ascii_digit());
    Some((address.parse().ok()?, len.parse().ok().filter(|_| digits)?))
}

pub(crate) fn mac(text: &str) -> Result<Mac, Misfit> {
    text.parse().map_err(|_| {
        let colons = text.replace('-', ":");
        let help = match colons.parse::<Mac>() {
            Ok(mac) => format!("did you mean \"{mac}\"?"),
            Err(_) => {
                "write six pairs of hexadecimal digits with colons, as in \"02:53:54:00:00:64\"".to_owned()
            }
        };
        misfit(Code::BadAddress, "is not a MAC address", help)
    })
}

#[cfg(test)]
mod test {
    use super::*;

    fn refused(form: Form, text: &str) -> String {
        let Err(misfit) = check(form, text) else { panic!("{text} was taken") };
        format!("{}; {}", misfit.text, misfit.help)
    }

    #[test]
    fn names_are_safe_in_file_names() {
        for right in ["gw-a", "a", "7.of_9", &"x".repeat(64)] {
            assert!(check(Form::Name, right).is_ok(), "{right}");
        }
        for wrong in ["", ".", "..", "-x", "a/b", "a b", "gw\0", "gé", &"x".repeat(65)] {
            assert!(check(Form::Name, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn interface_names_follow_linux() {
        for right in ["eth0", "enp3s0f1np1", "a@b", "..."] {
            assert!(check(Form::Interface, right).is_ok(), "{right}");
        }
        for wrong in ["", ".", "..", "eth 0", "a/b", "eth0:1", "sixteen-letters-"] {
            assert!(check(Form::Interface, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_are_absolute_and_do_not_climb() {
        assert!(check(Form::Path, "/run/sterna/gw-a").is_ok());
        for wrong in ["", "run", "./x", "/run/../etc", "/a\0b"] {
            assert!(check(Form::Path, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn key_files_may_be_named_from_the_config_files_folder() {
        for right in ["site-a.key", "keys/site-a.key", "../site-a.key", "/etc/sterna/site-a.key", "a b"] {
            assert!(check(Form::File, right).is_ok(), "{right}");
        }
        for wrong in ["", "keys/", "/", "a\0b", "a\nb"] {
            assert!(check(Form::File, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_xtr_id_has_sixteen_octets() {
        let id = xtr_id("0123456789abcdefFEDCBA9876543210").ok();
        assert_eq!(id.map(|id| (id[0], id[7], id[8], id[15])), Some((0x01, 0xef, 0xfe, 0x10)));
        for wrong in
            ["", "0", &"0".repeat(32), &"1".repeat(31), &"1".repeat(33), &format!("+{}", "1".repeat(31))]
        {
            assert!(xtr_id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn help_says_what_was_meant() {
        assert!(refused(Form::Prefix, "10.1.0.5/24").contains("did you mean \"10.1.0.0/24\"?"));
        assert!(refused(Form::Prefix, "fd00:64::1/64").contains("did you mean \"fd00:64::/64\"?"));
        assert!(refused(Form::Prefix, "10.1.0.0/33").contains("from 0 to 32"));
        assert!(refused(Form::Subnet, "10.1.0.1").contains("\"10.1.0.1/24\""));
        assert!(refused(Form::Subnet, "fd00::1/129").contains("from 0 to 128"));
        assert!(refused(Form::Mac, "02-53-54-00-00-64").contains("\"02:53:54:00:00:64\""));
        assert!(refused(Form::Address, "10.0.0.0/8").contains("without a prefix length"));
        assert!(refused(Form::Address, "300.1.1.1").contains("0 to 255"));
    }

    #[test]
    fn a_subnet_keeps_its_host_bits() {
        let right = subnet("10.1.0.1/16").ok();
        assert_eq!(right, Some(("10.1.0.1".parse().unwrap(), 16)));
    }
}
