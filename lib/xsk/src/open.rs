//! Opens a port on a real interface: memory, socket, bind, options, first fill.

use std::error::Error as _;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use xsk_rs::config::{
    BindFlags, FrameSize, Interface as Device, LibxdpFlags, QueueSize, SocketConfig, UmemConfig,
};
use xsk_rs::socket::SocketCreateError;
use xsk_rs::umem::frame::FrameDesc;
use xsk_rs::{CompQueue, FillQueue, RxQueue, Socket, TxQueue, Umem};

use crate::BURST;
use crate::error::Error;
use crate::granted::{Granted, Mode};
use crate::interface::Interface;
use crate::kernel::KernelRings;
use crate::membership::Membership;
use crate::pool::Pool;
use crate::port::{Backend, Identity, Port};
use crate::region::{HUGE_PAGE, Region, chunk_size, largest_mtu};
use crate::sys;

/// XDP_MAX_TX_SKB_BUDGET of linux/if_xdp.h, from Linux 6.17.
const MAX_TX_SKB_BUDGET: i32 = 9;

/// Between two tries to bind a queue whose last owner has just died.
const BIND_PAUSE: Duration = Duration::from_micros(500);

/// How to open a port on a real interface.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// The interface's name, in this thread's network namespace.
    pub interface: String,
    /// Its queue.
    pub queue: u32,
    /// Descriptors in the rx ring, a power of two. The fill ring has twice as many: a fill ring that runs low
    /// loses packets, and measurements elsewhere found that twice the rx ring ends it.
    pub rx_ring: u32,
    /// Descriptors in the tx ring and in the completion ring, a power of two.
    pub tx_ring: u32,
    /// Chunks of packet memory; `None`: enough for all rings to be full at once, and 1024 held by us.
    pub frames: Option<u32>,
    /// Try zero-copy first.
    pub zero_copy: bool,
    /// Try huge pages first.
    pub huge_pages: bool,
    /// Where the MTU is more than a chunk holds, let packets come and go in several frames (see
    /// [`Frame::is_continued`](crate::Frame::is_continued)) instead of refusing the interface. The XDP program there
    /// must say that it knows such packets (`xdp.frags`).
    pub multi_buffer: bool,
    /// Receive frames for all MAC addresses while the port is open; needed on real NICs for anycast MACs.
    pub promiscuous: bool,
    /// How long to wait for a queue that is taken. After a kill -9 the kernel lets go of it up to 143 ms late.
    pub patience: Duration,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            interface: String::new(),
            queue: 0,
            rx_ring: 2048,
            tx_ring: 2048,
            frames: None,
            zero_copy: true,
            huge_pages: false,
            multi_buffer: false,
            promiscuous: true,
            patience: Duration::from_secs(1),
        }
    }
}

impl KernelOptions {
    /// The defaults for one queue of an interface.
    pub fn new(interface: &str, queue: u32) -> Self {
        Self { interface: interface.to_owned(), queue, ..Self::default() }
    }

    fn fill_ring(&self) -> u32 {
        self.rx_ring.saturating_mul(2)
    }

    fn frame_count(&self) -> u32 {
        let all_full = self.fill_ring().saturating_add(self.tx_ring).saturating_add(1024);
        self.frames.unwrap_or(all_full)
    }

    /// Not to the brim (the kernel holds a few back), and never so many that nothing is left to send with.
    fn fill_target(&self) -> u32 {
        let frames = self.frame_count();
        let spare = frames.saturating_sub(self.tx_ring + 2 * BURST as u32).max(frames / 2);
        (self.fill_ring() / 8 * 7).min(spare)
    }

    fn check(&self) -> Result<(), Error> {
        for (what, value) in [("rx_ring", self.rx_ring), ("tx_ring", self.tx_ring)] {
            if !value.is_power_of_two() || !(BURST as u32..=32768).contains(&value) {
                return Err(Error::BadSize { what, value, rule: "a power of two from 64 to 32768" });
            }
        }
        let frames = self.frame_count();
        if !(2 * BURST as u32..=1 << 20).contains(&frames) {
            return Err(Error::BadSize { what: "frames", value: frames, rule: "from 128 to 1048576" });
        }
        Ok(())
    }
}

