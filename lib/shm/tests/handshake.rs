//! Two planes over a real socket: coming together, working, parting, and all kinds of strangers at the door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType};
use sterna_shm::{
    ControlSession, CounterDesc, Counters, DataplaneSession, End, Event, Farewell, HandshakeError, Kind,
    Listener, MessageFault, Offer, PATIENCE, PlaneState, PortDesc, ScopeName, Side, Update, connect,
    session_pair,
};

const RX: CounterDesc = CounterDesc { name: "rx_packets", kind: Kind::Rx, help: "Packets received." };

struct Dataplane {
    listener: Listener,
    counters: Counters,
    ports: Vec<PortDesc>,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

fn counters() -> Counters {
    let scope = ScopeName { worker: 0, port: 0, port_name: "eth1".to_owned(), side: Side::Eid };
    Counters::create(&[RX], &[scope]).unwrap()
}

impl Dataplane {
    fn new() -> Dataplane {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dataplane.sock");
        let port = |name: &str, side| PortDesc { name: name.to_owned(), side };
        Dataplane {
            listener: Listener::bind(&path).unwrap(),
            counters: counters(),
            ports: vec![port("eth1", Side::Eid), port("eth0", Side::Rloc)],
            path,
            _directory: directory,
        }
    }

    /// One step, which must not take long, whoever is at the door.
    fn step(&mut self) -> Result<Option<DataplaneSession>, HandshakeError> {
        let offer = Offer { counters: &self.counters, ring_slots: 64, ports: &self.ports };
        let start = Instant::now();
        let found = self.listener.accept(&offer);
        assert!(start.elapsed() < Duration::from_millis(1500), "accept took {:?}", start.elapsed());
        found
    }

    /// Steps whenever there is something to do, until there is a session or a refusal.
    fn accept(&mut self) -> Result<DataplaneSession, HandshakeError> {
        loop {
            assert!(readable(self.listener.as_fd(), 5000), "nobody came");
            if let Some(session) = self.step()? {
                return Ok(session);
            }
        }
    }

    fn meet(&mut self) -> (DataplaneSession, ControlSession) {
        let path = self.path.clone();
        let control = std::thread::spawn(move || connect(&path));
        let session = self.accept().unwrap();
        (session, control.join().unwrap().unwrap())
    }
}

fn readable(fd: BorrowedFd<'_>, milliseconds: i64) -> bool {
    let timeout = Timespec { tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000 };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&timeout)).unwrap() == 1
}

