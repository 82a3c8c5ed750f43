//! The stable codes of everything that can be found wrong with a file.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $meaning:literal;)*) => {
        /// What kind of mistake a finding is. A code never changes its meaning and is never used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $meaning] $name,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The code as printed, such as `STERNA-C014`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => concat!("STERNA-", $text),)* }
            }

            /// One sentence on what the code stands for.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    Unreadable = "C001", "The file cannot be read.";
    Syntax = "C002", "The file is not TOML.";
    DuplicateKey = "C003", "A key or table is given twice.";
    UnknownField = "C004", "No such field exists.";
    NotSupportedYet = "C005", "The feature is planned and not in this release.";
    WrongType = "C006", "The value has the wrong type.";
    OutOfRange = "C007", "The number is outside what is allowed.";
    MissingField = "C008", "A required field is not there.";
    UnknownWord = "C009", "The word is none of those allowed.";
    BadAddress = "C010", "The text is not an address, prefix or MAC.";
    BadName = "C011", "The name or path is empty, too long, or holds unsafe characters.";
    BadCount = "C012", "The list has too few or too many entries.";
    Internal = "C019", "The file seems right, yet could not be read: a mistake in Sterna.";
    GivenTwice = "C020", "Two entries have the same name, number or address.";
    TagTaken = "C021", "Two groups share a port and VLAN.";
    UnknownPort = "C022", "A port is named that the file does not have.";
    WrongSide = "C023", "The port faces the other side.";
    NoPortOfSide = "C024", "The gateway lacks an eid-side or an rloc-side port, or a locator.";
    TagNeeded = "C025", "A group on a port of both sides needs a VLAN.";
    BadGateway = "C030", "The address cannot be a group's gateway.";
    OutsideGateway = "C031", "An EID lies outside the subnets of its group's gateway.";
    BadVia = "C032", "The inner router of an EID-prefix cannot be reached.";
    Overlap = "C033", "Two EID-prefixes of a group overlap to no effect.";
    BadMac = "C034", "The MAC cannot be a gateway's.";
    BadEid = "C035", "The prefix cannot be an EID.";
    DynamicAlone = "C036", "Agents may come and go, and nobody would be told where they are.";
    UnknownGroup = "C040", "A mapping names an instance-ID that no group has.";
    MappedAndServed = "C041", "A prefix is both served here and mapped elsewhere.";
    NoLocalFamily = "C042", "No locator of ours has the remote locator's address family.";
    OwnLocator = "C043", "A mapping leads back to this gateway.";
    NoUsableLocator = "C044", "A mapping's priorities or weights leave nothing to send by.";
    BadLocator = "C045", "The address cannot be a locator.";
    NeedlessChecksum = "C046", "The UDP checksum knob is for IPv6 locators.";
    SmallMtu = "C050", "The underlay cannot carry IPv6's 1280 bytes plus the LISP headers.";
    NotPowerOfTwo = "C051", "A ring's size is not a power of two.";
    FewFrames = "C052", "The rings need more frames than there are.";
    TableTooSmall = "C053", "The file has more entries than the table is built for.";
    TooManyQueues = "C054", "A port has more queues than there are workers.";
    NoSuchInterface = "C060", "The host has no such interface.";
    DefaultRoute = "C061", "The port carries the host's default route.";
    HostMtu = "C062", "The interface's MTU is too small.";
    NoSuchCore = "C063", "The host has no such core for us.";
    HostQueues = "C064", "The interface has another number of receive queues.";
    BadInterface = "C065", "The interface cannot be a port.";
    NeedsRole = "C070", "The section is for a role that the gateway does not have.";
    IdleSite = "C071", "A site has nothing to register, or no key to register with.";
    SendingKey = "C072", "It is not clear which key a map-server's registers are signed with.";
    OwnServer = "C073", "The gateway would ask itself.";
    BadServer = "C074", "The address cannot be a map-server's or map-resolver's.";
    TakenPrefix = "C075", "One prefix belongs to two sites.";
    BadKeyFile = "C076", "A key file cannot be read.";
    OpenKeyFile = "C077", "A key file is open to every user.";
    BadSecret = "C078", "A key file holds no secret.";
    UnknownClass = "C080", "A policy names a class that the file does not have.";
    UnknownPolicyGroup = "C081", "A policy names a group that the file does not have.";
    VoidPolicy = "C082", "No packet can meet the policy.";
    LatePolicy = "C083", "An earlier policy takes all that the policy is for.";
    BadNeed = "C084", "A class's needs cannot be told to the mapping system.";
    BadSkill = "C085", "A skill's EIDs are those of single agents too.";
    SkillOutside = "C086", "A site may not register the EIDs of its skill.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_codes_share_a_number_or_a_sentence() {
        let numbers: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let sentences: BTreeSet<_> = Code::ALL.iter().map(|code| code.meaning()).collect();
        assert_eq!(numbers.len(), Code::ALL.len());
        assert_eq!(sentences.len(), Code::ALL.len());
    }

    #[test]
    fn codes_have_one_shape() {
        for code in Code::ALL {
            let digits = code.as_str().strip_prefix("STERNA-C").unwrap();
            assert!(digits.len() == 3 && digits.bytes().all(|c| c.is_ascii_digit()), "{code}");
            assert!(code.meaning().ends_with('.'), "{code}");
        }
    }
}
