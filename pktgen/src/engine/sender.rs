//! Sends what has become due.

use std::sync::Arc;

use hdrhistogram::Histogram;
use sterna_xsk::{BURST, Frame, Kicked, Port};

use super::parts::Parts;
use crate::clock::{Clock, Monotonic};
use crate::compose::{Composer, Written};
use crate::pace::Schedule;
use crate::pcap::Recorder;
use crate::sink::histogram;

/// What one sender did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// What was written and handed to the port.
    pub written: Written,
    /// Packets that were written, but that the port never took.
    pub abandoned: u64,
    /// Packets that the kernel took and dropped on its way out, and said so.
    pub lost_busy: u64,
    /// Packets that were due before the end and were not even written, because the port was behind.
    pub behind: u64,
    /// Moments when the port took less than was due.
    pub stalls: u64,
}

impl Sent {
    /// Adds another sender's.
    pub fn add(&mut self, other: &Sent) {
        self.written.add(&other.written);
        self.abandoned += other.abandoned;
        self.lost_busy += other.lost_busy;
        self.behind += other.behind;
        self.stalls += other.stalls;
    }
}

/// One worker's sending half.
pub struct Sender {
    composer: Composer,
    schedule: Schedule,
    /// Packets written so far: the next one's number in the schedule.
    next: u64,
    /// Packets at most; for a capture or a test.
    limit: u64,
    /// When packets that are replayed at their own times begin.
    start_ns: u64,
    /// Written frames that the port has not taken yet, in order.
    waiting: Vec<Frame>,
    /// Where packets are longer than frames.
    parts: Option<Parts>,
    sent: Sent,
    lateness: Histogram<u64>,
    recorder: Option<Arc<Recorder>>,
}

impl Sender {
    /// From its packets and their times, for a port whose frames have `room` bytes.
    pub fn new(
        composer: Composer,
        schedule: Schedule,
        start_ns: u64,
        limit: Option<u64>,
        room: usize,
    ) -> Self {
        let parts = Parts::needed(composer.longest(), room);
        Self {
            composer,
            schedule,
            next: 0,
            limit: limit.unwrap_or(u64::MAX),
            start_ns,
            waiting: Vec::with_capacity(BURST),
            parts,
            sent: Sent::default(),
            lateness: histogram(),
            recorder: None,
        }
    }

    /// Everything that the port takes is recorded too.
    #[must_use]
    pub fn recorded(self, recorder: Option<Arc<Recorder>>) -> Self {
        Self { recorder, ..self }
    }

    /// When packet `n` is due.
    fn due_ns(&self, n: u64) -> Option<u64> {
        match self.composer.own_time_ns(n) {
            Some(after) => Some(self.start_ns.saturating_add(after)),
            None => self.schedule.due_ns(n),
        }
    }

    fn due(&self, now_ns: u64, most: usize) -> usize {
        let most = usize::try_from(self.limit - self.next).unwrap_or(usize::MAX).min(most);
        if self.composer.own_time_ns(self.next).is_none() {
            return self.schedule.due(self.next, now_ns, most);
        }
        (0..most).take_while(|n| self.due_ns(self.next + *n as u64).is_some_and(|due| due <= now_ns)).count()
    }

    /// When the next packet is due; now without a rate, never when all are written.
    pub fn next_due_ns(&self) -> u64 {
        if self.next >= self.limit { u64::MAX } else { self.due_ns(self.next).unwrap_or(0) }
    }

    /// Whether everything up to the limit was written and taken.
    pub fn is_done(&self) -> bool {
        self.next >= self.limit && self.waiting.is_empty()
    }

    /// One turn: writes what is due now, hands over what the port takes, and kicks. Gives whether anything moved.
    #[inline]
    pub fn turn(&mut self, port: &mut Port, now_ns: u64) -> bool {
        let due = if self.waiting.is_empty() { self.due(now_ns, BURST) } else { 0 };
        if due > 0 && self.parts.is_some() {
            self.write_in_parts(port, now_ns, due);
        } else if due > 0 {
            self.write(port, now_ns, due);
        }
        self.hand_over(port)
    }

