use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::counters::Counters;
use crate::description::{CounterDesc, Kind, ScopeName};
use crate::listener::Listener;
use crate::port::Side;
use crate::update::Update;

const RX: CounterDesc = CounterDesc { name: "rx_packets", kind: Kind::Rx, help: "Packets received." };

struct Dataplane {
    listener: Listener,
    counters: Counters,
    path: PathBuf,
    directory: tempfile::TempDir,
}

impl Dataplane {
    fn new() -> Dataplane {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dataplane.sock");
        let scope = ScopeName { worker: 0, port: 0, port_name: "eth0".to_owned(), side: Side::Rloc };
        let counters = Counters::create(&[RX], &[scope]).unwrap();
        Dataplane { listener: Listener::bind(&path).unwrap(), counters, path, directory }
    }

    /// Accepts until there is a session or a refusal.
    fn accept(&mut self) -> Result<DataplaneSession, HandshakeError> {
        let offer = Offer { counters: &self.counters, ring_slots: 8, ports: &[] };
        for _ in 0..1000 {
            if let Some(session) = self.listener.accept(&offer)? {
                return Ok(session);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("nobody came");
    }

    /// What a control plane and the dataplane each say when the former greets like this.
    fn meet(
        &mut self,
        hello: Hello,
    ) -> (Result<ControlSession, HandshakeError>, Result<DataplaneSession, HandshakeError>) {
        let path = self.path.clone();
        let control = std::thread::spawn(move || connect_as(&path, &hello, PATIENCE));
        let dataplane = self.accept();
        (control.join().unwrap(), dataplane)
    }
}

#[test]
fn another_version_is_refused_in_one_sentence_and_the_old_session_goes_on() {
    let mut dataplane = Dataplane::new();
    let (mut control, mut session) = match dataplane.meet(Hello::ours()) {
        (Ok(control), Ok(session)) => (control, session),
        (control, session) => panic!("{:?} {:?}", control.err(), session.err()),
    };
    for (oldest, newest) in [(LAYOUT_VERSION + 1, LAYOUT_VERSION + 2), (0, LAYOUT_VERSION - 1), (9, 3)] {
        let (refused, turned_away) = dataplane.meet(Hello { oldest, newest, ..Hello::ours() });
        assert!(matches!(turned_away, Err(HandshakeError::Version { .. })));
        let Err(HandshakeError::Refused(sentence)) = refused else { panic!("not refused") };
        for part in [format!("version {LAYOUT_VERSION},"), format!(" {oldest} to {newest}:")] {
            assert!(sentence.contains(&part), "{sentence:?} lacks {part:?}");
        }
    }
    assert!(!control.closed() && !session.closed());
    control.updates.push(&Update::SetDelete { id: 1 }).unwrap();
    assert_eq!(session.updates.pop(), Ok(Some(Update::SetDelete { id: 1 })));
}

#[test]
fn a_range_of_versions_that_has_ours_is_welcome() {
    let mut dataplane = Dataplane::new();
    let (control, session) = dataplane.meet(Hello { oldest: 0, newest: 99, ..Hello::ours() });
    assert!(control.is_ok() && session.is_ok());
}

#[test]
fn other_records_under_the_same_version_are_refused() {
    let mut dataplane = Dataplane::new();
    let (refused, turned_away) = dataplane.meet(Hello { abi: ABI_HASH ^ 1, ..Hello::ours() });
    assert!(matches!(turned_away, Err(HandshakeError::Records { .. })));
    let Err(HandshakeError::Refused(sentence)) = refused else { panic!("not refused") };
    assert!(sentence.contains(&format!("{ABI_HASH:#018x}")), "{sentence:?}");
}

/// Needs root: another user must get as far as the handshake, past the socket's mode.
#[test]
fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: needs root to become another user");
        return;
    }
    let mut dataplane = Dataplane::new();
    std::fs::set_permissions(dataplane.directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&dataplane.path, PermissionsExt::from_mode(0o666)).unwrap();
    let path = dataplane.path.clone();
    let stranger = std::thread::spawn(move || {
        // Changes this thread only.
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
        connect(&path)
    });
    let turned_away = dataplane.accept();
    assert!(matches!(turned_away, Err(HandshakeError::ForeignUser { peer: 65534, own: 0 })));
    let Err(HandshakeError::Refused(sentence)) = stranger.join().unwrap() else { panic!("not refused") };
    assert!(sentence.contains("65534"), "{sentence:?}");
}