impl Port {
    /// Opens a queue of an interface. The XDP program is attached afterwards, with the port's
    /// [`Port::wait_fd`] registered in a [`Steering`](crate::Steering).
    ///
    /// Errors: no such interface or queue, queue taken, MTU too large, no permission, no memory, no AF_XDP.
    pub fn open(options: &KernelOptions) -> Result<Self, Error> {
        options.check()?;
        silence_libxdp();
        let interface = Interface::find(&options.interface)?;
        if options.queue >= interface.rx_queues {
            return Err(Error::NoQueue {
                name: interface.name,
                queue: options.queue,
                queues: interface.rx_queues,
            });
        }
        let multi_buffer = options.multi_buffer && interface.mtu > largest_mtu();
        let mtu = if multi_buffer { largest_mtu() } else { interface.mtu };
        let Some(chunk_size) = chunk_size(mtu) else {
            return Err(Error::MtuTooLarge { name: interface.name, mtu: interface.mtu, most: largest_mtu() });
        };
        let membership = options.promiscuous.then(|| Membership::join(interface.ifindex)).transpose()?;
        let (umem, descs, huge_pages) = create_umem(options, chunk_size)?;
        let (tx, rx, fill, comp) = bind(options, multi_buffer, &umem)?;
        let region = region_of(&umem, &descs, chunk_size, rx.fd().as_raw_fd());
        let mut rings = KernelRings {
            rx,
            tx,
            fill,
            comp,
            umem,
            descs: descs.into(),
            scratch: [FrameDesc::default(); BURST],
            fill_target: options.fill_target(),
            tx_ring: options.tx_ring,
            zero_copy: false,
            _membership: membership,
        };
        // libxdp's sockets are inherited by child processes, which would keep the queue from being free.
        rustix::io::fcntl_setfd(rings.as_fd(), rustix::io::FdFlags::CLOEXEC)
            .map_err(|e| Error::system("keep an AF_XDP socket to this process", e.into()))?;
        rings.zero_copy = sys::get_option::<u32>(rings.as_fd(), libc::SOL_XDP, libc::XDP_OPTIONS)
            .is_ok_and(|flags| flags & libc::XDP_OPTIONS_ZEROCOPY != 0);
        let granted = Granted {
            mode: Mode::Native,
            zero_copy: rings.zero_copy,
            queue: options.queue,
            rx_ring: options.rx_ring,
            tx_ring: options.tx_ring,
            frames: options.frame_count(),
            frame_size: chunk_size as u32,
            tx_budget: raise_budget(&rings),
            huge_pages,
            multi_buffer,
        };
        let identity = Identity {
            name: interface.name,
            ifindex: interface.ifindex,
            mac: interface.mac,
            mtu: interface.mtu,
        };
        let mut pool = Pool::new(region);
        rings.refill(&mut pool);
        Ok(Self::new(Backend::Kernel(Box::new(rings)), pool, identity, granted))
    }
}

/// libxdp writes its complaints to stderr; ours say more.
fn silence_libxdp() {
    // SAFETY: sets a function pointer inside libxdp; none is allowed and means silence.
    unsafe { libxdp_sys::libxdp_set_print(None) };
}

/// At least a burst per system call: fewer strand the rest of a burst until the next call.
fn raise_budget(rings: &KernelRings) -> Option<u32> {
    let budget = (4 * BURST as u32).min(rings.tx_ring);
    sys::set_option(rings.as_fd(), libc::SOL_XDP, MAX_TX_SKB_BUDGET, &budget).ok().map(|()| budget)
}

fn create_umem(options: &KernelOptions, chunk_size: usize) -> Result<(Umem, Vec<FrameDesc>, bool), Error> {
    let bad = |what| move |value: u32| Error::BadSize { what, value, rule: "a power of two" };
    let fill = options.fill_ring();
    let config = UmemConfig::builder()
        .frame_size(FrameSize::new(chunk_size as u32).map_err(|_| bad("frame size")(chunk_size as u32))?)
        .fill_queue_size(QueueSize::new(fill).map_err(|_| bad("fill ring")(fill))?)
        .comp_queue_size(QueueSize::new(options.tx_ring).map_err(|_| bad("tx_ring")(options.tx_ring))?)
        .build()
        .map_err(|_| bad("frame size")(chunk_size as u32))?;
    let frames = NonZeroU32::new(options.frame_count()).ok_or_else(|| bad("frames")(0))?;
    let bytes = frames.get() as usize * chunk_size;
    if options.huge_pages
        // Only whole ones can be mapped and unmapped.
        && bytes.is_multiple_of(HUGE_PAGE)
        && let Ok((umem, descs)) = Umem::new(config, frames, true)
    {
        return Ok((umem, descs, true));
    }
    match Umem::new(config, frames, false) {
        Ok((umem, descs)) => Ok((umem, descs, false)),
        Err(error) => {
            let source = cause(error.source());
            Err(match source.raw_os_error() {
                Some(libc::ENOBUFS | libc::ENOMEM) => Error::MemoryLocked { mib: bytes.div_ceil(1 << 20) },
                _ => Error::system("register packet memory with the kernel", source),
            })
        }
    }
}

