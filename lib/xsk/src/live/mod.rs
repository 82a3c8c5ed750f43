//! Frames that the kernel itself sends: BPF_PROG_RUN with BPF_F_TEST_XDP_LIVE_FRAMES (Linux 5.18).
//!
//! The kernel makes frames, runs `bpf/live.bpf.c` on each, and the program writes one of a list of images into it
//! and redirects it out of an interface. That is how a port is loaded faster than a socket in copy mode can.
//! One call costs about 24 ms whatever it does, so it runs until it is stopped by a signal to its thread.

mod tables;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use libxdp_sys as libbpf;

use self::tables::State;
pub use self::tables::{HEAD, Image, Pick};
use crate::error::Error;
use crate::interface::Interface;
use crate::steering::Aligned;
use crate::steering::bpf::{self, Object};
use crate::sys;

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/live.bpf.o")));

const IMAGES: &CStr = c"images";
const PICKS: &CStr = c"picks";
const STATES: &CStr = c"states";

/// BPF_F_TEST_XDP_LIVE_FRAMES of linux/bpf.h.
const LIVE_FRAMES: u32 = 1 << 1;
/// Frames that the kernel makes at once, at most 256.
const BATCH: u32 = 64;
/// Runs per call: as many as its 32-bit number allows, since each call costs a fixed time.
const REPEAT: i32 = i32::MAX;
/// Between two signals to a thread that is to stop.
const SIGNAL_PAUSE: Duration = Duration::from_millis(1);

/// What to send, out of which interface, and how fast.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The interface, in the network namespace of the thread that loads and runs.
    pub interface: String,
    /// Frames per second; `None`: as many as the port takes.
    pub rate: Option<u64>,
    /// Frames that are due at once, at least 1; only with a rate.
    pub burst: u64,
    /// Frames to send at all; `None`: until stopped.
    pub limit: Option<u64>,
}

/// The loaded program with its images, ready to run.
pub struct LiveFrames {
    object: Object,
    /// The frame as the kernel makes it: as long as the longest image.
    frame: Vec<u8>,
    state: State,
    control: LiveControl,
}

/// Stops and watches [`LiveFrames::run`] from other threads.
#[derive(Clone)]
pub struct LiveControl {
    states: Arc<OwnedFd>,
    shared: Arc<Shared>,
}

struct Shared {
    stop: AtomicBool,
    /// The thread inside the kernel, 0 when there is none.
    thread: AtomicI32,
}

impl LiveFrames {
    /// Loads the program with its images and picks; frames are sent pick by pick, over and over.
    /// `filler` is what frames hold behind their image's head, by place in the frame.
    ///
    /// Errors: no such interface, no images or picks, a pick without its image, an image that is longer than the
    /// filler or shorter than an Ethernet header, no permission, an older kernel.
    pub fn load(
        options: &LiveOptions,
        images: &[Image],
        picks: &[Pick],
        filler: &[u8],
    ) -> Result<Self, Error> {
        let interface = Interface::find(&options.interface)?;
        let longest = tables::longest(images, picks, filler.len())?;
        let mut object =
            Object::open(&OBJECT.0).map_err(|e| Error::system("read the built-in generator program", e))?;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        object
            .set_max_entries(IMAGES, count(images.len()))
            .and_then(|()| object.set_max_entries(PICKS, count(picks.len())))
            .map_err(|e| Error::system("size the tables of the generator program", e))?;
        object.load().map_err(|(source, log)| load_error(source, log))?;
        let state = State {
            start_ns: 0,
            rate: options.rate.unwrap_or(0),
            limit: options.limit.unwrap_or(0),
            burst: options.burst.max(1),
            ifindex: interface.ifindex,
            longest: count(longest),
            picks: count(picks.len()),
        };
        fill(&object, images, picks)?;
        let states = map(&object, STATES)?.try_clone_to_owned().map_err(table_error)?;
        let shared = Shared { stop: AtomicBool::new(false), thread: AtomicI32::new(0) };
        let control = LiveControl { states: Arc::new(states), shared: Arc::new(shared) };
        Ok(Self { object, frame: filler[..longest].to_vec(), state, control })
    }

    /// A handle to stop and watch it.
    pub fn control(&self) -> LiveControl {
        self.control.clone()
    }

    /// Sends until stopped; with a rate, the first frame is due at a moment of CLOCK_MONOTONIC, in nanoseconds, and
    /// without one at once. The calling thread is in the kernel all that time, also while nothing is due; its CPU decides the tx queue of a veth.
    ///
    /// Errors: the kernel refuses: no permission, a kernel before 5.18, or a frame too long for it.
    pub fn run(&mut self, start_ns: u64) -> Result<(), Error> {
        self.state.start_ns = start_ns;
        write(&self.object, STATES, 0, &self.state.to_bytes())?;
        sys::catch_stop_signal().map_err(|e| Error::system("prepare a signal", e))?;
        let program =
            self.object.program_fd(c"live").map_err(|e| Error::system("find the generator program", e))?;
        let shared = &self.control.shared;
        let _inside = Inside::enter(shared);
        // Pairs with the SeqCst store in `stop`: either it sees our thread, or we see its flag.
        while !shared.stop.load(Ordering::SeqCst) {
            match run_live(program, &self.frame) {
                Ok(()) => (),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => (),
                Err(error) => return Err(Error::system("let the kernel send frames (Linux 5.18)", error)),
            }
        }
        Ok(())
    }
}

