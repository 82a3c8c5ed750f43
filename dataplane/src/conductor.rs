//! The one thread that is not in a hurry: it speaks with the control plane, writes the tables and keeps the XDP
//! program informed, so that the workers never have to.

use crate::apply::{Applier, SteeringChange};
use crate::courier::carry;
use crate::known::{Dump, Filled};
use crate::state::{Uplink, Upward};
use crate::usage::Usage;
use crate::worker::{Shared, now_ns};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use sterna_shm::{Counters, DataplaneSession, Event, Farewell, Listener, Offer, PortDesc};
use sterna_table::{Domain, Stamp};
use sterna_wire::Iid;
use tracing::{info, warn};

/// Updates applied between two looks at everything else: a full sync must not delay heartbeats or neighbours.
const UPDATES_PER_TURN: usize = 4096;
/// Longest sleep: the heartbeat's period, and how late a retired row may be freed.
const TURN_MS: i64 = 100;
/// Sleep while a finished sync waits for workers to pass.
const SETTLE_MS: i64 = 1;
/// Sleep while events wait for room in the ring, whose reader does not wake us.
const UNSENT_MS: i64 = 10;
/// Slots of the rings between the planes (256 bytes each).
const RING_SLOTS: usize = 4096;

/// Who carries out steering changes: the XDP program, or nobody in tests.
pub trait Steer {
    /// Carries out one change; errors are logged by the implementor.
    fn steer(&mut self, change: &SteeringChange);
}

/// What the conductor needs.
pub struct ConductorParts {
    /// Writer of the tables.
    pub applier: Applier,
    /// The readers' domain.
    pub domain: Arc<Domain>,
    /// Events from workers.
    pub uplink: Uplink,
    /// Shared with workers.
    pub shared: Arc<Shared>,
    /// The counters to offer.
    pub counters: Counters,
    /// The ports to offer.
    pub ports: Vec<PortDesc>,
    /// Where the control plane connects.
    pub listener: Listener,
}

/// The conductor.
pub struct Conductor<S: Steer> {
    parts: ConductorParts,
    steering: S,
    session: Option<DataplaneSession>,
    /// Events that found the ring full and may be lost; bounded by [`RING_SLOTS`].
    outbox: VecDeque<Event>,
    /// What the control plane is told first, until it has all of it; nothing else is said before.
    dump: Option<Dump>,
    /// What became of hosts that were asked for: never lost, and bounded by how many can be asked for.
    verdicts: VecDeque<Event>,
    usage: Usage,
    /// Agents that the control plane is to be told of, each once, as they are when there is room: never lost, and
    /// bounded by how many there are.
    agents_due: BTreeSet<(Iid, IpAddr)>,
    /// The newest sync that every worker uses and the control plane has not been told of.
    applied: Option<Event>,
    /// The last barrier that every worker has passed and that was not told yet.
    reached: Option<Event>,
    /// Syncs that ended in this turn's updates; they settle once published.
    finished: Vec<Event>,
    /// Syncs that are published but not yet seen by every worker.
    settling: VecDeque<(Stamp, Event)>,
}

impl<S: Steer> Conductor<S> {
    /// A conductor ready to run.
    pub fn new(parts: ConductorParts, steering: S) -> Conductor<S> {
        Conductor {
            parts,
            steering,
            session: None,
            outbox: VecDeque::new(),
            dump: None,
            verdicts: VecDeque::new(),
            usage: Usage::default(),
            agents_due: BTreeSet::new(),
            applied: None,
            reached: None,
            finished: Vec::new(),
            settling: VecDeque::new(),
        }
    }

    /// The program that steers frames to us, at the end.
    pub fn into_steering(self) -> S {
        if let Some(session) = &self.session {
            session.dismiss(Farewell::Stopping);
        }
        self.steering
    }

    /// Runs until `stop` is readable.
    pub fn run(&mut self, stop: BorrowedFd<'_>) {
        loop {
            let more = self.turn();
            if self.wait(stop, more) {
                return;
            }
        }
    }

    /// One look at everything; true if there is more to do at once.
    pub fn turn(&mut self) -> bool {
        let now = now_ns();
        self.parts.counters.beat(now);
        self.parts.applier.set_time(now);
        self.accept();
        let more = self.take_updates();
        let learned = self.take_uplink();
        let silent = self.check_hosts();
        self.look_at_marks(now);
        if more.is_some() || learned || silent {
            self.publish();
        }
        self.parts.applier.reclaim();
        self.confirm();
        let searching = self.send_events();
        self.carry_packets();
        if let Some(session) = &self.session {
            session.beat(now);
            if session.closed() {
                info!("the control plane is gone; forwarding goes on with the last tables");
                self.session = None;
            }
        }
        more == Some(true) || searching
    }

