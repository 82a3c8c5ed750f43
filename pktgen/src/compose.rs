//! Writes the packets of a profile, one after the other, into frames.

use std::net::IpAddr;

use sterna_wire::{Family, Mac};

use crate::address::nth;
use crate::choice::{Choice, Chooser};
use crate::hostile::Forger;
use crate::packet::{Template, TemplateSpec};
use crate::probe::{self, Probe, RunId};
use crate::profile::{Eids, Groups, Misses, Profile};
use crate::replay::Capture;

/// Workers that a run may have.
pub const MOST_WORKERS: u32 = 8;
/// Probes to missing EIDs are numbered apart, as if another sender sent them: the worker's number and this.
pub const MISS_STREAM: u8 = 8;

/// Who the frames are from and to on the link, and which run they belong to.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Ethernet source address.
    pub source_mac: Mac,
    /// Ethernet destination address.
    pub destination_mac: Mac,
    /// The run.
    pub run: RunId,
}

/// How many packets of which kind were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// Probes, packets to missing EIDs left out.
    pub probes: u64,
    /// Probes to EIDs that nobody has.
    pub misses: u64,
    /// Packets that are wrong.
    pub hostile: u64,
    /// Packets of a capture.
    pub replayed: u64,
    /// Bytes of all, without FCS.
    pub bytes: u64,
}

impl Written {
    /// All packets.
    pub fn packets(&self) -> u64 {
        self.probes + self.misses + self.hostile + self.replayed
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Written) {
        self.probes += other.probes;
        self.misses += other.misses;
        self.hostile += other.hostile;
        self.replayed += other.replayed;
        self.bytes += other.bytes;
    }
}

/// Writes one worker's packets.
#[derive(Debug)]
pub struct Composer {
    run: RunId,
    stream: u8,
    chooser: Chooser,
    content: Content,
    forger: Option<(f64, Forger)>,
    written: Written,
    next_miss: u32,
}

#[derive(Debug)]
enum Content {
    Built { templates: Templates, eids: Eids, first_port: u16, misses: Option<Misses> },
    Replayed(Capture),
}

/// A template per group and size.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    by_group: Vec<Vec<Template>>,
}

impl Templates {
    /// All of a profile's, with this UDP destination port.
    pub fn new(profile: &Profile, family: Family, link: &Link, port: u16) -> Self {
        let of_group = |group: usize| {
            let (vlan, iid) = match &profile.groups {
                Groups::One => (None, None),
                Groups::Vlans(vlans) => (vlans.get(group).copied(), None),
                Groups::Iids(iids) => (None, iids.get(group).copied()),
            };
            let sizes = profile.frame.sizes.iter();
            sizes
                .map(|entry| {
                    Template::new(&TemplateSpec {
                        source_mac: profile.frame.source_mac.unwrap_or(link.source_mac),
                        destination_mac: profile.frame.destination_mac.unwrap_or(link.destination_mac),
                        size: entry.bytes,
                        family,
                        port,
                        vlan,
                        tunnel: profile.lisp,
                        iid,
                    })
                })
                .collect()
        };
        Self { by_group: (0..profile.groups.count()).map(of_group).collect() }
    }

    /// The template of a choice.
    pub fn get(&self, choice: &Choice) -> &Template {
        &self.by_group[choice.group][choice.size]
    }

    /// All of them: groups in order, and in each the sizes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Template> {
        self.by_group.iter().flatten()
    }
}

/// A profile's misses with their share of what is not hostile: whether a packet is hostile is drawn first, and both
/// shares are of all packets.
fn misses(profile: &Profile) -> Option<Misses> {
    let rest = 1.0 - profile.hostile.as_ref().map_or(0.0, |hostile| hostile.share);
    let misses = profile.misses.clone()?;
    let share = if rest > 0.0 { (misses.share / rest).min(1.0) } else { 0.0 };
    Some(Misses { share, ..misses })
}

