//! Whole packets on their way between workers and the conductor: copied into places that were there from the start, so
//! that neither side allocates, waits, or has more of them in hand than there are places.

use crossbeam_queue::ArrayQueue;
use std::sync::atomic::AtomicU64;
use sterna_shm::PACKET;
use sterna_wire::Iid;

/// Packets that may be on their way at a time: more than the conductor's socket takes at once.
pub const PARCELS: usize = 128;

/// A packet of a group.
struct Parcel {
    iid: Iid,
    len: usize,
    bytes: Box<[u8; PACKET]>,
}

/// A queue of them.
pub struct Parcels {
    free: ArrayQueue<Parcel>,
    full: ArrayQueue<Parcel>,
}

impl Parcels {
    /// An empty queue with room for so many packets.
    pub fn new(room: usize) -> Parcels {
        let free = ArrayQueue::new(room.max(1));
        for _ in 0..room {
            // One push per place.
            let _ = free.push(Parcel { iid: Iid::DEFAULT, len: 0, bytes: Box::new([0; PACKET]) });
        }
        Parcels { full: ArrayQueue::new(room.max(1)), free }
    }

    /// Appends a copy of a packet; false without room, or when it is longer than [`PACKET`].
    pub fn put(&self, iid: Iid, packet: &[u8]) -> bool {
        let copied = self.fill(|bytes| {
            bytes.get_mut(..packet.len())?.copy_from_slice(packet);
            Some((iid, packet.len()))
        });
        copied == Some(true)
    }

    /// Appends a packet that `write` puts into the place, if it does; `None` without room.
    pub fn fill(&self, write: impl FnOnce(&mut [u8; PACKET]) -> Option<(Iid, usize)>) -> Option<bool> {
        let mut parcel = self.free.pop()?;
        let written = write(&mut parcel.bytes);
        if let Some((iid, len)) = written {
            (parcel.iid, parcel.len) = (iid, len.min(PACKET));
        }
        let queue = if written.is_some() { &self.full } else { &self.free };
        // As many places as parcels.
        let _ = queue.push(parcel);
        Some(written.is_some())
    }

    /// Takes the oldest packet away, for `read` to see.
    pub fn take<T>(&self, read: impl FnOnce(Iid, &[u8]) -> T) -> Option<T> {
        let parcel = self.full.pop()?;
        let seen = read(parcel.iid, &parcel.bytes[..parcel.len]);
        let _ = self.free.push(parcel);
        Some(seen)
    }

    /// Whether no packet waits.
    pub fn is_empty(&self) -> bool {
        self.full.is_empty()
    }

    /// Whether one more packet could be put.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }
}

/// What agents say to the control plane and what it answers.
pub struct Mail {
    /// To the control plane.
    pub up: Parcels,
    /// To the agents.
    pub down: Parcels,
    /// Packets that the control plane did not take, since they were last counted.
    pub lost: AtomicU64,
    /// What it said that was no packet, since it was last counted.
    pub noise: AtomicU64,
}

impl Default for Mail {
    fn default() -> Mail {
        let parcels = || Parcels::new(PARCELS);
        Mail { up: parcels(), down: parcels(), lost: AtomicU64::new(0), noise: AtomicU64::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_their_order_and_the_queue_its_size() {
        let parcels = Parcels::new(2);
        let iid = |n| Iid::new(n).unwrap();
        for round in 0..5u8 {
            assert!(parcels.is_empty() && parcels.has_room());
            assert!(parcels.put(iid(1), &[round]) && parcels.put(iid(2), &[round; PACKET]));
            assert!(!parcels.put(iid(3), &[3]) && !parcels.has_room(), "full");
            assert_eq!(parcels.fill(|_| panic!("there is no place")), None);
            assert_eq!(parcels.take(|iid, packet| (iid.get(), packet.to_vec())), Some((1, vec![round])));
            assert_eq!(parcels.take(|iid, packet| (iid.get(), packet.len())), Some((2, PACKET)));
            assert_eq!(parcels.take(|_, _| ()), None);
        }
    }

    #[test]
    fn what_is_not_written_costs_no_place() {
        let parcels = Parcels::new(1);
        assert!(!parcels.put(Iid::DEFAULT, &[0; PACKET + 1]));
        assert_eq!(parcels.fill(|_| None), Some(false));
        assert!(parcels.is_empty() && parcels.has_room() && parcels.put(Iid::DEFAULT, &[1]));
    }
}
