//! What a probe carries: who sent it, its number, when it should have been sent, and a patterned payload under a
//! checksum.
//!
//! ```text
//! byte   0        1        2..8     8..14                      14..18  18..
//!        run tag  stream   number   due, monotonic ns mod 2^48  CRC-32  pattern that follows from the number
//! ```
//! The checksum covers the run's whole number, both IP addresses and the payload. 18 bytes are what the shortest
//! Ethernet frame has room for behind IPv4 and UDP.

use std::net::IpAddr;

use sterna_wire::addr_bytes;

/// Bytes of a probe without pattern.
pub const PROBE_LEN: usize = 18;

const CRC: std::ops::Range<usize> = 14..18;
const LOW_48: u64 = (1 << 48) - 1;

/// A run, told from others on the same network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(pub u32);

impl RunId {
    /// The byte of it that every probe shows.
    pub fn tag(self) -> u8 {
        self.0.to_be_bytes()[0]
    }
}

/// What a probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which sender of the run.
    pub stream: u8,
    /// Its number in the stream, from 0, below 2^48.
    pub number: u64,
    /// When it was due, in nanoseconds of the monotonic clock, modulo 2^48 (78 hours).
    pub due_ns: u64,
}

impl Probe {
    /// How long ago it was due, in nanoseconds; 0 when it came before its time.
    pub fn age_ns(&self, now_ns: u64) -> u64 {
        let age = now_ns.wrapping_sub(self.due_ns) & LOW_48;
        if age >> 47 == 0 { age } else { 0 }
    }
}

/// Why a payload is not a probe of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoProbe {
    /// Another run's, or damaged in its first byte.
    OtherRun,
    /// This run's, but not as it was sent.
    Corrupted,
}

/// Writes a probe over a whole payload, at least [`PROBE_LEN`] bytes (shorter ones are left alone).
pub fn write(payload: &mut [u8], run: RunId, probe: &Probe, source: IpAddr, destination: IpAddr) {
    if payload.len() < PROBE_LEN {
        return;
    }
    let number = (u64::from(run.tag()) << 56) | (u64::from(probe.stream) << 48) | (probe.number & LOW_48);
    payload[..8].copy_from_slice(&number.to_be_bytes());
    payload[8..14].copy_from_slice(&probe.due_ns.to_be_bytes()[2..]);
    fill_pattern(&mut payload[PROBE_LEN..], probe.number);
    let crc = crc(payload, run, source, destination);
    payload[CRC].copy_from_slice(&crc.to_be_bytes());
}

/// Reads a probe.
///
/// # Errors
/// Why it is none of this run.
pub fn read(payload: &[u8], run: RunId, source: IpAddr, destination: IpAddr) -> Result<Probe, NoProbe> {
    let Some((word, _)) = payload.split_first_chunk::<8>() else { return Err(NoProbe::OtherRun) };
    if word[0] != run.tag() {
        return Err(NoProbe::OtherRun);
    }
    if payload.len() < PROBE_LEN || payload[CRC] != crc(payload, run, source, destination).to_be_bytes() {
        return Err(NoProbe::Corrupted);
    }
    let mut due = [0; 8];
    due[2..].copy_from_slice(&payload[8..14]);
    let word = u64::from_be_bytes(*word);
    Ok(Probe { stream: (word >> 48) as u8, number: word & LOW_48, due_ns: u64::from_be_bytes(due) })
}

fn crc(payload: &[u8], run: RunId, source: IpAddr, destination: IpAddr) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&run.0.to_be_bytes());
    hasher.update(&addr_bytes(source));
    hasher.update(&addr_bytes(destination));
    hasher.update(&payload[..CRC.start]);
    hasher.update(&payload[CRC.end..]);
    hasher.finalize()
}

/// Bytes that differ from packet to packet (splitmix64), so that another packet's payload is not taken for this one's.
fn fill_pattern(bytes: &mut [u8], number: u64) {
    let mut state = number;
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 27)).to_be_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));
    const TO: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
    const RUN: RunId = RunId(0x51a2_0007);

    #[test]
    fn age_survives_the_wrap_of_48_bits() {
        let probe = Probe { stream: 0, number: 0, due_ns: LOW_48 - 9 };
        assert_eq!(probe.age_ns((1 << 48) + 90), 100);
        assert_eq!(Probe { due_ns: 500, ..probe }.age_ns(400), 0);
    }

    #[test]
    fn another_run_is_not_ours() {
        let mut payload = [0; 40];
        write(&mut payload, RunId(0x52a2_0007), &Probe { stream: 1, number: 2, due_ns: 3 }, FROM, TO);
        assert_eq!(read(&payload, RUN, FROM, TO), Err(NoProbe::OtherRun));
        // The same tag, but another run all the same.
        write(&mut payload, RunId(0x51a2_0008), &Probe { stream: 1, number: 2, due_ns: 3 }, FROM, TO);
        assert_eq!(read(&payload, RUN, FROM, TO), Err(NoProbe::Corrupted));
        assert_eq!(read(&[], RUN, FROM, TO), Err(NoProbe::OtherRun));
    }

    fn probes() -> impl Strategy<Value = Probe> {
        (any::<u8>(), 0..=LOW_48, 0..=LOW_48).prop_map(|(stream, number, due_ns)| Probe {
            stream,
            number,
            due_ns,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(probe in probes(), len in PROBE_LEN..1_500) {
            let mut payload = vec![0xa5; len];
            write(&mut payload, RUN, &probe, FROM, TO);
            prop_assert_eq!(read(&payload, RUN, FROM, TO), Ok(probe));
        }

        #[test]
        fn no_changed_bit_goes_unseen(probe in probes(), len in PROBE_LEN..200, at in any::<prop::sample::Index>()) {
            let mut payload = vec![0; len];
            write(&mut payload, RUN, &probe, FROM, TO);
            let bit = at.index(len * 8);
            payload[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit < 8 { NoProbe::OtherRun } else { NoProbe::Corrupted };
            prop_assert_eq!(read(&payload, RUN, FROM, TO), Err(expected));
        }

        #[test]
        fn neither_a_cut_nor_another_address_goes_unseen(probe in probes(), len in 60_usize..200, cut in 1_usize..40) {
            let mut payload = vec![0; len];
            write(&mut payload, RUN, &probe, FROM, TO);
            prop_assert_eq!(read(&payload[..len - cut], RUN, FROM, TO), Err(NoProbe::Corrupted));
            prop_assert_eq!(read(&payload, RUN, TO, FROM), Err(NoProbe::Corrupted));
        }

        #[test]
        fn noise_is_never_a_probe(noise in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(read(&noise, RUN, FROM, TO).is_err());
        }
    }
}