/// Says which thread is inside for as long as it lives.
struct Inside<'a>(&'a Shared);

impl<'a> Inside<'a> {
    fn enter(shared: &'a Shared) -> Self {
        shared.thread.store(sys::thread_id(), Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.thread.store(0, Ordering::SeqCst);
    }
}

impl LiveControl {
    /// Ends [`LiveFrames::run`], now or before it begins, and waits until it is out of the kernel.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        loop {
            match self.shared.thread.load(Ordering::SeqCst) {
                0 => return,
                // It may be about to enter the kernel, so once is not enough.
                thread => sys::send_stop_signal(thread),
            }
            std::thread::sleep(SIGNAL_PAUSE);
        }
    }

    /// Frames handed to the interface so far. The interface may still have dropped some: see its own counters.
    ///
    /// Errors: a table that cannot be read.
    pub fn sent(&self) -> Result<u64, Error> {
        let mut value = [0; tables::STATE_LEN];
        // SAFETY: `states` is an array with values of STATE_LEN bytes.
        unsafe { read_entry(self.states.as_fd(), 0, &mut value) }.map_err(table_error)?;
        Ok(tables::sent(&value))
    }
}

fn table_error(source: io::Error) -> Error {
    Error::system("use a table of the generator program", source)
}

/// Why a program was not loaded.
pub(crate) fn load_error(source: io::Error, log: String) -> Error {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) if log.starts_with("the verifier") => {
            Error::NotPermitted { doing: "load an XDP program" }
        }
        _ => Error::NotLoaded { source, log },
    }
}

fn map<'a>(object: &'a Object, name: &CStr) -> Result<BorrowedFd<'a>, Error> {
    object.map_fd(name).map_err(table_error)
}

fn fill(object: &Object, images: &[Image], picks: &[Pick]) -> Result<(), Error> {
    for (key, image) in images.iter().enumerate() {
        write(object, IMAGES, key, &image.to_bytes())?;
    }
    fill_picks(map(object, PICKS)?, picks).map_err(table_error)
}

/// Writes an entry of one of the program's tables, made by `tables`.
fn write(object: &Object, name: &CStr, key: usize, value: &[u8]) -> Result<(), Error> {
    let key = u32::try_from(key).unwrap_or(u32::MAX);
    // SAFETY: the maps' keys have 4 bytes; the values are those of `tables`, as long as the program's.
    unsafe { bpf::map_update(map(object, name)?, &key.to_ne_bytes(), value) }.map_err(table_error)
}

/// All at once: there may be millions.
fn fill_picks(map: BorrowedFd<'_>, picks: &[Pick]) -> io::Result<()> {
    let keys: Vec<u32> = (0..).take(picks.len()).collect();
    let values: Vec<[u8; 8]> = picks.iter().map(|pick| pick.to_bytes()).collect();
    let mut count = u32::try_from(picks.len()).unwrap_or(u32::MAX);
    // SAFETY: `keys` and `values` have `count` entries of 4 and 8 bytes, those of the map.
    let result = unsafe {
        libbpf::bpf_map_update_batch(
            map.as_raw_fd(),
            keys.as_ptr().cast(),
            values.as_ptr().cast(),
            &raw mut count,
            std::ptr::null(),
        )
    };
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}

/// Reads one entry of an array.
///
/// # Safety
/// The map is a BPF_MAP_TYPE_ARRAY with keys of 4 bytes and values of at most `value.len()` bytes.
pub(crate) unsafe fn read_entry(map: BorrowedFd<'_>, index: u32, value: &mut [u8]) -> io::Result<()> {
    // SAFETY: the key is 4 bytes, and the kernel writes no more than `value` has; the caller's contract.
    let result = unsafe {
        libbpf::bpf_map_lookup_elem(
            map.as_raw_fd(),
            std::ptr::from_ref(&index).cast(),
            value.as_mut_ptr().cast(),
        )
    };
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}

fn run_live(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let context = libbpf::xdp_md { data_end: length, ..no_context() };
    // SAFETY: plain C data for which zero means "default" throughout.
    let mut options: libbpf::bpf_test_run_opts = unsafe { std::mem::MaybeUninit::zeroed().assume_init() };
    options.sz = size_of::<libbpf::bpf_test_run_opts>();
    options.data_in = frame.as_ptr().cast();
    options.data_size_in = length;
    options.ctx_in = std::ptr::from_ref(&context).cast();
    options.ctx_size_in = size_of::<libbpf::xdp_md>() as u32;
    options.repeat = REPEAT;
    options.flags = LIVE_FRAMES;
    options.batch_size = BATCH;
    // SAFETY: the options' pointers and sizes describe `frame` and `context`, which outlive the call.
    let result = unsafe { libbpf::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}

fn no_context() -> libbpf::xdp_md {
    libbpf::xdp_md {
        data: 0,
        data_end: 0,
        data_meta: 0,
        ingress_ifindex: 0,
        rx_queue_index: 0,
        egress_ifindex: 0,
    }
}