/// The system's error behind one of xsk-rs's.
fn cause(source: Option<&(dyn std::error::Error + 'static)>) -> io::Error {
    let code = source.and_then(|e| e.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
    code.map_or_else(|| io::Error::other("libxdp gave no reason"), io::Error::from_raw_os_error)
}

type Queues = (TxQueue, RxQueue, FillQueue, CompQueue);

/// Binds the queue: zero-copy if asked for and possible, else copy; waits while it is taken.
fn bind(options: &KernelOptions, multi_buffer: bool, umem: &Umem) -> Result<Queues, Error> {
    let started = Instant::now();
    let mut zero_copy = options.zero_copy;
    loop {
        let error = match try_bind(options, umem, (zero_copy, multi_buffer)) {
            Ok((tx, rx, Some((fill, comp)))) => return Ok((tx, rx, fill, comp)),
            // Cannot be: this memory has no other socket. Said rather than assumed.
            Ok((_, _, None)) => io::Error::from_raw_os_error(libc::EBUSY),
            Err(error) => cause(error.source()),
        };
        match error.raw_os_error() {
            Some(libc::EBUSY) if started.elapsed() < options.patience => std::thread::sleep(BIND_PAUSE),
            Some(libc::EBUSY) => {
                return Err(Error::QueueTaken {
                    name: options.interface.clone(),
                    queue: options.queue,
                    waited_ms: started.elapsed().as_millis(),
                });
            }
            Some(libc::ENODEV | libc::ENXIO) => {
                return Err(Error::NoInterface { name: options.interface.clone() });
            }
            Some(libc::EPERM | libc::EACCES) => return Err(Error::system("bind an AF_XDP socket", error)),
            _ if zero_copy => zero_copy = false,
            _ => return Err(Error::system("bind an AF_XDP socket", error)),
        }
    }
}

type Created = (TxQueue, RxQueue, Option<(FillQueue, CompQueue)>);

fn try_bind(
    options: &KernelOptions,
    umem: &Umem,
    (zero_copy, multi_buffer): (bool, bool),
) -> Result<Created, SocketCreateError> {
    let copy = if zero_copy { BindFlags::XDP_ZEROCOPY } else { BindFlags::XDP_COPY };
    let parts = if multi_buffer { BindFlags::XDP_USE_SG } else { BindFlags::empty() };
    let mut config = SocketConfig::builder();
    config
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(copy | parts | BindFlags::XDP_USE_NEED_WAKEUP);
    // `check` has seen to it that these are powers of two.
    if let Ok(size) = QueueSize::new(options.rx_ring) {
        config.rx_queue_size(size);
    }
    if let Ok(size) = QueueSize::new(options.tx_ring) {
        config.tx_queue_size(size);
    }
    // The name went through `Interface::find`, so it holds no zero byte.
    let device: Device = options.interface.parse().unwrap_or_else(|_| Device::new(c"".to_owned()));
    // SAFETY: `umem` was made for this port alone, so no other socket shares its rings or chunks.
    unsafe { Socket::new(config.build(), umem, &device, options.queue) }
}

/// The memory behind the descriptors.
fn region_of(umem: &Umem, descs: &[FrameDesc], chunk_size: usize, socket: RawFd) -> Region {
    let first = descs.first().copied().unwrap_or_default();
    // SAFETY: the memory is fresh: no frame exists and the kernel was lent nothing yet.
    let data = unsafe { umem.data(&first) }.contents().as_ptr();
    // xsk-rs does not tell where its mapping starts, but the first descriptor's packet is `first.addr()` bytes
    // behind it. The mapping came from mmap, so its provenance is exposed, unlike that of the slice above.
    let base = std::ptr::with_exposed_provenance_mut(data.addr() - first.addr());
    let base = NonNull::new(base).unwrap_or(NonNull::dangling());
    Region::Umem { _umem: umem.clone(), base, chunks: descs.len() as u32, chunk_size, socket }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rx_ring: u32, tx_ring: u32, frames: Option<u32>) -> KernelOptions {
        KernelOptions { rx_ring, tx_ring, frames, ..KernelOptions::default() }
    }

    #[test]
    fn most_of_the_fill_ring_is_used_at_every_size() {
        for ring in [64, 128, 1024, 2048, 32768] {
            let options = with(ring, ring, None);
            assert_eq!(options.fill_target(), ring * 7 / 4);
            assert!(options.frame_count() - options.fill_target() >= ring + 1024);
        }
    }

    #[test]
    fn few_frames_are_shared_between_both_directions() {
        assert_eq!(with(2048, 2048, Some(4096)).fill_target(), 2048);
        assert_eq!(with(1024, 512, Some(4096)).fill_target(), 1792);
        assert_eq!(with(64, 64, Some(128)).fill_target(), 64);
    }

    #[test]
    fn sizes_are_checked() {
        for (rx_ring, tx_ring, frames) in
            [(0, 64, None), (100, 64, None), (32, 64, None), (64, 65536, None), (64, 64, Some(64))]
        {
            assert!(with(rx_ring, tx_ring, frames).check().is_err(), "{rx_ring} {tx_ring} {frames:?}");
        }
        assert!(KernelOptions::new("eth0", 0).check().is_ok());
    }
}
