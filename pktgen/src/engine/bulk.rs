//! A profile as live frames: images of its templates, and a cycle of picks among them.

use std::net::IpAddr;

use sterna_wire::{Family, addr_bytes};
use sterna_xsk::{BULK_PORT, HEAD, Image, Pick};

use crate::address::{low, nth};
use crate::choice::Chooser;
use crate::compose::{Link, MISS_STREAM, Templates};
use crate::packet::{Layout, Template};
use crate::profile::{Eids, Profile};

/// The longest cycle of picks; behind it the same packets come again, with other numbers.
pub const MOST_PICKS: usize = 1 << 22;
/// The shortest cycle of a random choice.
const FEWEST_DRAWS: usize = 1 << 16;

/// The largest size of a live frame in bytes: the kernel keeps it with its book-keeping in one page of 4,096 bytes.
pub const MAX_LIVE_SIZE: u16 = 3_500;

/// Why a profile cannot be sent as live frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// It needs more than headers and a number.
    #[error("live frames carry neither hostile packets nor a replay: use --engine xdp for this profile")]
    NotOrdinary,
    /// Longer than what the kernel sends.
    #[error(
        "live frames have at most {MAX_LIVE_SIZE} bytes, and the profile has frames of {size}: use --engine xdp for it"
    )]
    TooLong {
        /// The largest size of the profile, in bytes.
        size: u16,
    },
    /// Too many combinations of what is not put in per packet.
    #[error(
        "{images} combinations of groups, sizes and senders are more than live frames can have (65535): use fewer"
    )]
    TooMany {
        /// How many it would take.
        images: usize,
    },
}

/// What the kernel needs to send a profile's packets.
#[derive(Debug)]
pub struct Bulk {
    /// A frame for each group, size and sender, once for the EIDs and once for the missing ones.
    pub images: Vec<Image>,
    /// What is put in, packet after packet.
    pub picks: Vec<Pick>,
    /// What stands behind the images' heads, by place in the frame.
    pub filler: Vec<u8>,
}

impl Bulk {
    /// For a worker of several.
    ///
    /// # Errors
    /// Hostile packets, a replay or frames of more than [`MAX_LIVE_SIZE`] in the profile, or too many combinations.
    pub fn new(profile: &Profile, link: &Link, worker: u32, workers: u32) -> Result<Self, BulkError> {
        let eids = match (&profile.eids, &profile.hostile, &profile.replay) {
            (Some(eids), None, None) => eids,
            _ => return Err(BulkError::NotOrdinary),
        };
        let size = profile.frame.sizes.iter().map(|entry| entry.bytes).max().unwrap_or(0);
        if size > MAX_LIVE_SIZE {
            return Err(BulkError::TooLong { size });
        }
        let family = Family::of(eids.destination);
        let templates = Templates::new(profile, family, link, BULK_PORT);
        let per_sender = templates.iter().count();
        let senders = eids.sources as usize;
        let kinds = 1 + usize::from(profile.misses.is_some());
        let count = per_sender.saturating_mul(senders).saturating_mul(kinds);
        if count > usize::from(u16::MAX) {
            return Err(BulkError::TooMany { images: count });
        }
        let longest = templates.iter().map(Template::len).max().unwrap_or(0);
        let filler = vec![0x5a; longest.max(HEAD)];
        let bases = [Some(eids.destination), profile.misses.as_ref().map(|misses| misses.destination)];
        let mut images = Vec::with_capacity(count);
        for (base, stream) in bases.into_iter().zip([0, MISS_STREAM]) {
            let Some(base) = base else { continue };
            for sender in 0..eids.sources {
                let pair = (nth(eids.source, sender), base);
                let tag = [link.run.tag(), worker as u8 + stream];
                images.extend(templates.iter().map(|template| image(template, pair, tag, &filler)));
            }
        }
        let picks = picks(profile, eids, per_sender, worker, workers);
        Ok(Self { images, picks, filler })
    }
}

