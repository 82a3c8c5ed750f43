//! Packets that waited: stepped again when an answer may have come, asked for again every half second, given up
//! when their time is over.

use crate::counters::Basic;
use crate::hold::HoldKey;
use crate::state::WorkerState;
use crate::step::{Step, Verdicts, step_packets};
use crate::tables::View;
use crate::verdict::DropReason;
use arrayvec::ArrayVec;

/// A question is repeated after this long (design section 5: every 500 ms).
const REPEAT_NS: u64 = 500_000_000;
/// Keys looked at per turn: bounds the time between two bursts.
const KEYS_PER_TURN: usize = 64;
/// Packets released per key and turn, so that the transmit frames of one turn suffice.
const PACKETS_PER_KEY: usize = 8;
/// Packets released per turn: no more than fresh frames were prepared for (two each).
const PACKETS_PER_TURN: usize = 48;

/// One turn over the hold pool. Call it between bursts while packets wait; `view` is the newest.
pub fn release_held(view: &View<'_>, state: &mut WorkerState) {
    expire(state);
    let mut keys = [HoldKey::EMPTY; KEYS_PER_TURN];
    let count = state.hold.keys(&mut keys);
    let mut left = PACKETS_PER_TURN;
    for key in &keys[..count] {
        for _ in 0..PACKETS_PER_KEY.min(left) {
            if !step_front(view, state, key) {
                break;
            }
            left -= 1;
        }
    }
    ask_again(view, state);
}

/// Steps the oldest packet of a key again; true when it left the queue.
fn step_front(view: &View<'_>, state: &mut WorkerState, key: &HoldKey) -> bool {
    let mut copy = std::mem::take(&mut state.held_copy);
    let Some((port, len)) = state.hold.front(key).map(|(port, bytes)| {
        copy.clear();
        copy.extend_from_slice(bytes);
        (port, bytes.len())
    }) else {
        state.held_copy = copy;
        return false;
    };
    state.replay = Some(*key);
    state.replay_stays = false;
    let mut verdicts = Verdicts::new();
    step_packets(view, state, port, &[&copy[..len]], &mut verdicts);
    state.replay = None;
    state.held_copy = copy;
    if state.replay_stays {
        return false;
    }
    // Sent, dropped, or queued under another key (which counted it again).
    state.hold.pop_front(key);
    state.tally(port).add(Basic::Held, -1);
    debug_assert!(!verdicts.is_empty());
    true
}

fn expire(state: &mut WorkerState) {
    let mut tallies = std::mem::take(&mut state.tallies);
    let (now_ns, age) = (state.now_ns, state.hold_ns);
    state.hold.expire(now_ns, age, |_, port| {
        let at = if usize::from(port) < tallies.len() { usize::from(port) } else { 0 };
        tallies[at].add(DropReason::HoldExpired, 1);
        tallies[at].add(Basic::Held, -1);
    });
    state.tallies = tallies;
}

fn ask_again(view: &View<'_>, state: &mut WorkerState) {
    let mut due: ArrayVec<(HoldKey, u16), KEYS_PER_TURN> = ArrayVec::new();
    let now_ns = state.now_ns;
    state.hold.due_repeats(now_ns, REPEAT_NS, |key, port| {
        let _ = due.try_push((*key, port));
    });
    for (key, port) in due {
        let mut step = Step { view, layout: view.layout(), state, ingress: port };
        step.ask_again(&key, port);
    }
}
