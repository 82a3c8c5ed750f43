//! The ends that a frame can meet in the XDP program.

macro_rules! verdicts {
    ($($name:ident $text:literal $help:literal)*) => {
        /// Where the XDP program sent a frame, and why. The order is that of `enum verdict` in
        /// `bpf/steer.bpf.c`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Verdict {
            $(#[doc = $help] $name,)*
        }

        impl Verdict {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The counter's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// The counter's meaning in a sentence.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help),* }
            }
        }
    };
}

verdicts! {
    SocketLisp "socket_lisp" "LISP data for one of our RLOCs, to the dataplane"
    SocketTransit "socket_transit" "a packet from an agent that is not for this box, to the dataplane"
    SocketNeighbour "socket_neighbour" "ARP or neighbour discovery on an eid-side port, to the dataplane"
    KernelLocal "kernel_local" "for one of the box's own addresses and not LISP data, to the kernel"
    KernelFragment "kernel_fragment" "a fragment for one of our RLOCs, to the kernel"
    KernelOtherAddress "kernel_other_address" "rloc-side and for no address of ours, to the kernel"
    KernelOtherMac "kernel_other_mac" "for a MAC address that is neither the port's nor a group's, to the kernel"
    KernelMulticast "kernel_multicast" "multicast or broadcast other than ARP and neighbour discovery, to the kernel"
    KernelNotIp "kernel_not_ip" "neither IPv4 nor IPv6, nor ARP on an eid-side port, to the kernel"
    KernelTags "kernel_tags" "more than one VLAN tag or an 802.1ad tag, to the kernel"
    KernelMalformed "kernel_malformed" "too short for its headers or not of the version it claims, to the kernel"
    KernelNoWorker "kernel_no_worker" "for the dataplane, but no worker has the queue: rloc-side, to the kernel"
    DropNoWorker "drop_no_worker" "for the dataplane, but no worker has the queue: eid-side, dropped so that nothing leaves in the clear"
}

/// What the XDP program does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is dropped.
    Drop,
    /// The kernel gets it, as if there were no XDP program.
    Kernel,
    /// A worker's socket gets it.
    Socket,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_the_c_program() {
        let source = include_str!("../../bpf/steer.bpf.c");
        let (_, list) = source.split_once("enum verdict {").unwrap();
        let (list, _) = list.split_once("VERDICTS,").unwrap();
        let in_c: Vec<String> = list.split(',').map(|name| name.trim().to_lowercase()).collect();
        let in_rust: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
        assert_eq!(in_c[..in_c.len() - 1], in_rust);
    }

    #[test]
    fn no_two_share_a_name_or_a_sentence() {
        for (i, a) in Verdict::ALL.iter().enumerate() {
            for b in &Verdict::ALL[i + 1..] {
                assert_ne!(a.name(), b.name());
                assert_ne!(a.help(), b.help());
            }
        }
    }
}