    /// Carries what agents and the control plane say to each other.
    fn carry_packets(&mut self) {
        if !carry(self.session.as_ref(), &self.parts.shared)
            && let Some(session) = self.session.take_if(|session| !session.closed())
        {
            warn!(
                "the control plane closed the way of its packets; forwarding goes on, a resync is asked for"
            );
            session.dismiss(Farewell::ChannelFault);
        }
    }

    /// Has hosts asked for, and gives up those that stay silent; true if any was.
    fn check_hosts(&mut self) -> bool {
        let due = self.parts.applier.due_checks();
        self.parts.shared.ask(due.asks);
        let silent = !due.verdicts.is_empty();
        self.verdicts.extend(due.verdicts);
        silent
    }

    /// Tells what the packets used. Not while other events wait: those matter more, and marks stay until taken.
    fn look_at_marks(&mut self, now_ns: u64) {
        if self.may_look() {
            let (usage, outbox) = (&mut self.usage, &mut self.outbox);
            usage.look(&self.parts.applier, now_ns, |event| outbox.push_back(event));
        }
    }

    fn accept(&mut self) {
        let ConductorParts { listener, counters, ports, .. } = &mut self.parts;
        let offer = Offer { counters, ring_slots: RING_SLOTS, ports };
        match listener.accept(&offer) {
            Ok(Some(session)) => {
                info!(pid = session.peer_pid(), "control plane connected");
                if let Some(old) = self.session.replace(session) {
                    old.dismiss(Farewell::Replaced);
                }
                self.parts.applier.begin_session();
                self.finished.clear();
                self.settling.clear();
                self.outbox.clear();
                self.verdicts.clear();
                self.applied = None;
                self.reached = None;
                self.dump = Some(Dump::default());
                self.agents_due = self.parts.applier.agents().collect();
            }
            Ok(None) => {}
            Err(error) => warn!(%error, "a control plane was refused"),
        }
    }

    /// Applies what the control plane sent: `None` when there was nothing, `Some(true)` when there is more.
    fn take_updates(&mut self) -> Option<bool> {
        let session = self.session.as_mut()?;
        session.doorbell().drain();
        let mut applied = 0;
        while applied < UPDATES_PER_TURN {
            let fault = match session.updates.pop() {
                Ok(None) => break,
                Ok(Some(update)) => match self.parts.applier.apply(&update) {
                    Ok(None) => None,
                    Ok(Some(event @ (Event::Applied { .. } | Event::Reached { .. }))) => {
                        self.finished.push(event);
                        None
                    }
                    Ok(Some(event @ Event::AgentGone { .. })) => {
                        self.verdicts.push_back(event);
                        None
                    }
                    Ok(Some(event)) => {
                        let refused = u64::from(matches!(event, Event::Refused { .. }));
                        self.parts.shared.updates_refused.fetch_add(refused, Ordering::Relaxed);
                        self.outbox.push_back(event);
                        None
                    }
                    Err(fault) => Some(fault.to_string()),
                },
                Err(fault) => Some(fault.to_string()),
            };
            if let Some(fault) = fault {
                warn!(fault, "the updates channel failed; forwarding goes on, a resync is asked for");
                session.dismiss(Farewell::ChannelFault);
                self.session = None;
                return Some(false);
            }
            applied += 1;
        }
        (applied > 0).then_some(applied == UPDATES_PER_TURN)
    }

    fn take_uplink(&mut self) -> bool {
        let mut bell = [0; 8];
        // Not readable means not rung; the queue is looked at all the same.
        let _ = rustix::io::read(&self.parts.shared.conductor, &mut bell);
        let mut learned = false;
        // Bounded by the queue's size per turn, so that a storm cannot keep the updates waiting.
        for _ in 0..self.parts.uplink.capacity() {
            let Some(seen) = self.parts.uplink.pop() else { break };
            match (self.parts.applier.learn(&seen), seen) {
                // As it was said: the table may not have this host, or another in its place.
                (Some(event), Upward::Seen { .. }) => self.verdicts.push_back(event),
                (Some(Event::Agent { iid, eid, .. }), _) => {
                    learned = true;
                    self.agents_due.insert((iid, eid));
                }
                (Some(event), _) => self.outbox.push_back(event),
                (None, _) => {}
            }
        }
        learned
    }

    fn publish(&mut self) {
        for change in self.parts.applier.flush() {
            self.steering.steer(&change);
        }
        // Release: pairs with the Acquire in Worker::release, which then finds the new entries.
        self.parts.shared.tables_version.fetch_add(1, Ordering::Release);
        for event in self.finished.drain(..) {
            self.settling.push_back((self.parts.domain.advance(), event));
        }
    }

    fn confirm(&mut self) {
        while let Some((stamp, event)) = self.settling.front() {
            if !self.parts.domain.passed(*stamp) {
                return;
            }
            match event {
                Event::Reached { .. } => self.reached = Some(*event),
                _ => self.applied = Some(*event),
            }
            self.settling.pop_front();
        }
    }

