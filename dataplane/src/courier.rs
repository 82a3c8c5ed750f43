//! The conductor's part in the context API: packets from the workers to the control plane, and its answers back.

use crate::parcels::PARCELS;
use crate::worker::Shared;
use std::sync::atomic::Ordering;
use sterna_shm::{DataplaneSession, Heard};

/// Carries what there is, without waiting; false when the control plane closed its end.
pub(crate) fn carry(session: Option<&DataplaneSession>, shared: &Shared) -> bool {
    let mut lost = 0;
    // Bounded, so that agents cannot keep the updates waiting.
    for _ in 0..PARCELS {
        let sent = shared.mail.up.take(|iid, packet| session.is_some_and(|to| to.packets.send(iid, packet)));
        match sent {
            Some(sent) => lost += u64::from(!sent),
            None => break,
        }
    }
    shared.mail.lost.fetch_add(lost, Ordering::Relaxed);
    session.is_none_or(|from| fetch(from, shared))
}

fn fetch(session: &DataplaneSession, shared: &Shared) -> bool {
    let (mut heard, mut any) = (Heard::Nothing, false);
    for _ in 0..PARCELS {
        let taken = shared.mail.down.fill(|bytes| {
            heard = session.packets.receive(bytes);
            match heard {
                Heard::Packet { iid, len } => Some((iid, len)),
                _ => None,
            }
        });
        match (taken, heard) {
            // Without room the rest waits in the socket, and behind it the control plane.
            (None, _) | (_, Heard::Nothing | Heard::Over) => break,
            (Some(_), Heard::Noise) => {
                shared.mail.noise.fetch_add(1, Ordering::Relaxed);
            }
            (Some(_), Heard::Packet { .. }) => any = true,
        }
    }
    if any {
        shared.wake_asker();
    }
    heard != Heard::Over
}
