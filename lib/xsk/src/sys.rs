//! Raw system calls, each behind a safe face.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Plain data: every bit pattern is a value, and there is no padding to leak.
///
/// # Safety
/// Implementors are `repr(C)` or primitive and have no invalid bit pattern.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: integers have no invalid bit pattern.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for libc::packet_mreq {}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// socket(2), close-on-exec.
pub(crate) fn socket(domain: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: fresh from the kernel, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// setsockopt(2).
pub(crate) fn set_option<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), size_of::<T>() as u32)
    };
    check(result).map(drop)
}

/// getsockopt(2) for options that are exactly a `T`.
pub(crate) fn get_option<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<T> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `value`; the kernel writes at most `len` bytes there.
    check(unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len) })?;
    // SAFETY: zeroed before, and `T: Plain` has no invalid bit pattern.
    Ok(unsafe { value.assume_init() })
}

/// sendto(2) without data: makes an AF_XDP socket work on its tx ring. The error is an error number.
#[inline]
pub(crate) fn kick_tx(fd: BorrowedFd<'_>) -> Result<(), i32> {
    // SAFETY: null buffers of length 0.
    let result =
        unsafe { libc::sendto(fd.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// recvfrom(2) without data: makes a driver look at an AF_XDP socket's fill ring. It fails when it has nothing
/// to do, which does not matter.
#[inline]
pub(crate) fn kick_rx(fd: BorrowedFd<'_>) {
    // SAFETY: null buffers of length 0.
    unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            std::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        );
    }
}

/// What an interface ioctl asks for.
pub(crate) enum Ask {
    Index,
    HardwareAddress,
    Mtu,
    Flags,
}

/// The answers of the interface ioctls.
pub(crate) enum Answer {
    Number(i32),
    Address([u8; 6]),
}

/// An empty request for an interface; `None` when the name is not one.
fn request(name: &str) -> Option<libc::ifreq> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= libc::IFNAMSIZ || bytes.contains(&0) {
        return None;
    }
    // SAFETY: `ifreq` is plain data (bytes, integers and pointers, all of which may be zero).
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (to, &from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = from as libc::c_char;
    }
    Some(request)
}

/// netdevice(7) questions about an interface by name.
pub(crate) fn ask_interface(fd: BorrowedFd<'_>, name: &str, ask: &Ask) -> io::Result<Answer> {
    let mut request = request(name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    let code = match ask {
        Ask::Index => libc::SIOCGIFINDEX,
        Ask::HardwareAddress => libc::SIOCGIFHWADDR,
        Ask::Mtu => libc::SIOCGIFMTU,
        Ask::Flags => libc::SIOCGIFFLAGS,
    };
    // SAFETY: these codes read and write one `ifreq`, which is what the pointer is to.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), code, &raw mut request) })?;
    // SAFETY: the union was zeroed and is plain data, so every field may be read.
    Ok(unsafe {
        match ask {
            Ask::Index => Answer::Number(request.ifr_ifru.ifru_ifindex),
            Ask::Mtu => Answer::Number(request.ifr_ifru.ifru_mtu),
            Ask::Flags => Answer::Number(i32::from(request.ifr_ifru.ifru_flags)),
            Ask::HardwareAddress => {
                let data = request.ifr_ifru.ifru_hwaddr.sa_data;
                Answer::Address(std::array::from_fn(|i| data[i] as u8))
            }
        }
    })
}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// How many rx queues ethtool says an interface has.
pub(crate) fn rx_channels(fd: BorrowedFd<'_>, name: &str) -> io::Result<u32> {
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    let mut channels = Channels { cmd: ETHTOOL_GCHANNELS, ..Channels::default() };
    let mut request = request(name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: SIOCETHTOOL with this command reads and writes one `ethtool_channels` behind `ifru_data`, which
    // points at one that outlives the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), SIOCETHTOOL, &raw mut request) })?;
    Ok(channels.rx + channels.combined)
}

/// This thread's number in the kernel.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

/// The signal that gets a thread out of a long system call: a real-time one, which nothing else uses by custom.
fn stop_signal() -> libc::c_int {
    libc::SIGRTMIN() + 5
}

extern "C" fn ignore(_signal: libc::c_int) {}

/// Gives the stop signal a handler that does nothing: without one it would end the process.
pub(crate) fn catch_stop_signal() -> io::Result<()> {
    // SAFETY: plain C data; zero is an empty mask, no flags (so system calls are not restarted) and no handler.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
    // SAFETY: `action` outlives the call, and its handler touches nothing, so it may run at any moment.
    check(unsafe { libc::sigaction(stop_signal(), &raw const action, std::ptr::null_mut()) }).map(drop)
}

/// Sends the stop signal to a thread of this process; one that has ended meanwhile is no error.
pub(crate) fn send_stop_signal(thread: i32) {
    // SAFETY: no pointers; the kernel checks that the thread is ours, and every thread that gets the signal has
    // the handler above, since it is the process's.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, stop_signal()) };
}
