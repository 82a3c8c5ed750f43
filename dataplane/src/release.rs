//! Packets that waited: stepped again when an answer may have come, asked for again every half second, given up
//! when their time is over.

use crate::counters::Basic;
use crate::hold::{HoldKey, Role};
use crate::state::WorkerState;
use crate::step::{Step, Verdicts, step_packets};
use crate::tables::View;
use crate::verdict::DropReason;

/// A question is repeated after this long (design section 5: every 500 ms).
pub(crate) const REPEAT_NS: u64 = 500_000_000;
/// Keys looked at per turn: bounds the time between two bursts.
const KEYS_PER_TURN: usize = 64;
/// Packets released per key before the next key has its turn.
const PACKETS_PER_KEY: usize = 8;
/// Packets released per turn: no more than fresh frames were prepared for (two each).
const PACKETS_PER_TURN: usize = 48;
/// Questions repeated per turn.
const QUESTIONS_PER_TURN: usize = 64;

/// One turn over the hold pool. Call it between bursts while packets wait; `view` is the newest.
///
/// True if packets left the pool, so that another turn at once may find more: while a key has packets here, later
/// ones queue behind them, so the pool must empty faster than it can fill.
pub fn release_held(view: &View<'_>, state: &mut WorkerState) -> bool {
    expire(state);
    let mut keys = [HoldKey::EMPTY; KEYS_PER_TURN];
    let mut count = state.hold.keys(&mut keys);
    let mut left = PACKETS_PER_TURN;
    while left > 0 && count > 0 {
        let mut going = 0;
        for at in 0..count {
            let share = PACKETS_PER_KEY.min(left);
            let released = (0..share).take_while(|_| step_front(view, state, &keys[at])).count();
            left -= released;
            if released == PACKETS_PER_KEY {
                keys[going] = keys[at];
                going += 1;
            }
        }
        count = going;
    }
    ask_again(view, state);
    left < PACKETS_PER_TURN
}

/// Steps the oldest packet of a key again; true when it left the queue.
fn step_front(view: &View<'_>, state: &mut WorkerState, key: &HoldKey) -> bool {
    let mut copy = std::mem::take(&mut state.held_copy);
    let Some((port, since_ns)) = state.hold.front(key).map(|front| {
        copy.clear();
        copy.extend_from_slice(front.frame);
        (front.port, front.waits_since_ns)
    }) else {
        state.held_copy = copy;
        return false;
    };
    (state.replay, state.replay_since_ns) = (Some(*key), since_ns);
    (state.replay_stays, state.replay_moved) = (false, false);
    let mut verdicts = Verdicts::new();
    step_packets(view, state, port, &[&copy], &mut verdicts);
    state.replay = None;
    state.held_copy = copy;
    if state.replay_stays || state.replay_moved {
        return state.replay_moved;
    }
    // Sent or dropped.
    state.hold.pop_front(key);
    state.tally(port).add(Basic::Held, -1);
    debug_assert!(!verdicts.is_empty());
    true
}

fn expire(state: &mut WorkerState) {
    let mut tallies = std::mem::take(&mut state.tallies);
    let (now_ns, age) = (state.now_ns, state.hold_ns);
    state.hold.expire(now_ns, age, |key, port| {
        let at = if usize::from(port) < tallies.len() { usize::from(port) } else { 0 };
        tallies[at].add(in_vain(key.role), 1);
        tallies[at].add(Basic::Held, -1);
    });
    state.tallies = tallies;
}

/// Why a packet that waited in vain is dropped.
fn in_vain(role: Role) -> DropReason {
    match role {
        Role::Moved | Role::Relay => DropReason::RlocSpoof,
        Role::Attach => DropReason::AttachExpired,
        Role::Destination | Role::Source | Role::Back => DropReason::HoldExpired,
    }
}

/// Repeats questions, some per turn; those that were due and had no turn yet keep their place in `due`.
fn ask_again(view: &View<'_>, state: &mut WorkerState) {
    let WorkerState { hold, due, now_ns, .. } = state;
    if due.is_empty() {
        // Never more keys than the pool has slots, which is the capacity of `due`.
        hold.due_repeats(*now_ns, REPEAT_NS, |key, port| due.push((*key, port)));
    }
    for _ in 0..QUESTIONS_PER_TURN {
        let Some((key, port)) = state.due.pop() else { return };
        // Answered meanwhile: nobody waits any more.
        if state.hold.is_waiting(&key) {
            let mut step = Step { view, layout: view.layout(), state, ingress: port };
            step.ask_again(&key, port);
        }
    }
}
