//! Frames to and from the kernel.
//!
//! This crate is all that Sterna knows about AF_XDP: a [`Port`] is one queue of one interface with its own packet
//! memory, a [`Frame`] is one packet in it, and [`Steering`] is the XDP program that decides which packets come to
//! the ports and which go to the kernel as if we were not there.
//! It uses nothing else of Sterna's, so that the generator and the benches can use it alone.
//! Every step of AF_XDP is unsafe underneath; nothing of that shows outside.
//!
//! # The life of a frame
//! ```text
//!            fresh                    transmit                 kick
//!   free  ----------->  held by app  ----------->  tx ring  ----------> device
//!    ^ ^                  ^     |                                         |
//!    | |     release      |     |                     maintain            |
//!    | +------------------------+  <--------------------------------------+
//!    |                    |
//!    | maintain           | receive
//!    +--------> fill ring / device / rx ring
//! ```
//! Each chunk of packet memory is in exactly one of the four places, and the port's [`Ledger`] adds up at every
//! moment: `free + fill + held_by_app + tx = total`.
//! A frame is the sole owner of its chunk and moves: to send it twice does not compile.
//! ```compile_fail,E0382
//! # fn f(port: &mut sterna_xsk::Port, frame: sterna_xsk::Frame) {
//! port.transmit(&mut vec![frame]);
//! port.transmit(&mut vec![frame]); // use of moved value
//! # }
//! ```
//! A frame that is dropped by mistake goes home through a lock and is counted.
//! A port that is dropped while frames are out leaves their memory mapped for good rather than let them dangle.
//! Frames belong to one port: what goes out elsewhere is copied into a [`Port::fresh`] frame of that port, because
//! encapsulation writes new headers anyway and one memory per port keeps workers and devices independent.
//!
//! # A worker's turn
//! ```
//! use sterna_xsk::{BURST, MemoryOptions, memory_port};
//! let (mut port, wire) = memory_port(&MemoryOptions::default());
//! let (mut frames, mut replies) = (Vec::with_capacity(BURST), Vec::with_capacity(BURST));
//! wire.inject(&[7; 60]);
//!
//! port.receive(&mut frames, BURST);
//! port.fresh(&mut replies, frames.len());
//! for (from, to) in frames.iter().zip(&mut replies) {
//!     assert!(to.write(from.bytes()));
//! }
//! port.release(&mut frames);
//! port.transmit(&mut replies);        // what does not fit stays in `replies`:
//! port.release(&mut replies);         // the tx ring was full, count it
//! let kicked = port.kick();           // copy mode sends here; kicked.lost_busy packets were lost
//! port.maintain();                    // sent frames come back, the fill ring is refilled
//!
//! assert_eq!(wire.collect(), [vec![7; 60]]);
//! port.maintain();
//! assert_eq!(port.ledger().leaked() + i64::from(port.ledger().held_by_app), 0);
//! ```
//!
//! # Starting on real interfaces
//! [`Steering::load`] with all ports, [`Port::open`] each queue, [`Steering::register`] each
//! [`Port::wait_fd`], then [`Steering::attach`]: no packet is redirected before its socket is there.
//! With a pin directory the program outlives the process: eid-side ports then drop what has no worker, so that
//! nothing leaves in the clear, and the next start takes the pinned links over without a gap.
//! [`Steering::unpin`] clears them.
//!
//! # For generators
//! [`SinkProgram`] takes the place of [`Steering`] where a load is received, and [`LiveFrames`] makes the kernel
//! itself send frames, several times faster than a socket in copy mode.
//! [`Funnel`] gives a process everything that enters an interface, for who plays the hosts there.

mod error;
mod frame;
mod funnel;
mod granted;
mod interface;
mod kernel;
mod live;
mod membership;
mod memory;
mod open;
mod pool;
mod port;
mod program;
mod region;
mod sink;
mod steering;
mod sys;

pub use error::Error;
pub use frame::Frame;
pub use funnel::Funnel;
pub use granted::{Granted, Kicked, Mode, XdpStatistics};
pub use interface::Interface;
pub use live::{HEAD, Image, LiveControl, LiveFrames, LiveOptions, Pick};
pub use memory::{MemoryOptions, Wire, cycling_port, memory_port};
pub use open::KernelOptions;
pub use pool::{Anomalies, Ledger};
pub use port::Port;
pub use sink::{BULK_PORT, BulkCount, PROBE_PORT, SinkCounts, SinkProgram};
pub use steering::{Action, PortSpec, Side, Steering, Verdict};

/// Packets worked on together.
pub const BURST: usize = 64;
