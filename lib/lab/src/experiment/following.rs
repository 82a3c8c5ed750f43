//! When packets followed what was said of their mapping, told from what passed the core.

use std::net::IpAddr;
use std::time::Duration;

/// What passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// A Map-Register of the EID with this locator.
    Register(IpAddr),
    /// A Map-Notify to the ITR with this locator.
    Notify(IpAddr),
    /// The ITR's word that it has been told.
    Acknowledgement,
    /// A packet of the ITR for the EID, to this locator.
    Packet(IpAddr),
}

/// One change that was followed; moments are on the kernel's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was registered; none when that was not seen.
    pub registered: Option<Duration>,
    /// When the ITR was told for the first time.
    pub notified: Duration,
    /// When the ITR said that it knew: its control plane had done its part. None when that came after the packet.
    pub acknowledged: Option<Duration>,
    /// When the first packet came that followed it.
    pub followed: Duration,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// In the order in which they happened.
    pub changes: Vec<Change>,
    /// Changes that no packet had followed yet when the next one was told: how long that took. Each would have been
    /// followed later than that.
    pub overtaken: Vec<Duration>,
    /// The last change was followed by no packet.
    pub abandoned: bool,
    /// Packets to another locator after one had followed the change.
    pub strayed: u64,
}

/// What is being waited for.
struct Pending {
    locator: IpAddr,
    registered: Option<Duration>,
    notified: Duration,
    acknowledged: Option<Duration>,
}

/// Goes through what passed, in the order of time.
pub fn follow(passed: impl IntoIterator<Item = (Duration, Passed)>) -> Following {
    let mut following = Following::default();
    let (mut told, mut registered) = (None::<IpAddr>, None::<(IpAddr, Duration)>);
    let mut pending: Option<Pending> = None;
    for (at, passed) in passed {
        match passed {
            // A message that is sent again says nothing new.
            Passed::Register(locator) if registered.is_none_or(|(known, _)| known != locator) => {
                registered = Some((locator, at));
            }
            Passed::Notify(locator) if told != Some(locator) => {
                following.overtaken.extend(pending.take().map(|before| at.saturating_sub(before.notified)));
                let registered = registered.filter(|(known, _)| *known == locator).map(|(_, at)| at);
                pending = Some(Pending { locator, registered, notified: at, acknowledged: None });
                told = Some(locator);
            }
            Passed::Register(_) | Passed::Notify(_) => {}
            Passed::Acknowledgement => {
                if let Some(waiting) = &mut pending {
                    waiting.acknowledged.get_or_insert(at);
                }
            }
            Passed::Packet(to) => match pending.take() {
                Some(Pending { locator, registered, notified, acknowledged }) if locator == to => {
                    following.changes.push(Change { registered, notified, acknowledged, followed: at });
                }
                Some(waiting) => pending = Some(waiting),
                None => {
                    following.strayed += u64::from(told.is_some_and(|told| told != to));
                    told = Some(to);
                }
            },
        }
    }
    following.abandoned = pending.is_some();
    following
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 5));

    fn run(passed: &[Passed]) -> Following {
        follow((0_u64..).map(Duration::from_micros).zip(passed.iter().copied()))
    }

    #[test]
    fn the_first_packet_to_the_new_locator_counts() {
        let seen = run(&[
            Passed::Packet(ONE),
            Passed::Register(OTHER),
            Passed::Packet(ONE),
            Passed::Notify(OTHER),
            Passed::Packet(ONE),
            Passed::Acknowledgement,
            Passed::Acknowledgement,
            Passed::Notify(OTHER),
            Passed::Packet(OTHER),
            Passed::Packet(OTHER),
            Passed::Acknowledgement,
        ]);
        let change = Change {
            registered: Some(Duration::from_micros(1)),
            notified: Duration::from_micros(3),
            acknowledged: Some(Duration::from_micros(5)),
            followed: Duration::from_micros(8),
        };
        assert_eq!(seen, Following { changes: vec![change], ..Following::default() });
    }

    #[test]
    fn what_nobody_follows_is_counted() {
        let seen =
            run(&[Passed::Packet(ONE), Passed::Notify(OTHER), Passed::Packet(ONE), Passed::Notify(ONE)]);
        assert_eq!((seen.changes.len(), seen.abandoned), (0, true));
        assert_eq!(seen.overtaken, [Duration::from_micros(2)]);
    }

    #[test]
    fn a_packet_that_goes_back_has_strayed() {
        let seen = run(&[
            Passed::Packet(ONE),
            Passed::Notify(OTHER),
            Passed::Packet(OTHER),
            Passed::Packet(ONE),
            Passed::Packet(OTHER),
        ]);
        assert_eq!((seen.changes.len(), seen.strayed), (1, 2));
    }
}
