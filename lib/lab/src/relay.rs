//! A userspace relay of whole frames between interfaces of one namespace: it delays, loses by seed, holds and cuts,
//! and keeps books of its own. (The kernels this lab runs on have no netem.)
//!
//! A [`Relay`] has ports ([`port`]) and per port one [`direction`] that says what becomes of what comes in there.
//! A [`link`](Relay::link) joins two ports like a wire; a [`cable`] is an agent's plug.

pub mod cable;
pub mod direction;
pub mod port;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::error::Result;
use crate::namespace::Namespace;
use crate::thread;

use direction::{Counts, Direction};
use port::{Port, Receiver};

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
            let direction = Arc::new(Direction::new(seed.wrapping_add(at), Arc::clone(&ports)));
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