/// A stranger's connection.
fn stranger(path: &Path) -> OwnedFd {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

#[test]
fn a_session_from_greeting_to_farewell() {
    let mut dataplane = Dataplane::new();
    let (mut session, mut control) = dataplane.meet();
    assert_eq!(control.ports, dataplane.ports);
    assert_eq!(control.incarnation, dataplane.counters.incarnation());
    assert_eq!((session.peer_pid(), control.peer_pid()), (std::process::id(), std::process::id()));

    control.updates.push(&Update::BeginSync { generation: 1 }).unwrap();
    control.updates.push(&Update::EndSync { generation: 1 }).unwrap();
    assert_eq!(session.updates.pop(), Ok(Some(Update::BeginSync { generation: 1 })));
    assert_eq!(session.updates.pop(), Ok(Some(Update::EndSync { generation: 1 })));
    session.events.push(&Event::Applied { generation: 1 }).unwrap();
    assert_eq!(control.events.pop(), Ok(Some(Event::Applied { generation: 1 })));

    dataplane.counters.block(0).unwrap().add(0, 3);
    assert_eq!(control.counters.scopes()[0].value("rx_packets"), Some(3));

    control.beat(5);
    control.set_state(PlaneState::Syncing);
    session.beat(6);
    session.set_state(PlaneState::Running);
    let (seen_below, seen_above) = (session.peer_status(), control.peer_status());
    assert_eq!((seen_below.heartbeat_ns, seen_below.state), (5, Some(PlaneState::Syncing)));
    assert_eq!((seen_above.heartbeat_ns, seen_above.state), (6, Some(PlaneState::Running)));

    assert!(!session.closed() && !control.closed());
    assert!(!readable(session.as_fd(), 0) && !readable(control.as_fd(), 0));
    control.dismiss(Farewell::Stopping);
    assert!(readable(session.as_fd(), 1000));
    assert_eq!(session.end(), Some(End::Farewell(Farewell::Stopping)));
    assert_eq!(session.end(), Some(End::Farewell(Farewell::Stopping)), "the reason is kept");
}

#[test]
fn doorbells_ring_once_per_drain() {
    let mut dataplane = Dataplane::new();
    let (mut session, mut control) = dataplane.meet();
    assert!(!readable(session.doorbell().as_fd(), 0));
    for id in 0..10 {
        control.updates.push(&Update::SetDelete { id }).unwrap();
        control.ring_updates();
    }
    assert!(readable(session.doorbell().as_fd(), 1000));
    let mut count = [0; 8];
    let bell = session.doorbell().as_fd().try_clone_to_owned().unwrap();
    rustix::io::read(&bell, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1, "ten publications, one system call");
    assert!(!session.doorbell().drain(), "already silent, and open again");
    while session.updates.pop().unwrap().is_some() {}

    control.updates.push(&Update::SetDelete { id: 10 }).unwrap();
    control.ring_updates();
    assert!(readable(session.doorbell().as_fd(), 1000));
    assert!(session.doorbell().drain());
    assert!(!readable(session.doorbell().as_fd(), 0));

    session.events.push(&Event::Applied { generation: 1 }).unwrap();
    session.ring_events();
    assert!(readable(control.doorbell().as_fd(), 1000));
    assert!(control.doorbell().drain());
}

#[test]
fn a_sleeping_consumer_misses_nothing() {
    const RECORDS: u32 = 50_000;
    let mut dataplane = Dataplane::new();
    let (mut session, mut control) = dataplane.meet();
    let writer = std::thread::spawn(move || {
        for id in 0..RECORDS {
            while control.updates.push(&Update::SetDelete { id }).is_err() {
                control.ring_updates();
                std::thread::yield_now();
            }
            if id % 7 == 0 || id + 1 == RECORDS {
                control.ring_updates();
            }
        }
        control
    });
    let mut next = 0;
    while next < RECORDS {
        assert!(readable(session.doorbell().as_fd(), 5000), "a wake-up was lost after {next} records");
        session.doorbell().drain();
        while let Some(update) = session.updates.pop().unwrap() {
            assert_eq!(update, Update::SetDelete { id: next });
            next += 1;
        }
    }
    writer.join().unwrap();
}

#[test]
fn a_silent_stranger_holds_nobody_up_and_is_let_go() {
    let mut dataplane = Dataplane::new();
    let start = Instant::now();
    let _silent = stranger(&dataplane.path);
    assert!(readable(dataplane.listener.as_fd(), 1000));
    assert!(dataplane.step().unwrap().is_none());
    assert!(!readable(dataplane.listener.as_fd(), 0), "a silent stranger does not keep the dataplane awake");
    let (session, control) = dataplane.meet();
    assert!(start.elapsed() < PATIENCE, "a control plane is served while the stranger is silent");
    assert!(!session.closed() && !control.closed());
    while start.elapsed() < PATIENCE {
        assert!(dataplane.step().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(matches!(dataplane.step(), Err(HandshakeError::Silent)));
    assert!(dataplane.step().unwrap().is_none());
}

#[test]
fn a_crowd_of_silent_strangers_is_bounded() {
    let mut dataplane = Dataplane::new();
    let mut crowd = Vec::new();
    let mut sent_away = 0;
    for _ in 0..40 {
        crowd.push(stranger(&dataplane.path));
        match dataplane.step() {
            Ok(None) => {}
            Err(HandshakeError::Silent) => sent_away += 1,
            other => panic!("{:?}", other.err()),
        }
    }
    assert_eq!(sent_away, 32, "eight may wait");
    // The newcomer takes a place in the crowd before it has spoken, so one more may be sent away for it.
    let path = dataplane.path.clone();
    let control = std::thread::spawn(move || connect(&path));
    let _session = loop {
        match dataplane.accept() {
            Ok(session) => break session,
            Err(HandshakeError::Silent) => {}
            Err(other) => panic!("{other}"),
        }
    };
    control.join().unwrap().unwrap();
}

#[test]
fn who_speaks_something_else_is_refused() {
    let mut dataplane = Dataplane::new();
    for (greeting, fault) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], MessageFault::Magic),
        (&b"STERNAHS"[..], MessageFault::Malformed),
        (&b"STERNAHS\x01too short"[..], MessageFault::Malformed),
        (&b"STERNAHS\x04\x01"[..], MessageFault::Kind),
        (&b"STERNAHS\x77"[..], MessageFault::Kind),
    ] {
        let socket = stranger(&dataplane.path);
        rustix::net::send(&socket, greeting, SendFlags::empty()).unwrap();
        let found = dataplane.accept().err();
        assert!(matches!(found, Some(HandshakeError::Message(found)) if found == fault), "{found:?}");
        let mut answer = [0; 256];
        let (len, _) = rustix::net::recv(&socket, &mut answer, rustix::net::RecvFlags::empty()).unwrap();
        let sentence = fault.to_string();
        assert_eq!(&answer[..len], [b"STERNAHS\x03", sentence.as_bytes()].concat());
    }
    dataplane.meet();
}