fn picks(profile: &Profile, eids: &Eids, per_sender: usize, worker: u32, workers: u32) -> Vec<Pick> {
    let mut chooser = Chooser::new(profile, worker, workers);
    let combinations = [eids.count as usize, eids.sources as usize, profile.flows.count.into()]
        .into_iter()
        .fold(profile.groups.count(), usize::saturating_mul);
    let varied = combinations > 1 || profile.frame.sizes.len() > 1 || profile.misses.is_some();
    let draws = match eids.order {
        _ if !varied => 1,
        crate::profile::Order::Sequence if profile.frame.sizes.len() == 1 && profile.misses.is_none() => {
            combinations.min(MOST_PICKS)
        }
        _ => combinations.saturating_mul(4).clamp(FEWEST_DRAWS, MOST_PICKS),
    };
    let misses_at = per_sender * eids.sources as usize;
    let sizes = profile.frame.sizes.len();
    let mut missed = 0;
    let draw = |_| {
        let choice = chooser.choose();
        let within = choice.source as usize * per_sender + choice.group * sizes + choice.size;
        let missing = profile.misses.as_ref().filter(|misses| chooser.happens(misses.share));
        let (image, address) = match missing {
            Some(misses) => {
                missed += 1;
                (misses_at + within, nth(misses.destination, (missed - 1) % misses.count.max(1)))
            }
            None => (within, nth(eids.destination, choice.destination)),
        };
        Pick {
            address: low(address).to_be_bytes(),
            port: profile.flows.first_port + choice.flow,
            image: image as u16,
        }
    };
    (0..draws).map(draw).collect()
}

/// A template with a sender, and with what the payload begins with.
fn image(template: &Template, (source, destination): (IpAddr, IpAddr), tag: [u8; 2], filler: &[u8]) -> Image {
    let layout = template.layout;
    let mut frame = template.bytes.clone();
    frame[layout.payload..layout.payload + 8].fill(0);
    frame[layout.payload..layout.payload + 2].copy_from_slice(&tag);
    let filled = layout.payload + 8;
    let length = frame.len();
    frame[filled..].copy_from_slice(&filler[filled..length]);
    template.address(&mut frame, source, destination, 0);
    let v6 = layout.family == Family::V6;
    let address_at = layout.ip + if v6 { 36 } else { 16 };
    // All that is put in counts as 0.
    frame[address_at..address_at + 4].fill(0);
    let (ip_base, udp_base) = if v6 {
        (0, udp_base(&mut frame, layout.udp, source, destination))
    } else {
        (ip_base(&frame, &layout), 0)
    };
    let mut head = [0; HEAD];
    let filled = frame.len().min(HEAD);
    head[..filled].copy_from_slice(&frame[..filled]);
    let place = |at: usize| at as u16;
    Image {
        length: frame.len() as u32,
        head,
        ip_base,
        udp_base,
        address_at: place(address_at),
        ip_sum_at: if v6 { 0 } else { place(layout.ip + 10) },
        port_at: place(layout.udp),
        udp_sum_at: if v6 { place(layout.udp + 6) } else { 0 },
        number_at: place(layout.payload + 2),
        outer_port_at: layout.outer.map_or(0, |outer| place(outer.udp)),
    }
}

/// An IPv4 header's sum without its checksum.
fn ip_base(frame: &[u8], layout: &Layout) -> u32 {
    fold(sum(&frame[layout.ip..layout.ip + 10]) + sum(&frame[layout.ip + 12..layout.udp]))
}

/// A UDP packet's sum with its IPv6 pseudo header, without its checksum and the low end of the destination.
fn udp_base(frame: &mut [u8], udp: usize, source: IpAddr, destination: IpAddr) -> u32 {
    frame[udp + 6..udp + 8].fill(0);
    let length = ((frame.len() - udp) as u32).to_be_bytes();
    let to = addr_bytes(destination);
    fold(sum(&addr_bytes(source)) + sum(&to[..12]) + sum(&length) + sum(&[0, 17]) + sum(&frame[udp..]))
}

/// 16-bit words in this machine's byte order, added up; an odd last byte is padded with zero.
fn sum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| u64::from(u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum()
}

/// The same, with the carries of the upper half added to the lower.
fn fold(sum: u64) -> u32 {
    ((sum & 0xffff) + (sum >> 16)) as u32
}
