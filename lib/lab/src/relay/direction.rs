//! What becomes of the frames that come in at one port of a relay.

use std::collections::VecDeque;
use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::port::Port;

/// Frames that wait at most.
const MOST: usize = 16_384;
/// The longest sleep of a server that has nothing to send.
const NAP: Duration = Duration::from_millis(50);
/// Where frames go that go nowhere.
const NOWHERE: usize = usize::MAX;

/// The books of a direction, frames. At rest `received` is the sum of all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Came in.
    pub received: u64,
    /// Sent on.
    pub sent: u64,
    /// Lost by intent, as the seed decided.
    pub lost: u64,
    /// Lost because the direction was plugged into nothing.
    pub cut: u64,
    /// Lost because too many waited.
    pub overflow: u64,
    /// Refused by the kernel of the port they should leave by.
    pub refused: u64,
    /// Wait now.
    pub waiting: u64,
}

impl Counts {
    /// Frames that came in and are nowhere: must be 0.
    pub fn error(&self) -> u64 {
        let gone = self.sent + self.lost + self.cut + self.overflow + self.refused + self.waiting;
        self.received.abs_diff(gone)
    }

    /// Frames that will never arrive.
    pub fn not_relayed(&self) -> u64 {
        self.lost + self.cut + self.overflow + self.refused
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.sent += other.sent;
        self.lost += other.lost;
        self.cut += other.cut;
        self.overflow += other.overflow;
        self.refused += other.refused;
        self.waiting += other.waiting;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<(Instant, Vec<u8>)>,
    counts: Counts,
    dice: Dice,
}

/// One direction; its knobs may be turned at any time.
#[derive(Debug)]
pub struct Direction {
    ports: Arc<[Port]>,
    target: AtomicUsize,
    held: AtomicBool,
    delay_us: AtomicU64,
    loss_permille: AtomicU64,
    queue: Mutex<Queue>,
    come: Condvar,
}

impl Direction {
    /// A direction that is plugged into nothing.
    pub(super) fn new(seed: u64, ports: Arc<[Port]>) -> Self {
        Self {
            ports,
            target: AtomicUsize::new(NOWHERE),
            held: AtomicBool::new(false),
            delay_us: AtomicU64::new(0),
            loss_permille: AtomicU64::new(0),
            queue: Mutex::new(Queue { dice: Dice(seed), ..Queue::default() }),
            come: Condvar::new(),
        }
    }

    /// The port that frames leave by; none loses them (`cut`).
    pub fn plug(&self, target: Option<usize>) {
        self.target.store(target.unwrap_or(NOWHERE), Ordering::SeqCst);
        self.wake();
    }

    /// The port that frames leave by.
    pub fn target(&self) -> Option<usize> {
        Some(self.target.load(Ordering::SeqCst)).filter(|target| *target < self.ports.len())
    }

    /// Frames wait until they are released, as a paused machine's do.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
        self.wake();
    }

    /// Delays every frame from now on, microseconds. The order never changes.
    pub fn delay_us(&self, delay: u64) {
        self.delay_us.store(delay, Ordering::Relaxed);
    }

    /// Loses so many of 1000 frames from now on, which ones the seed decides.
    pub fn loss_permille(&self, loss: u64) {
        self.loss_permille.store(loss, Ordering::Relaxed);
    }

    /// The books so far.
    pub fn counts(&self) -> Counts {
        let queue = self.lock();
        Counts { waiting: queue.frames.len() as u64, ..queue.counts }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        // With the lock, so that a server between looking and sleeping is not missed.
        let _queue = self.lock();
        self.come.notify_all();
    }

    /// A frame came in.
    pub(super) fn take(&self, frame: &[u8]) {
        let mut queue = self.lock();
        queue.counts.received += 1;
        let loss = self.loss_permille.load(Ordering::Relaxed);
        if loss > 0 && queue.dice.roll(1000) < loss {
            queue.counts.lost += 1;
            return;
        }
        let delay = self.delay_us.load(Ordering::Relaxed);
        if delay == 0 && queue.frames.is_empty() && !self.held.load(Ordering::SeqCst) {
            // With the lock held, so that no later frame overtakes it.
            return self.emit(&mut queue.counts, frame);
        }
        if queue.frames.len() >= MOST {
            queue.counts.overflow += 1;
            return;
        }
        queue.frames.push_back((Instant::now() + Duration::from_micros(delay), frame.to_vec()));
        self.come.notify_one();
    }

    fn emit(&self, counts: &mut Counts, frame: &[u8]) {
        match self.ports.get(self.target.load(Ordering::SeqCst)) {
            None => counts.cut += 1,
            Some(port) if port.send(frame) => counts.sent += 1,
            Some(_) => counts.refused += 1,
        }
    }

    /// Sends what waits when it is due, until told to stop.
    pub(super) fn serve(&self, stop: &AtomicBool) {
        let mut queue = self.lock();
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let held = self.held.load(Ordering::SeqCst);
            let nap = match queue.frames.front() {
                Some((due, _)) if !held && *due <= now => {
                    if let Some((_, frame)) = queue.frames.pop_front() {
                        self.emit(&mut queue.counts, &frame);
                    }
                    continue;
                }
                Some((due, _)) if !held => *due - now,
                _ => NAP,
            };
            queue = match self.come.wait_timeout(queue, nap) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

/// Numbers that only the seed decides (splitmix64).
#[derive(Debug, Default)]
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `sides`, which is not 0.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.number() % sides.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction() -> Direction {
        Direction::new(7, Arc::from(Vec::new()))
    }

    #[test]
    fn what_is_plugged_into_nothing_is_cut_and_counted() {
        let direction = direction();
        (0..5).for_each(|_| direction.take(&[1]));
        assert_eq!(direction.counts(), Counts { received: 5, cut: 5, ..Counts::default() });
        assert_eq!((direction.counts().error(), direction.counts().not_relayed()), (0, 5));
    }

    #[test]
    fn the_seed_decides_how_many_and_which_are_lost() {
        let lost = |seed| {
            let direction = Direction::new(seed, Arc::from(Vec::new()));
            direction.loss_permille(100);
            (0..10_000).for_each(|_| direction.take(&[1]));
            assert_eq!(direction.counts().error(), 0);
            direction.counts().lost
        };
        assert_eq!(lost(1), lost(1));
        assert!((850..1150).contains(&lost(1)), "{}", lost(1));
    }

    #[test]
    fn held_frames_wait_and_the_queue_is_bounded() {
        let direction = direction();
        direction.hold(true);
        (0..MOST + 3).for_each(|_| direction.take(&[1]));
        let counts = direction.counts();
        assert_eq!((counts.waiting, counts.overflow, counts.cut), (MOST as u64, 3, 0));
        assert_eq!(counts.error(), 0);
    }
}