#[test]
fn a_stranger_who_leaves_is_forgotten() {
    let mut dataplane = Dataplane::new();
    drop(stranger(&dataplane.path));
    assert!(matches!(dataplane.accept(), Err(HandshakeError::Gone)));
    assert!(!readable(dataplane.listener.as_fd(), 0));
    dataplane.meet();
}

#[test]
fn each_side_notices_that_the_other_is_gone() {
    let mut dataplane = Dataplane::new();
    let (session, control) = dataplane.meet();
    drop(control);
    assert!(readable(session.as_fd(), 1000));
    assert_eq!(session.end(), Some(End::Gone));

    let (session, mut control) = dataplane.meet();
    session.dismiss(Farewell::ChannelFault);
    drop(session);
    assert!(readable(control.as_fd(), 1000));
    assert_eq!(control.end(), Some(End::Farewell(Farewell::ChannelFault)));
    // The memory outlives the peer.
    control.updates.push(&Update::SetDelete { id: 1 }).unwrap();
    assert_eq!(control.events.pop(), Ok(None));
}

#[test]
fn noise_on_an_established_socket_ends_the_session() {
    let mut dataplane = Dataplane::new();
    let (session, control) = dataplane.meet();
    rustix::net::send(control.as_fd(), b"hello?", SendFlags::empty()).unwrap();
    assert_eq!(session.end(), Some(End::Noise));
}

#[test]
fn the_newest_control_plane_wins() {
    let mut dataplane = Dataplane::new();
    let (old_session, old_control) = dataplane.meet();
    let (mut session, mut control) = dataplane.meet();
    assert!(!old_session.closed(), "until the dataplane decides, both live");
    old_session.dismiss(Farewell::Replaced);
    drop(old_session);
    assert_eq!(old_control.end(), Some(End::Farewell(Farewell::Replaced)));
    control.updates.push(&Update::SetDelete { id: 9 }).unwrap();
    assert_eq!(session.updates.pop(), Ok(Some(Update::SetDelete { id: 9 })));
    assert_eq!(control.incarnation, old_control.incarnation, "one run of the dataplane");
}

