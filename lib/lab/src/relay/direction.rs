//! What becomes of the frames that come in at one port of a relay.

use std::cmp::{Ordering as Order, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::books::Counts;
use super::corruption;
use super::course::{Course, Decision};
use super::fate::{Cause, Fates};
use super::impairment::{Impairment, Loss};
use super::port::Port;

/// Frames that wait at most.
const MOST: usize = 16_384;
/// The longest sleep of a server that has nothing to send.
const NAP: Duration = Duration::from_millis(50);
/// Where frames go that go nowhere.
const NOWHERE: usize = usize::MAX;

/// A frame that waits until it is due; those that came first leave first where several are.
#[derive(Debug, PartialEq, Eq)]
struct Waiting {
    due: Duration,
    number: u64,
    frame: Vec<u8>,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Order {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

#[derive(Debug, Default)]
struct Queue {
    knobs: Impairment,
    course: Course,
    frames: BinaryHeap<Reverse<Waiting>>,
    counts: Counts,
    fates: Fates,
    /// Number of the next frame that comes in.
    next: u64,
    /// The highest number that has left.
    highest: u64,
}

/// One direction; its knobs may be turned at any time.
#[derive(Debug)]
pub struct Direction {
    ports: Arc<[Port]>,
    began: Instant,
    target: AtomicUsize,
    held: AtomicBool,
    queue: Mutex<Queue>,
    come: Condvar,
}

impl Direction {
    /// A direction that is plugged into nothing; both of a link have one clock.
    pub(super) fn new(seed: u64, ports: Arc<[Port]>, began: Instant) -> Self {
        Self {
            ports,
            began,
            target: AtomicUsize::new(NOWHERE),
            held: AtomicBool::new(false),
            queue: Mutex::new(Queue { course: Course::new(seed), ..Queue::default() }),
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
        self.lock().knobs.delay_us = delay;
    }

    /// Loses so many of 1000 frames from now on, which ones the seed decides.
    pub fn loss_permille(&self, loss: u32) {
        self.lock().knobs.loss = Loss { ppm: loss.saturating_mul(1000), burst: 1 };
    }

    /// Sets all knobs at once; a flapping link begins up, and goes on as it was if it flapped so before. What waits already goes when it was due, and those behind it not before.
    pub fn impair(&self, knobs: &Impairment) {
        let mut queue = self.lock();
        if queue.knobs.flap != knobs.flap {
            queue.course.begin(self.began.elapsed());
        }
        queue.knobs = knobs.clone();
    }

    /// Forgets which frames did not go on whole, and writes them down from now on.
    pub fn watch(&self) {
        self.lock().fates.watch();
    }

    /// Frames since [`Direction::watch`] that did not go on whole and alone.
    pub fn fates(&self) -> Fates {
        self.lock().fates.clone()
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
        let now = self.began.elapsed();
        let mut guard = self.lock();
        let queue = &mut *guard;
        queue.counts.received += 1;
        let number = queue.next;
        queue.next += 1;
        let (due, strike, twice) = match queue.course.decide(&queue.knobs, now, frame.len()) {
            Decision::Gone(cause) => return queue.book(cause, frame),
            Decision::Goes { due, strike, twice } => (due, strike, twice),
        };
        if twice {
            queue.book(Cause::Doubled, frame);
        }
        let struck = strike.and_then(|chance| queue.strike(frame, chance));
        for _ in 0..=u8::from(twice) {
            let frame = struck.as_deref().unwrap_or(frame);
            if due <= now && queue.frames.is_empty() && !self.held.load(Ordering::SeqCst) {
                // With the lock held, so that no later frame overtakes it.
                self.emit(queue, number, frame);
            } else if queue.frames.len() >= MOST {
                queue.book(Cause::Overflow, frame);
            } else {
                queue.frames.push(Reverse(Waiting { due, number, frame: frame.to_vec() }));
            }
        }
        self.come.notify_one();
    }

    fn emit(&self, queue: &mut Queue, number: u64, frame: &[u8]) {
        match self.ports.get(self.target.load(Ordering::SeqCst)) {
            None => queue.book(Cause::Cut, frame),
            Some(port) if port.send(frame) => {
                queue.counts.sent += 1;
                queue.counts.reordered += u64::from(number < queue.highest);
                queue.highest = queue.highest.max(number);
            }
            Some(_) => queue.book(Cause::Refused, frame),
        }
    }

    /// Sends what waits when it is due, until told to stop.
    pub(super) fn serve(&self, stop: &AtomicBool) {
        let mut queue = self.lock();
        while !stop.load(Ordering::Relaxed) {
            let now = self.began.elapsed();
            let held = self.held.load(Ordering::SeqCst);
            let nap = match queue.frames.peek() {
                Some(Reverse(first)) if !held && first.due <= now => {
                    if let Some(Reverse(first)) = queue.frames.pop() {
                        self.emit(&mut queue, first.number, &first.frame);
                    }
                    continue;
                }
                Some(Reverse(first)) if !held => first.due - now,
                _ => NAP,
            };
            queue = match self.come.wait_timeout(queue, nap) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl Queue {
    fn book(&mut self, cause: Cause, frame: &[u8]) {
        self.counts.book(cause);
        self.fates.note(cause, frame);
    }

    /// The frame with a bit turned over; none when it has none that may be.
    fn strike(&mut self, frame: &[u8], chance: u64) -> Option<Vec<u8>> {
        let mut struck = frame.to_vec();
        corruption::strike(&mut struck, chance).then(|| {
            // Written down as what it was before.
            self.book(Cause::Corrupted, frame);
            struck
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::impairment::Rate;
    use super::*;

    fn direction() -> Direction {
        Direction::new(7, Arc::from(Vec::new()), Instant::now())
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
            let direction = Direction::new(seed, Arc::from(Vec::new()), Instant::now());
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

    #[test]
    fn whatever_the_knobs_every_frame_is_in_the_books_and_every_fate_is_kept() {
        for seed in 0..40 {
            let direction = Direction::new(seed, Arc::from(Vec::new()), Instant::now());
            direction.hold(seed % 2 == 0);
            direction.watch();
            direction.impair(&Impairment {
                delay_us: seed % 3 * 1000,
                jitter_us: seed % 5 * 300,
                loss: Loss { ppm: 30_000, burst: 1 + seed as u32 % 4 },
                reorder_ppm: 20_000,
                reorder_us: 500,
                duplicate_ppm: 50_000,
                corrupt_ppm: 50_000,
                rate: (seed % 4 == 0)
                    .then_some(Rate { bits_s: 1_000_000_000, queue: Duration::from_micros(200) }),
                flap: None,
            });
            let mut frame = vec![0; 64];
            frame[12..17].copy_from_slice(&[0x08, 0, 0x45, 0, 0]);
            frame[17] = 50;
            (0..3000).for_each(|_| direction.take(&frame));
            let counts = direction.counts();
            assert_eq!((counts.received, counts.error()), (3000, 0), "{counts:?}");
            assert!(counts.doubled > 50 && counts.corrupted > 50 && counts.lost > 20, "{counts:?}");
            let fates = direction.fates();
            let of = |cause| fates.kept().iter().filter(|fate| fate.cause == cause).count() as u64;
            assert_eq!(of(Cause::Lost), counts.lost);
            assert_eq!((of(Cause::Doubled), of(Cause::Corrupted)), (counts.doubled, counts.corrupted));
            assert_eq!((of(Cause::Choked), of(Cause::Cut)), (counts.choked, counts.cut));
        }
    }
}
