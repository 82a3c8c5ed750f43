//! A userspace relay of whole frames between interfaces of one namespace: it delays, loses, reorders, doubles, damages,
//! slows, holds and cuts them, and keeps books of its own. (The kernels this lab runs on have no netem.)
//!
//! [`impairment`] has the knobs, [`course`] decides by them, the time and a seed alone, [`books`] counts what became of
//! every frame, and [`fate`] tells which frames did not go on as they came. A [`profile`] is a kind of link with the
//! sources of its figures.
//!
//! A [`Relay`] has ports ([`port`]) and per port one [`direction`] that says what becomes of what comes in there.
//! A [`link`](Relay::link) joins two ports like a wire; a [`cable`] is an agent's plug.

pub mod books;
pub mod cable;
pub mod corruption;
pub mod course;
pub mod dice;
pub mod direction;
pub mod fate;
pub mod flap;
pub mod impairment;
pub mod jitter;
pub mod loss;
pub mod pace;
pub mod port;
pub mod profile;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::error::Result;
use crate::namespace::Namespace;
use crate::thread;

use books::Counts;
use direction::Direction;
use port::{Port, Receiver};
use profile::Profile;

/// A relay that is running; ends when dropped.
#[derive(Debug)]
pub struct Relay {
    names: Vec<String>,
    directions: Vec<Arc<Direction>>,
    receivers: Vec<Arc<Receiver>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Opens the ports in `namespace` and begins; at first every direction is cut. `seed` decides what is lost.
    ///
    /// # Errors
    /// When an interface is not there.
    pub fn start(namespace: &Namespace, names: &[String], seed: u64) -> Result<Self> {
        let opened: Vec<(Port, Receiver)> =
            namespace.run(|| names.iter().map(|name| port::open(name)).collect::<Result<Vec<_>>>())??;
        let (ports, receivers): (Vec<Port>, Vec<Receiver>) = opened.into_iter().unzip();
        let ports: Arc<[Port]> = ports.into();
        let began = Instant::now();
        let mut relay = Self {
            names: names.to_vec(),
            directions: Vec::new(),
            receivers: Vec::new(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for (at, receiver) in (0_u64..).zip(receivers) {
            let receiver = Arc::new(receiver);
            relay.receivers.push(Arc::clone(&receiver));
            let direction = Arc::new(Direction::new(seed.wrapping_add(at), Arc::clone(&ports), began));
            relay.directions.push(Arc::clone(&direction));
            let (stop, also) = (Arc::clone(&relay.stop), Arc::clone(&direction));
            relay.threads.push(thread::start("relay rx", move || {
                while !stop.load(Ordering::Relaxed) {
                    receiver.wait();
                    receiver.drain(|frame| also.take(frame));
                }
            })?);
            let stop = Arc::clone(&relay.stop);
            relay.threads.push(thread::start("relay tx", move || direction.serve(&stop))?);
        }
        Ok(relay)
    }

    /// A relay that joins two ports like a wire.
    ///
    /// # Errors
    /// As [`Relay::start`].
    pub fn link(namespace: &Namespace, names: &[String; 2], seed: u64) -> Result<Self> {
        let relay = Self::start(namespace, names, seed)?;
        relay.directions[0].plug(Some(1));
        relay.directions[1].plug(Some(0));
        Ok(relay)
    }

    /// What becomes of what comes in at a port, by the port's place in the list it was started with.
    pub fn direction(&self, port: usize) -> &Direction {
        &self.directions[port]
    }

    /// Passes on what has come in at a port and was not looked at yet: what is done to the port afterwards is not done
    /// to frames that came before.
    pub fn settle(&self, port: usize) {
        self.receivers[port].drain(|frame| self.directions[port].take(frame));
    }

    /// Cuts both directions of a link, or mends it.
    pub fn cut(&self, cut: bool) {
        for (at, direction) in self.directions.iter().enumerate().take(2) {
            direction.plug(if cut { None } else { Some(1 - at) });
        }
    }

    /// Makes a link, whose first port is the access's, one of a kind; none makes it a wire again.
    pub fn impair(&self, profile: Option<&Profile>) {
        let wire = Profile::default();
        let profile = profile.unwrap_or(&wire);
        for (direction, knobs) in self.directions.iter().zip([&profile.up, &profile.down]) {
            direction.impair(knobs);
        }
    }

    /// Writes down from now on, for every direction, which frames do not go on as they came.
    pub fn watch(&self) {
        self.directions.iter().for_each(|direction| direction.watch());
    }

    /// The books of all directions added up.
    pub fn counts(&self) -> Counts {
        self.directions.iter().map(|direction| direction.counts()).sum()
    }

    /// Names of its ports.
    pub fn ports(&self) -> &[String] {
        &self.names
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for direction in &self.directions {
            direction.wake();
        }
        for thread in self.threads.drain(..) {
            // What it relayed no more is found missing.
            let _ = thread.join();
        }
    }
}
