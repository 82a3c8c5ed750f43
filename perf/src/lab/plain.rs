//! Plain AF_XDP forwarding by the same ports and the same ring discipline as the gateway, and nothing else: each
//! frame that comes in goes out of the other port, copied into that port's memory.

use super::net::Net;
use super::spent::Spent;
use anyhow::{Context, Result, anyhow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use sterna_lab::namespace::Namespace;
use sterna_xsk::{BURST, Frame, KernelOptions, Port, PortSpec, Side, Steering};

/// The forwarder; it ends with this.
pub struct Plain {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    bursts: AtomicU64,
    empty_polls: AtomicU64,
    /// The forwarding thread, for its CPU time.
    thread: AtomicU64,
}

impl Plain {
    /// Forwards between the box's ports, on a core.
    pub fn start(net: &Net, core: usize) -> Result<Plain> {
        let (namespace, shared) = (net.namespace("box"), Arc::new(Shared::default()));
        let (ready, is_ready) = mpsc::channel();
        let ours = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("plain".to_owned()).spawn(move || {
            core_affinity::set_for_current(core_affinity::CoreId { id: core });
            forward(&namespace, &ours, &ready)
        })?;
        let mut plain = Plain { shared, thread: Some(thread) };
        if is_ready.recv().is_err() {
            let ended =
                plain.thread.take().map(|thread| thread.join().map_err(|_| anyhow!("it panicked"))?);
            return Err(ended.and_then(Result::err).unwrap_or_else(|| anyhow!("it ended")))
                .context("plain forwarding");
        }
        Ok(plain)
    }

    /// What it has spent so far.
    pub fn spent(&self) -> Spent {
        let thread = self.shared.thread.load(Ordering::Relaxed);
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap_or_default();
        Spent {
            cpu_ns: text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0),
            bursts: self.shared.bursts.load(Ordering::Relaxed),
            empty_polls: self.shared.empty_polls.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn forward(namespace: &Namespace, shared: &Shared, ready: &mpsc::Sender<()>) -> Result<()> {
    namespace.enter_for_good()?;
    shared.thread.store(rustix::thread::gettid().as_raw_nonzero().get() as u64, Ordering::Relaxed);
    let names = ["eid0", "rloc0"];
    let specs = names.map(|name| PortSpec { name: name.to_owned(), side: Side::Eid, queues: 1 });
    let mut steering = Steering::load(&specs, None)?;
    let mut ports = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let port = Port::open(&KernelOptions { huge_pages: true, ..KernelOptions::new(name, 0) })?;
        let socket = port.wait_fd().context("a socket without a descriptor")?;
        steering.register(at, 0, socket)?;
        ports.push(port);
    }
    steering.attach(false)?;
    let [mut left, mut right] = <[Port; 2]>::try_from(ports).map_err(|_| anyhow!("two ports were opened"))?;
    // Nobody waits any more only when the run is over already.
    let _ = ready.send(());
    let (mut rx, mut tx) = (Vec::with_capacity(BURST), Vec::with_capacity(2 * BURST));
    while !shared.stop.load(Ordering::Relaxed) {
        for at in 0..2 {
            let (from, to) = if at == 0 { (&mut left, &mut right) } else { (&mut right, &mut left) };
            turn(from, to, &mut rx, &mut tx, shared);
        }
    }
    Ok(steering.detach()?)
}

/// One burst from one port to the other.
fn turn(from: &mut Port, to: &mut Port, rx: &mut Vec<Frame>, tx: &mut Vec<Frame>, shared: &Shared) {
    if from.receive(rx, BURST) == 0 {
        shared.empty_polls.fetch_add(1, Ordering::Relaxed);
        from.maintain();
        to.kick();
        return;
    }
    shared.bursts.fetch_add(1, Ordering::Relaxed);
    to.maintain();
    to.fresh(tx, rx.len());
    for (from, to) in rx.iter().zip(tx.iter_mut()) {
        // Frames of both ports are of one size.
        let whole = to.write(from.bytes());
        debug_assert!(whole);
    }
    from.release(rx);
    from.maintain();
    to.transmit(tx);
    // What the ring did not take is dropped, as in the gateway.
    to.release(tx);
    to.kick();
}