#[test]
fn a_dataplane_that_says_nothing_is_not_waited_for() {
    let dataplane = Dataplane::new();
    let start = std::time::Instant::now();
    let found = connect_as(&dataplane.path, &Hello::ours(), Duration::from_millis(50));
    assert!(matches!(found, Err(HandshakeError::Silent)));
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// A socket pair on whose far end this welcome with these descriptors has been sent.
fn forged_welcome(
    message: &Message,
    descriptors: &[BorrowedFd<'_>],
) -> Result<ControlSession, HandshakeError> {
    let (near, far) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .unwrap();
    link::send(near.as_fd(), message, descriptors, SendFlags::empty()).unwrap();
    drop(near);
    take_welcome(far, 1)
}

#[test]
fn a_forged_welcome_is_refused() {
    let ring = |purpose| fresh_ring(purpose, 8, 7).unwrap();
    let (updates, events) = (ring(Purpose::Updates), ring(Purpose::Events));
    let counters = Counters::create(&[RX], &[]).unwrap().file().unwrap();
    let (pipe, _writer) = std::io::pipe().unwrap();
    let (packets, _far) = PacketLink::pair().unwrap();
    let p = packets.as_fd();
    let (u, e, c) = (updates.region.fd(), events.region.fd(), counters.as_fd());
    let (ue, ee) = (updates.eventfd.as_fd(), events.eventfd.as_fd());
    let welcome = |incarnation| Message::Welcome { incarnation, ports: Vec::new() };

    assert!(forged_welcome(&welcome(7), &[u, e, c, ue, ee, p]).is_ok(), "the honest one");
    type Check = fn(&HandshakeError) -> bool;
    let is_descriptors: Check = |error| matches!(error, HandshakeError::Descriptors { .. });
    let is_region: Check = |error| matches!(error, HandshakeError::Region(_));
    let cases: [(u64, &[BorrowedFd<'_>], Check); 9] = [
        (7, &[], is_descriptors),
        (7, &[u, e, c, ue, ee], is_descriptors),
        (7, &[u, e, c, pipe.as_fd(), ee, p], is_descriptors),
        (7, &[u, e, c, ue, c, p], is_descriptors),
        (7, &[u, e, c, ue, ee, c], is_descriptors),
        (7, &[u, e, c, ue, ee, pipe.as_fd()], is_descriptors),
        (7, &[e, u, c, ue, ee, p], is_region),
        (7, &[u, e, u, ue, ee, p], is_region),
        (8, &[u, e, c, ue, ee, p], is_region),
    ];
    for (number, (incarnation, descriptors, check)) in cases.into_iter().enumerate() {
        let found = forged_welcome(&welcome(incarnation), descriptors).err();
        assert!(found.as_ref().is_some_and(check), "case {number}: {found:?}");
    }
    let found = forged_welcome(&Message::Hello(Hello::ours()), &[]);
    assert!(matches!(found, Err(HandshakeError::Message(MessageFault::Kind))));
}

#[test]
fn no_descriptor_stays_behind() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    // Other tests of this process open descriptors too, so only a growth with the number of rounds counts.
    let before = open();
    for _ in 0..200 {
        let ring = fresh_ring(Purpose::Updates, 8, 7).unwrap();
        let fd = ring.region.fd();
        let found =
            forged_welcome(&Message::Welcome { incarnation: 7, ports: Vec::new() }, &[fd, fd, fd, fd]);
        assert!(matches!(found, Err(HandshakeError::Descriptors { found: 4 })));
    }
    assert!(open() < before + 200, "descriptors of refused welcomes are closed");
}

#[test]
fn descriptors_are_closed_on_exec() {
    let dataplane = Dataplane::new();
    let offer = Offer { counters: &dataplane.counters, ring_slots: 8, ports: &[] };
    let (session, control) = session_pair(&offer).unwrap();
    let packets = control.packets.as_ref().unwrap().as_fd();
    let rings = [session.as_fd(), session.doorbell().as_fd(), control.as_fd(), control.doorbell().as_fd()];
    for fd in rings.into_iter().chain([packets, session.packets.as_fd()]) {
        let flags = rustix::io::fcntl_getfd(fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "descriptor {}", fd.as_raw_fd());
    }
}

#[test]
fn no_two_reasons_share_a_sentence() {
    let reasons = [
        HandshakeError::Refused("x".to_owned()),
        HandshakeError::ForeignUser { peer: 1, own: 2 },
        HandshakeError::Version { ours: 1, oldest: 2, newest: 3 },
        HandshakeError::Records { version: 1, ours: 2, theirs: 3 },
        HandshakeError::Silent,
        HandshakeError::Gone,
        HandshakeError::Message(MessageFault::Magic),
        HandshakeError::Message(MessageFault::Kind),
        HandshakeError::Message(MessageFault::Malformed),
        HandshakeError::Descriptors { found: 1 },
        HandshakeError::Region(RegionError::Unsealed),
        HandshakeError::Region(RegionError::Size(1)),
        HandshakeError::Region(RegionError::Header("x")),
        HandshakeError::Region(RegionError::Description("x")),
        HandshakeError::Offer,
    ];
    let sentences: std::collections::HashSet<String> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(sentences.len(), reasons.len());
}