    /// Says what there is room for; true if there is room but the walk over the table found nothing yet.
    fn send_events(&mut self) -> bool {
        let Some(session) = &mut self.session else {
            // Nobody to tell; agents are told anew when somebody connects.
            self.outbox.clear();
            self.verdicts.clear();
            self.dump = None;
            self.agents_due.clear();
            self.applied = None;
            self.reached = None;
            return false;
        };
        let (mut sent, mut room, mut searching) = (false, true, false);
        let mut push = |event: &Event| {
            room = room && session.events.push(event).is_ok();
            sent |= room;
            room
        };
        if let Some(dump) = &mut self.dump {
            searching = tell_known(dump, &self.parts.applier, &mut push);
        }
        if self.dump.as_ref().is_some_and(Dump::is_over) {
            self.dump = None;
        }
        if self.dump.is_none() {
            for told in [&mut self.applied, &mut self.reached] {
                if told.as_ref().is_some_and(&mut push) {
                    *told = None;
                }
            }
            while self.verdicts.front().is_some_and(&mut push) {
                self.verdicts.pop_front();
            }
            while let Some(&(iid, eid)) = self.agents_due.first() {
                // One that is gone meanwhile has nothing to tell.
                if let Some(event) = self.parts.applier.agent_event(iid, eid)
                    && !push(&event)
                {
                    break;
                }
                self.agents_due.pop_first();
            }
            while self.outbox.front().is_some_and(&mut push) {
                self.outbox.pop_front();
            }
        }
        if sent {
            session.ring_events();
        }
        // Of misses the oldest are the ones most surely repeated by now. A host that is gone is told of once, but only
        // who asks for thousands and does not read comes here.
        for queue in [&mut self.outbox, &mut self.verdicts] {
            let lost = queue.len().saturating_sub(RING_SLOTS);
            queue.drain(..lost);
            self.parts.shared.events_lost.fetch_add(lost as u64, Ordering::Relaxed);
        }
        searching
    }

    fn may_look(&self) -> bool {
        self.session.is_some() && self.dump.is_none() && self.outbox.len() < RING_SLOTS / 4
    }

    /// Milliseconds until something is due by time, at most [`TURN_MS`].
    fn until_due(&self) -> i64 {
        let look = if self.may_look() { self.usage.next_ns() } else { u64::MAX };
        let next = self.parts.applier.next_check_ns().unwrap_or(u64::MAX).min(look);
        let ms = next.saturating_sub(now_ns()).div_ceil(1_000_000);
        i64::try_from(ms).unwrap_or(TURN_MS).clamp(1, TURN_MS)
    }

    /// Sleeps until something happens; true when it is time to stop.
    fn wait(&self, stop: BorrowedFd<'_>, more: bool) -> bool {
        let listener = self.parts.listener.as_fd();
        let mut fds = vec![
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
            PollFd::from_borrowed_fd(listener, PollFlags::IN),
            PollFd::new(&self.parts.shared.conductor, PollFlags::IN),
        ];
        if let Some(session) = &self.session {
            fds.push(PollFd::from_borrowed_fd(session.as_fd(), PollFlags::IN));
            fds.push(PollFd::from_borrowed_fd(session.doorbell().as_fd(), PollFlags::IN));
            if self.parts.shared.mail.down.has_room() {
                fds.push(PollFd::from_borrowed_fd(session.packets.as_fd(), PollFlags::IN));
            }
        }
        let ms = if more {
            0
        } else if !self.settling.is_empty() {
            // A worker is inside a burst, or the kernel put it aside: spinning would take its core away.
            SETTLE_MS
        } else if !self.parts.shared.mail.down.has_room()
            || !self.agents_due.is_empty()
            || !self.verdicts.is_empty()
            || self.dump.is_some()
        {
            UNSENT_MS
        } else {
            self.until_due()
        };
        let timeout = Timespec { tv_sec: 0, tv_nsec: ms * 1_000_000 };
        // An interrupted poll is a short sleep.
        let _ = poll(&mut fds, Some(&timeout));
        fds[0].revents().contains(PollFlags::IN)
    }
}

/// Tells what the table knew, as long as there is room; true if there is room and nothing was found yet.
fn tell_known(dump: &mut Dump, applier: &Applier, push: &mut impl FnMut(&Event) -> bool) -> bool {
    loop {
        match dump.fill(applier) {
            Filled::Searching => return true,
            Filled::Ended => return false,
            Filled::Ready => {
                while dump.ready().front().is_some_and(&mut *push) {
                    dump.ready().pop_front();
                }
                if !dump.ready().is_empty() {
                    return false;
                }
            }
        }
    }
}