#[test]
fn offers_that_cannot_be_made() {
    let counters = counters();
    let port = PortDesc { name: "eth0".to_owned(), side: Side::Both };
    for (ring_slots, ports) in [(0, 1), (3, 1), (1 << 17, 1), (64, 257)] {
        let offer = Offer { counters: &counters, ring_slots, ports: &vec![port.clone(); ports] };
        assert!(
            matches!(session_pair(&offer), Err(HandshakeError::Offer)),
            "{ring_slots} slots, {ports} ports"
        );
    }
    let offer = Offer { counters: &counters, ring_slots: 1 << 16, ports: &vec![port; 256] };
    let (_, mut control) = session_pair(&offer).unwrap();
    assert_eq!((control.updates.free(), control.ports.len()), (1 << 16, 256));
}

#[test]
fn the_socket_file_is_private_and_goes_with_its_listener() {
    let dataplane = Dataplane::new();
    let metadata = std::fs::metadata(&dataplane.path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let directory = dataplane.path.parent().unwrap().to_owned();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1, "no draft is left");
    let Dataplane { listener, path, _directory, .. } = dataplane;
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn a_living_socket_is_not_taken_and_a_dead_one_is() {
    let dataplane = Dataplane::new();
    assert_eq!(Listener::bind(&dataplane.path).err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
    assert!(connect_fails_silently(&dataplane.path), "the first still listens");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stale.sock");
    // The file of a listener that was killed: bound, closed, never unlinked.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(connect(&path), Err(HandshakeError::System { .. })));
    let listener = Listener::bind(&path).unwrap();
    drop(stranger(&path));
    drop(listener);

    let other_kind = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(Listener::bind(&path).err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
    drop(other_kind);
}

/// Whether somebody listens there but does not answer.
fn connect_fails_silently(path: &Path) -> bool {
    matches!(connect(path), Err(HandshakeError::Silent))
}

#[test]
fn a_file_that_is_no_socket_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    std::fs::write(&path, "text").unwrap();
    assert_eq!(Listener::bind(&path).err().map(|error| error.kind()), Some(ErrorKind::AlreadyExists));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(Listener::bind(&link).err().map(|error| error.kind()), Some(ErrorKind::AlreadyExists));
}

#[test]
fn a_successors_socket_file_is_kept() {
    let dataplane = Dataplane::new();
    std::fs::remove_file(&dataplane.path).unwrap();
    let successor = Listener::bind(&dataplane.path).unwrap();
    let Dataplane { listener, path, _directory, .. } = dataplane;
    drop(listener);
    assert!(path.exists());
    drop(successor);
}

#[test]
fn no_dataplane_is_an_error_that_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let error = connect(&directory.path().join("none.sock")).err().unwrap();
    assert!(error.to_string().starts_with("cannot connect to the dataplane's socket"), "{error}");
}

const CHILD: &str = "STERNA_SHM_TEST_SOCKET";

/// The control plane of the test below, in a process of its own.
#[test]
#[ignore = "started by a_killed_control_plane_is_noticed"]
fn child_control_plane() {
    let path = std::env::var_os(CHILD).expect("only the other test runs this");
    let mut control = connect(Path::new(&path)).unwrap();
    control.updates.push(&Update::SetDelete { id: 4711 }).unwrap();
    // Half a publication: staged, never shown.
    control.updates.stage(&Update::SetDelete { id: 4712 }).unwrap();
    control.ring_updates();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_control_plane_is_noticed() {
    let mut dataplane = Dataplane::new();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_control_plane"])
        .env(CHILD, &dataplane.path)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut session = dataplane.accept().unwrap();
    assert_eq!(session.peer_pid(), child.id());
    assert!(readable(session.doorbell().as_fd(), 5000));
    assert_eq!(session.updates.pop(), Ok(Some(Update::SetDelete { id: 4711 })));
    assert!(!session.closed());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(readable(session.as_fd(), 5000));
    assert_eq!(session.end(), Some(End::Gone));
    assert_eq!(session.updates.pop(), Ok(None), "what was not published is not there");
    let (mut session, mut control) = dataplane.meet();
    control.updates.push(&Update::SetDelete { id: 1 }).unwrap();
    assert_eq!(session.updates.pop(), Ok(Some(Update::SetDelete { id: 1 })));
}