impl Composer {
    /// For a worker of several. A profile with a replay needs its capture.
    pub fn new(
        profile: &Profile,
        link: &Link,
        port: u16,
        worker: u32,
        workers: u32,
        capture: Option<Capture>,
    ) -> Self {
        let content = match (&profile.eids, capture) {
            (Some(eids), None) => Content::Built {
                templates: Templates::new(profile, Family::of(eids.destination), link, port),
                eids: eids.clone(),
                first_port: profile.flows.first_port,
                misses: misses(profile),
            },
            (_, capture) => Content::Replayed(capture.unwrap_or_default()),
        };
        let forger = profile.hostile.as_ref().map(|hostile| {
            let macs = (
                profile.frame.source_mac.unwrap_or(link.source_mac),
                profile.frame.destination_mac.unwrap_or(link.destination_mac),
            );
            (hostile.share, Forger::new(hostile, macs, worker))
        });
        Self {
            run: link.run,
            stream: worker as u8,
            chooser: Chooser::new(profile, worker, workers),
            content,
            forger,
            written: Written::default(),
            next_miss: worker,
        }
    }

    /// The longest packet it will write, in bytes without FCS; wrong packets may be a few bytes longer than others.
    pub fn longest(&self) -> usize {
        let ordinary = match &self.content {
            Content::Built { templates, .. } => templates.iter().map(Template::len).max(),
            Content::Replayed(capture) => capture.frames().iter().map(|frame| frame.bytes.len()).max(),
        };
        let wrong = self.forger.as_ref().map(|(_, forger)| forger.longest());
        ordinary.max(wrong).unwrap_or(0)
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        self.written
    }

    /// When packet `n` is due after the first, in nanoseconds, if it is replayed at its own time; the capture
    /// begins again after its end.
    pub fn own_time_ns(&self, n: u64) -> Option<u64> {
        match &self.content {
            Content::Replayed(capture) => capture.time_ns(n),
            Content::Built { .. } => None,
        }
    }

    /// Writes the next packet, due at a moment, and gives its length in bytes; 0 when the room is too small.
    #[inline]
    pub fn write(&mut self, room: &mut [u8], due_ns: u64) -> usize {
        let wrong = self.forger.as_mut().filter(|(share, _)| self.chooser.happens(*share));
        let length = if let Some((_, forger)) = wrong {
            let length = put(room, forger.forge());
            self.written.hostile += u64::from(length > 0);
            length
        } else if let Content::Replayed(capture) = &mut self.content {
            let length = put(room, capture.take());
            self.written.replayed += u64::from(length > 0);
            length
        } else {
            self.write_probe(room, due_ns)
        };
        self.written.bytes += length as u64;
        length
    }

    fn write_probe(&mut self, room: &mut [u8], due_ns: u64) -> usize {
        let Content::Built { templates, eids, first_port, misses } = &self.content else { return 0 };
        let choice = self.chooser.choose();
        let template = templates.get(&choice);
        let length = template.len();
        let Some(frame) = room.get_mut(..length) else { return 0 };
        let missing = misses.as_ref().filter(|misses| self.chooser.happens(misses.share));
        let (destination, stream, count): (IpAddr, u8, &mut u64) = match missing {
            Some(misses) => {
                let at = self.next_miss % misses.count.max(1);
                self.next_miss = self.next_miss.wrapping_add(1);
                (nth(misses.destination, at), self.stream + MISS_STREAM, &mut self.written.misses)
            }
            None => (nth(eids.destination, choice.destination), self.stream, &mut self.written.probes),
        };
        let source = nth(eids.source, choice.source);
        let probe = Probe { stream, number: *count, due_ns };
        *count += 1;
        template.write_headers(frame);
        probe::write(&mut frame[template.layout.payload..], self.run, &probe, source, destination);
        template.address(frame, source, destination, first_port + choice.flow);
        length
    }
}

fn put(room: &mut [u8], packet: &[u8]) -> usize {
    match room.get_mut(..packet.len()) {
        Some(frame) => {
            frame.copy_from_slice(packet);
            packet.len()
        }
        None => 0,
    }
}
