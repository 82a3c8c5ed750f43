//! A working connection between the planes, seen from either side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::counters_view::CountersView;
use crate::doorbell::{Bell, Doorbell};
use crate::event::Event;
use crate::link::{End, Link};
use crate::message::Farewell;
use crate::packets::PacketLink;
use crate::port::PortDesc;
use crate::region::{Region, RegionError, SharedWords, WORD_CONTROL, WORD_DATAPLANE};
use crate::ring::{Consumer, Producer};
use crate::sync::Ordering;
use crate::update::Update;
use crate::words::Words;

/// What a plane says about itself in shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PlaneState {
    /// Not yet doing anything.
    Starting = 0,
    /// Between the begin and the end of a sync.
    Syncing = 1,
    /// In step.
    Running = 2,
    /// About to stop.
    Draining = 3,
    /// Cannot go on; wants to be connected to again.
    Failed = 4,
}

impl PlaneState {
    fn from_number(number: u64) -> Option<PlaneState> {
        use PlaneState::{Draining, Failed, Running, Starting, Syncing};
        [Starting, Syncing, Running, Draining, Failed].into_iter().find(|state| *state as u64 == number)
    }
}

/// What the other plane says about itself; not to be relied upon for anything but showing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerStatus {
    /// When it last said that it is alive, in nanoseconds of CLOCK_MONOTONIC; 0 for never.
    pub heartbeat_ns: u64,
    /// Its state, if it is one.
    pub state: Option<PlaneState>,
}

/// Two words: a plane's heartbeat and state.
struct StatusLine(SharedWords);

impl StatusLine {
    fn at(region: &Region, word: usize) -> Result<StatusLine, RegionError> {
        region.part(word, 2).map(StatusLine).ok_or(RegionError::Size(0))
    }

    fn beat(&self, now_ns: u64) {
        self.0.words()[0].store(now_ns, Ordering::Relaxed);
    }

    fn set_state(&self, state: PlaneState) {
        self.0.words()[1].store(state as u64, Ordering::Relaxed);
    }

    fn read(&self) -> PeerStatus {
        let [heartbeat, state] = [0, 1].map(|word| self.0.words()[word].load(Ordering::Relaxed));
        PeerStatus { heartbeat_ns: heartbeat, state: PlaneState::from_number(state) }
    }
}

/// One ring of a session, with what wakes its consumer.
pub(crate) struct RingParts {
    pub(crate) region: Region,
    pub(crate) ring: SharedWords,
    pub(crate) eventfd: OwnedFd,
}

/// What both ends of a session are built from.
pub(crate) struct Parts {
    pub(crate) socket: OwnedFd,
    pub(crate) updates: RingParts,
    pub(crate) events: RingParts,
    pub(crate) packets: PacketLink,
    pub(crate) peer_pid: u32,
}

const NO_RING: RegionError = RegionError::Header("a number of slots that no ring has");

/// The dataplane's end.
pub struct DataplaneSession {
    /// What the tables shall say.
    pub updates: Consumer<Update>,
    /// What the packets showed.
    pub events: Producer<Event>,
    /// What hosts send to the gateway itself, and its answers.
    pub packets: PacketLink,
    link: Link,
    doorbell: Doorbell,
    bell: Bell,
    own: StatusLine,
    peer: StatusLine,
    peer_pid: u32,
}

impl DataplaneSession {
    pub(crate) fn new(parts: Parts) -> Result<DataplaneSession, RegionError> {
        let Parts { socket, updates, events, packets, peer_pid } = parts;
        Ok(DataplaneSession {
            packets,
            updates: Consumer::new(updates.ring.clone()).ok_or(NO_RING)?,
            events: Producer::new(events.ring.clone()).ok_or(NO_RING)?,
            link: Link::new(socket),
            doorbell: Doorbell::new(updates.eventfd, updates.ring),
            bell: Bell::new(events.eventfd, events.ring),
            own: StatusLine::at(&updates.region, WORD_DATAPLANE)?,
            peer: StatusLine::at(&updates.region, WORD_CONTROL)?,
            peer_pid,
        })
    }

    /// Rung when there are updates. Drain it, then pop until empty, before waiting on it again.
    pub fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    /// Wakes the control plane; call after publishing events.
    #[inline]
    pub fn ring_events(&self) {
        self.bell.ring();
    }

