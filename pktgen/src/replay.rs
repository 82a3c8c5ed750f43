//! Packets from a pcap file, sent again.

use std::path::{Path, PathBuf};

use crate::compose::Link;
use crate::pcap::{self, PcapError};
use crate::profile::Replay;
use crate::rewrite::Rewritten;

/// Why a capture cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Pcap(#[from] PcapError),
    /// There is nothing in it.
    #[error("{} holds no frame that was captured whole: capture without a snap length", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Nanoseconds after the capture's first frame.
    pub after_ns: u64,
    /// The frame without FCS.
    pub bytes: Vec<u8>,
}

/// A capture, sent over and over.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    frames: Vec<Captured>,
    /// How long one turn takes at its own times, in nanoseconds.
    turn_ns: u64,
    keep_times: bool,
    next: usize,
    rewritten: Rewritten,
}

impl Capture {
    /// Reads a profile's capture whole. Frames that were cut when captured, or are shorter than an Ethernet header,
    /// are left out.
    ///
    /// # Errors
    /// No such file, no pcap, not Ethernet, a record that cannot be read (with its offset), nothing in it.
    pub fn load(replay: &Replay, link: &Link) -> Result<Self, ReplayError> {
        let path = &replay.file;
        let whole = pcap::read(path)?.into_iter().filter(|record| record.whole && record.bytes.len() >= 14);
        let frames = whole.map(|record| Captured { after_ns: record.at_ns, bytes: record.bytes }).collect();
        Self::from_frames(frames, replay, link, path)
    }

    fn from_frames(
        mut frames: Vec<Captured>,
        replay: &Replay,
        link: &Link,
        path: &Path,
    ) -> Result<Self, ReplayError> {
        let first = frames.iter().map(|frame| frame.after_ns).min();
        let Some(first) = first else { return Err(ReplayError::Empty { path: path.to_owned() }) };
        let mut rewritten = Rewritten::default();
        for frame in &mut frames {
            frame.after_ns -= first;
            replay.rewriting.apply(&mut frame.bytes, &mut rewritten);
            if !replay.keep_macs {
                frame.bytes[..6].copy_from_slice(&link.destination_mac.octets());
                frame.bytes[6..12].copy_from_slice(&link.source_mac.octets());
            }
        }
        frames.sort_by_key(|frame| frame.after_ns);
        // The pause after the last frame is as long as the mean of those before.
        let span = frames.last().map_or(0, |frame| frame.after_ns);
        let turn_ns = (span + span / (frames.len() as u64 - 1).max(1)).max(1);
        Ok(Self { frames, turn_ns, keep_times: replay.keep_times, next: 0, rewritten })
    }

    /// What the profile had changed of them.
    pub fn rewritten(&self) -> Rewritten {
        self.rewritten
    }

    /// Its frames.
    pub fn frames(&self) -> &[Captured] {
        &self.frames
    }

    /// When frame `n` of the endless repetition is due, in nanoseconds after the first; `None` when the profile's
    /// rate decides.
    pub fn time_ns(&self, n: u64) -> Option<u64> {
        let count = (self.keep_times && !self.frames.is_empty()).then_some(self.frames.len() as u64)?;
        let frame = &self.frames[(n % count) as usize];
        Some((n / count).saturating_mul(self.turn_ns).saturating_add(frame.after_ns))
    }

    /// The next frame; empty when there is none.
    pub fn take(&mut self) -> &[u8] {
        let at = self.next;
        self.next = (at + 1) % self.frames.len().max(1);
        self.frames.get(at).map_or(&[], |frame| &frame.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::RunId;
    use sterna_wire::Mac;

    fn capture(keep_times: bool, keep_macs: bool) -> Capture {
        let replay = Replay { keep_times, keep_macs, ..Replay::of("x".into()) };
        let link = Link { source_mac: Mac([2; 6]), destination_mac: Mac([4; 6]), run: RunId(1) };
        let frames = [700, 500, 900].map(|after_ns| Captured { after_ns, bytes: vec![after_ns as u8; 60] });
        Capture::from_frames(frames.to_vec(), &replay, &link, Path::new("x")).unwrap()
    }

    #[test]
    fn it_begins_again_after_a_pause_and_in_the_order_of_time() {
        let mut capture = capture(true, true);
        let times: Vec<_> = (0..5).map(|n| capture.time_ns(n).unwrap()).collect();
        assert_eq!(times, [0, 200, 400, 600, 800]);
        let first: Vec<u8> = (0..4).map(|_| capture.take()[20]).collect();
        assert_eq!(first, [500, 700, 900, 500].map(|time: u64| time as u8));
        assert_eq!(capture.take()[..12], [700_u64 as u8; 12]);
    }

    #[test]
    fn the_profile_decides_about_times_and_addresses() {
        let mut capture = capture(false, false);
        assert_eq!(capture.time_ns(1), None);
        assert_eq!(capture.take()[..12], [4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"no pcap").unwrap();
        let replay = Replay::of(file.path().to_owned());
        let link = Link { source_mac: Mac::ZERO, destination_mac: Mac::ZERO, run: RunId(1) };
        assert!(matches!(Capture::load(&replay, &link), Err(ReplayError::Pcap(PcapError::Format { .. }))));
        let absent = Replay { file: "/nowhere.pcap".into(), ..replay };
        assert!(matches!(Capture::load(&absent, &link), Err(ReplayError::Pcap(PcapError::File { .. }))));
    }
}
