//! The ports at the places.

use std::os::fd::BorrowedFd;

use anyhow::{Context, Result, bail};
use sterna_xsk::{BURST, Frame, Funnel, Interface, KernelOptions, Port};

use super::crowd::Crowd;
use super::profile;
use super::report::PlaceReport;
use crate::guard::Surroundings;
use crate::interface::Counters;
use crate::namespace::inside;
use crate::report::PortReport;

/// Bursts that are taken from one port before the others have their turn.
const BURSTS: usize = 8;

/// What must be true of a place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands {
    /// Use also an interface with the default route, or outside a lab namespace.
    pub own_network: bool,
    /// Let the kernel run the program where the driver cannot.
    pub allow_generic: bool,
}

/// One place's port.
struct Place {
    namespace: Option<String>,
    port: Port,
    /// Held: the frames come as long as it is there.
    _funnel: Funnel,
    before: Counters,
    lost_busy: u64,
}

/// All ports.
pub struct Places {
    places: Vec<Place>,
    received: Vec<Frame>,
    leaving: Vec<Frame>,
}

impl Places {
    /// Opens them, in the order of the profile.
    ///
    /// # Errors
    /// An interface is not there, down, taken or not to be used, or there is no permission.
    pub fn open(places: &[profile::Place], demands: Demands) -> Result<Self> {
        let open = |place| open(place, demands).with_context(|| format!("place {}", place.name));
        let places = places.iter().map(open).collect::<Result<_>>()?;
        Ok(Self { places, received: Vec::with_capacity(BURST), leaving: Vec::with_capacity(BURST) })
    }

    /// Gives what came in to the crowd, a bounded part of it; true when there was something.
    pub fn receive(&mut self, crowd: &mut Crowd) -> bool {
        let Self { places, received, .. } = self;
        let mut any = false;
        for (at, place) in places.iter_mut().enumerate() {
            for _ in 0..BURSTS {
                if place.port.receive(received, BURST) == 0 {
                    break;
                }
                any = true;
                received.iter().for_each(|frame| crowd.receive(at, frame.bytes()));
                place.port.release(received);
                place.port.maintain();
            }
            place.port.maintain();
        }
        any
    }

    /// Sends what the crowd has; true when all of it is out.
    pub fn send(&mut self, crowd: &mut Crowd) -> bool {
        let Self { places, leaving, .. } = self;
        let mut all = true;
        for (place, spot) in places.iter_mut().zip(&mut crowd.spots) {
            while !spot.frames.is_empty() {
                place.port.fresh(leaving, spot.frames.len().min(BURST));
                if leaving.is_empty() {
                    break;
                }
                let write = |(frame, bytes): (&mut Frame, &Vec<u8>)| frame.write(bytes);
                let written = leaving.iter_mut().zip(&spot.frames).map(write);
                let count = written.take_while(|written| *written).count();
                if count == 0 {
                    // Longer than a frame of this port holds: the profile's MTU is more than the interface's.
                    place.port.release(leaving);
                    spot.frames.pop_front();
                    spot.overflow += 1;
                    continue;
                }
                let mut rest = leaving.split_off(count);
                place.port.release(&mut rest);
                let sent = place.port.transmit(leaving);
                spot.frames.drain(..sent);
                place.port.release(leaving);
                place.lost_busy += place.port.kick().lost_busy;
                place.port.maintain();
                if sent == 0 {
                    break;
                }
            }
            all &= spot.frames.is_empty();
        }
        all
    }

    /// What to wait on; nothing while a port cannot be waited for.
    pub fn wait_fds(&mut self) -> Option<Vec<BorrowedFd<'_>>> {
        if !self.places.iter_mut().all(|place| place.port.may_wait()) {
            return None;
        }
        self.places.iter().map(|place| place.port.wait_fd()).collect()
    }

    /// Adds what is known of each place's port to its report.
    ///
    /// # Errors
    /// A namespace is gone.
    pub fn account(&mut self, reports: &mut [PlaceReport]) -> Result<()> {
        for (place, report) in self.places.iter_mut().zip(reports) {
            place.port.maintain();
            let counted = place.port.statistics();
            let leaked = place.port.ledger().leaked();
            let name = place.port.name().to_owned();
            report.lost_busy = place.lost_busy;
            report.interface = counters(place.namespace.as_deref(), &name)?.since(&place.before);
            report.port = PortReport::new(name, &place.port.granted(), &counted, leaked);
        }
        Ok(())
    }
}

fn counters(namespace: Option<&str>, interface: &str) -> Result<Counters> {
    inside(namespace, || Ok(Counters::of(interface)))
}

fn open(place: &profile::Place, demands: Demands) -> Result<Place> {
    let (name, namespace) = (&place.interface, place.namespace.as_deref());
    let (port, funnel) = inside(namespace, || {
        let interface = Interface::find(name)?;
        if !demands.own_network {
            Surroundings::of(name).allow(name)?;
        }
        if !interface.up {
            bail!("{name} is down: `ip link set dev {name} up`");
        }
        let port = Port::open(&KernelOptions::new(name, 0))?;
        let mut funnel = Funnel::load(name)?;
        funnel.register(0, port.wait_fd().context("a kernel port has a socket")?)?;
        funnel.attach(demands.allow_generic)?;
        Ok((port, funnel))
    })?;
    let before = counters(namespace, name)?;
    Ok(Place { namespace: place.namespace.clone(), port, _funnel: funnel, before, lost_busy: 0 })
}