    /// Whether the control plane has hung up or died; one system call.
    pub fn closed(&self) -> bool {
        self.link.end().is_some()
    }

    /// How the session ended, if it has.
    pub fn end(&self) -> Option<End> {
        self.link.end()
    }

    /// Ends the session and tells the control plane why.
    pub fn dismiss(&self, farewell: Farewell) {
        self.link.dismiss(farewell);
    }

    /// Says that the dataplane is alive: nanoseconds of CLOCK_MONOTONIC.
    pub fn beat(&self, now_ns: u64) {
        self.own.beat(now_ns);
    }

    /// Says what the dataplane is doing.
    pub fn set_state(&self, state: PlaneState) {
        self.own.set_state(state);
    }

    /// What the control plane says about itself.
    pub fn peer_status(&self) -> PeerStatus {
        self.peer.read()
    }

    /// Process number of the control plane, from the kernel.
    pub fn peer_pid(&self) -> u32 {
        self.peer_pid
    }
}

/// Readable when the control plane hung up (then [`DataplaneSession::closed`] says so).
impl AsFd for DataplaneSession {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

/// The control plane's end.
pub struct ControlSession {
    /// What the tables shall say.
    pub updates: Producer<Update>,
    /// What the packets showed.
    pub events: Consumer<Event>,
    /// What hosts send to the gateway itself, and its answers; for whoever takes it.
    pub packets: Option<PacketLink>,
    /// The dataplane's counters.
    pub counters: CountersView,
    /// Its ports; a position here is the port index of the records.
    pub ports: Vec<PortDesc>,
    /// The random number of that run of the dataplane: another number means that its tables are empty.
    pub incarnation: u64,
    link: Link,
    doorbell: Doorbell,
    bell: Bell,
    own: StatusLine,
    peer: StatusLine,
    peer_pid: u32,
}

impl ControlSession {
    pub(crate) fn new(
        parts: Parts,
        counters: CountersView,
        ports: Vec<PortDesc>,
        incarnation: u64,
    ) -> Result<ControlSession, RegionError> {
        let Parts { socket, updates, events, packets, peer_pid } = parts;
        Ok(ControlSession {
            packets: Some(packets),
            updates: Producer::new(updates.ring.clone()).ok_or(NO_RING)?,
            events: Consumer::new(events.ring.clone()).ok_or(NO_RING)?,
            counters,
            ports,
            incarnation,
            link: Link::new(socket),
            doorbell: Doorbell::new(events.eventfd, events.ring),
            bell: Bell::new(updates.eventfd, updates.ring),
            own: StatusLine::at(&updates.region, WORD_CONTROL)?,
            peer: StatusLine::at(&updates.region, WORD_DATAPLANE)?,
            peer_pid,
        })
    }

    /// Rung when there are events. Drain it, then pop until empty, before waiting on it again.
    pub fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    /// Wakes the dataplane; call after publishing updates.
    #[inline]
    pub fn ring_updates(&self) {
        self.bell.ring();
    }

    /// Whether the dataplane has hung up or died; one system call.
    pub fn closed(&self) -> bool {
        self.link.end().is_some()
    }

    /// How the session ended, if it has. After [`Farewell::Replaced`] do not connect again at once, or two control
    /// planes replace each other for ever.
    pub fn end(&self) -> Option<End> {
        self.link.end()
    }

    /// Ends the session and tells the dataplane why.
    pub fn dismiss(&self, farewell: Farewell) {
        self.link.dismiss(farewell);
    }

    /// Says that the control plane is alive: nanoseconds of CLOCK_MONOTONIC.
    pub fn beat(&self, now_ns: u64) {
        self.own.beat(now_ns);
    }

    /// Says what the control plane is doing.
    pub fn set_state(&self, state: PlaneState) {
        self.own.set_state(state);
    }

    /// What the dataplane says about itself in this session.
    pub fn peer_status(&self) -> PeerStatus {
        self.peer.read()
    }

    /// Process number of the dataplane, from the kernel.
    pub fn peer_pid(&self) -> u32 {
        self.peer_pid
    }
}

/// Readable when the dataplane hung up (then [`ControlSession::closed`] says so).
impl AsFd for ControlSession {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}