    fn write_in_parts(&mut self, port: &mut Port, now_ns: u64, due: usize) {
        for _ in 0..due {
            let due_ns = self.due_ns(self.next);
            let Some(parts) = &mut self.parts else { return };
            let Some(room) = parts.packet(port) else {
                self.sent.stalls += 1;
                break;
            };
            let length = self.composer.write(room, due_ns.unwrap_or(now_ns));
            parts.lay(length, &mut self.waiting);
            self.next += 1;
            self.note_lateness(due_ns, now_ns);
        }
        self.sent.written = self.composer.written();
    }

    fn note_lateness(&mut self, due_ns: Option<u64>, now_ns: u64) {
        if let Some(due_ns) = due_ns {
            self.lateness.saturating_record(now_ns.saturating_sub(due_ns));
        }
    }

    fn write(&mut self, port: &mut Port, now_ns: u64, due: usize) {
        let got = port.fresh(&mut self.waiting, due);
        self.sent.stalls += u64::from(got < due);
        for at in 0..got {
            let due_ns = self.due_ns(self.next);
            self.next += 1;
            let length = self.composer.write(self.waiting[at].room_mut(), due_ns.unwrap_or(now_ns));
            // A packet that does not fit keeps length 0 and is refused by the port; `run` checks that none does.
            let _ = self.waiting[at].set_len(length);
            self.note_lateness(due_ns, now_ns);
        }
        self.sent.written = self.composer.written();
    }

    fn hand_over(&mut self, port: &mut Port) -> bool {
        let mut moved = false;
        if !self.waiting.is_empty() {
            let taken = match self.recorder.clone() {
                Some(recorder) => self.transmit_recorded(port, &recorder),
                None => port.transmit(&mut self.waiting),
            };
            self.sent.stalls += u64::from(!self.waiting.is_empty());
            moved = taken > 0;
        }
        let Kicked { lost_busy, .. } = port.kick();
        self.sent.lost_busy += lost_busy;
        moved
    }

    /// The port takes frames from the front; which ones is known only when it has them.
    fn transmit_recorded(&mut self, port: &mut Port, recorder: &Recorder) -> usize {
        let part = |frame: &Frame| (frame.bytes().to_vec(), frame.is_continued());
        let before: Vec<_> = self.waiting.iter().map(part).collect();
        let taken = port.transmit(&mut self.waiting);
        let now_ns = Monotonic.now_ns();
        let mut packet = Vec::new();
        for (bytes, is_continued) in before.into_iter().take(taken) {
            packet.extend(bytes);
            if !is_continued {
                recorder.take(&packet, now_ns);
                packet.clear();
            }
        }
        taken
    }

    /// Ends sending at a moment of the schedule: nothing more is written. Gives whether all that was written is
    /// with the port; call [`Self::flush`] until it is, or [`Self::abandon`] the rest.
    pub fn end(&mut self, end_ns: u64) -> bool {
        let due =
            if self.composer.own_time_ns(0).is_none() { self.schedule.due_before(end_ns) } else { None };
        self.sent.behind = due.unwrap_or(0).min(self.limit).saturating_sub(self.next);
        self.limit = self.next;
        self.waiting.is_empty()
    }

    /// Hands over what still waits; gives whether nothing does any more.
    pub fn flush(&mut self, port: &mut Port) -> bool {
        self.hand_over(port);
        self.waiting.is_empty()
    }

    /// Gives up what the port does not take.
    pub fn abandon(&mut self, port: &mut Port) {
        self.sent.abandoned += self.waiting.iter().filter(|frame| !frame.is_continued()).count() as u64;
        port.release(&mut self.waiting);
        if let Some(parts) = &mut self.parts {
            parts.release(port);
        }
    }

    /// What it did so far.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// How late packets were written, in nanoseconds; only with a rate.
    pub fn into_lateness(self) -> Histogram<u64> {
        self.lateness
    }
}
