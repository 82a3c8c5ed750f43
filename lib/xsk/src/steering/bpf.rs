//! libbpf behind a safe face: objects, maps, links, test runs.

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use libxdp_sys as bpf;

unsafe extern "C" {
    // libbpf is linked through libxdp-sys, whose bindings leave these out.
    fn libbpf_set_print(print: Option<unsafe extern "C" fn()>) -> *mut c_void;
    fn libbpf_num_possible_cpus() -> c_int;
}

fn check(result: c_int) -> io::Result<c_int> {
    // libbpf 1.x gives the negated error number, and sets errno too.
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}

fn own(fd: c_int) -> OwnedFd {
    // SAFETY: called with descriptors fresh from the kernel only, so nobody else owns them.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

//------------ Object ----------------------------------------------------------------------------------------

/// A BPF object file, opened and perhaps loaded.
pub(crate) struct Object {
    object: NonNull<bpf::bpf_object>,
    /// The verifier writes its complaints here while loading.
    log: Box<[u8]>,
}

// SAFETY: the object is used through its owner only; libbpf keeps no thread-bound state in it.
unsafe impl Send for Object {}

impl Object {
    /// Parses an object file; `bytes` are 8-aligned, as libelf wants.
    pub(crate) fn open(bytes: &'static [u8]) -> io::Result<Self> {
        // SAFETY: libbpf calls nothing when there is no print function.
        unsafe { libbpf_set_print(None) };
        let mut log = vec![0_u8; 64 << 10].into_boxed_slice();
        // SAFETY: plain C data for which zero means "default" throughout.
        let mut options: bpf::bpf_object_open_opts = unsafe { MaybeUninit::zeroed().assume_init() };
        options.sz = size_of::<bpf::bpf_object_open_opts>();
        options.object_name = c"sterna".as_ptr();
        options.kernel_log_buf = log.as_mut_ptr().cast();
        options.kernel_log_size = log.len();
        // SAFETY: the pointers and lengths describe `bytes`, which is static, and `log`, which the result keeps
        // as long as the object.
        let object =
            unsafe { bpf::bpf_object__open_mem(bytes.as_ptr().cast(), bytes.len(), &raw const options) };
        NonNull::new(object).map(|object| Self { object, log }).ok_or_else(io::Error::last_os_error)
    }

    fn map(&self, name: &CStr) -> io::Result<NonNull<bpf::bpf_map>> {
        // SAFETY: the object is open, the name is a C string.
        let map = unsafe { bpf::bpf_object__find_map_by_name(self.object.as_ptr(), name.as_ptr()) };
        NonNull::new(map).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    /// Sizes a map, before loading.
    pub(crate) fn set_max_entries(&mut self, name: &CStr, entries: u32) -> io::Result<()> {
        let map = self.map(name)?;
        // SAFETY: the map belongs to this open object.
        check(unsafe { bpf::bpf_map__set_max_entries(map.as_ptr(), entries) }).map(drop)
    }

    /// Creates the maps and loads the programs. On failure: the verifier's last line.
    pub(crate) fn load(&mut self) -> Result<(), (io::Error, String)> {
        // SAFETY: the object is open, and loaded at most once.
        check(unsafe { bpf::bpf_object__load(self.object.as_ptr()) }).map(drop).map_err(|error| {
            let text = CStr::from_bytes_until_nul(&self.log).unwrap_or(c"").to_string_lossy();
            let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
            (error, line.unwrap_or("the verifier said nothing").to_owned())
        })
    }

    /// A loaded map's descriptor.
    pub(crate) fn map_fd(&self, name: &CStr) -> io::Result<BorrowedFd<'_>> {
        let map = self.map(name)?;
        // SAFETY: the map belongs to this object.
        let fd = check(unsafe { bpf::bpf_map__fd(map.as_ptr()) })?;
        // SAFETY: open as long as the object, which the result borrows.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// A loaded program's descriptor.
    pub(crate) fn program_fd(&self, name: &CStr) -> io::Result<BorrowedFd<'_>> {
        // SAFETY: the object is open, the name is a C string.
        let program = unsafe { bpf::bpf_object__find_program_by_name(self.object.as_ptr(), name.as_ptr()) };
        if program.is_null() {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        // SAFETY: the program belongs to this object.
        let fd = check(unsafe { bpf::bpf_program__fd(program) })?;
        // SAFETY: open as long as the object, which the result borrows.
        Ok(unsafe { BorrowedFd::borrow_raw(fd) })
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once.
        unsafe { bpf::bpf_object__close(self.object.as_ptr()) };
    }
}

//------------ Maps ------------------------------------------------------------------------------------------

/// Writes an entry. The sizes of key and value are those of the map, which the caller knows.
///
/// # Safety
/// `key` and `value` are as long as the map's keys and values.
pub(crate) unsafe fn map_update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as the map's keys and values have; the caller's contract.
    let result =
        unsafe { bpf::bpf_map_update_elem(map.as_raw_fd(), key.as_ptr().cast(), value.as_ptr().cast(), 0) };
    check(result).map(drop)
}

/// Removes an entry; one that is not there is no error.
///
/// # Safety
/// `key` is as long as the map's keys.
pub(crate) unsafe fn map_delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as the map's keys have; the caller's contract.
    let result = unsafe { bpf::bpf_map_delete_elem(map.as_raw_fd(), key.as_ptr().cast()) };
    match check(result) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other.map(drop),
    }
}

/// Reads one entry of a per-CPU array of u64 and sums it over the CPUs.
///
/// # Safety
/// The map is a BPF_MAP_TYPE_PERCPU_ARRAY with values of 8 bytes.
pub(crate) unsafe fn per_cpu_sum(map: BorrowedFd<'_>, index: u32) -> io::Result<u64> {
    // SAFETY: no arguments.
    let cpus = check(unsafe { libbpf_num_possible_cpus() })?;
    let mut values = vec![0_u64; cpus.unsigned_abs() as usize];
    // SAFETY: the key is 4 bytes, and the kernel writes 8 bytes per possible CPU, which `values` has.
    let result = unsafe {
        bpf::bpf_map_lookup_elem(
            map.as_raw_fd(),
            std::ptr::from_ref(&index).cast(),
            values.as_mut_ptr().cast(),
        )
    };
    check(result)?;
    Ok(values.iter().fold(0, |sum, value| sum.wrapping_add(*value)))
}

//------------ Links -----------------------------------------------------------------------------------------

/// What a link is.
pub(crate) struct LinkInfo {
    /// 0 when its interface is gone.
    pub ifindex: u32,
    pub program: u32,
}

/// Attaches an XDP program with these XDP_FLAGS.
pub(crate) fn link_create(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain C data for which zero means "default" throughout.
    let mut options: bpf::bpf_link_create_opts = unsafe { MaybeUninit::zeroed().assume_init() };
    options.sz = size_of::<bpf::bpf_link_create_opts>();
    options.flags = flags;
    // SAFETY: the options outlive the call.
    let result = unsafe {
        bpf::bpf_link_create(
            program.as_raw_fd(),
            ifindex.cast_signed(),
            bpf::bpf_attach_type_BPF_XDP,
            &raw const options,
        )
    };
    check(result).map(own)
}

/// Replaces a link's program in one step: every packet meets the old one or the new one.
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no options.
    check(unsafe { bpf::bpf_link_update(link.as_raw_fd(), program.as_raw_fd(), std::ptr::null()) }).map(drop)
}

/// Takes a link off its interface now, whoever else holds it. It fails when it is off already.
pub(crate) fn link_detach(link: BorrowedFd<'_>) {
    // SAFETY: no pointers.
    unsafe { bpf::bpf_link_detach(link.as_raw_fd()) };
}

/// What a link is; `None` when it is not an XDP link.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> io::Result<Option<LinkInfo>> {
    // SAFETY: plain C data; zero is a value of every field.
    let mut info: bpf::bpf_link_info = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut len = size_of::<bpf::bpf_link_info>() as u32;
    // SAFETY: the kernel writes at most `len` bytes to `info`.
    check(unsafe { bpf::bpf_link_get_info_by_fd(link.as_raw_fd(), &raw mut info, &raw mut len) })?;
    if info.type_ != bpf::bpf_link_type_BPF_LINK_TYPE_XDP {
        return Ok(None);
    }
    // SAFETY: zeroed before and plain data, and the type says that this field was written.
    let ifindex = unsafe { info.__bindgen_anon_1.xdp.ifindex };
    Ok(Some(LinkInfo { ifindex, program: info.prog_id }))
}

/// The XDP program on an interface of this network namespace: its id (0: none), and whether it is native.
pub(crate) fn attached(ifindex: u32) -> io::Result<(u32, bool)> {
    const ATTACHED_DRV: u8 = 1;
    const ATTACHED_MULTI: u8 = 4;
    // SAFETY: plain C data; zero is a value of every field.
    let mut options: bpf::bpf_xdp_query_opts = unsafe { MaybeUninit::zeroed().assume_init() };
    options.sz = size_of::<bpf::bpf_xdp_query_opts>();
    // SAFETY: libbpf writes the fields that `sz` covers.
    check(unsafe { bpf::bpf_xdp_query(ifindex.cast_signed(), 0, &raw mut options) })?;
    let id = [options.drv_prog_id, options.skb_prog_id, options.hw_prog_id, options.prog_id];
    let id = id.into_iter().find(|&id| id != 0).unwrap_or(0);
    Ok((id, matches!(options.attach_mode, ATTACHED_DRV | ATTACHED_MULTI)))
}

/// Gives a BPF descriptor a name in a BPF file system, which keeps the object alive.
pub(crate) fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: a C string that outlives the call.
    check(unsafe { bpf::bpf_obj_pin(fd.as_raw_fd(), path.as_ptr()) }).map(drop)
}

/// Opens a pinned object.
pub(crate) fn get_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: a C string that outlives the call.
    check(unsafe { bpf::bpf_obj_get(path.as_ptr()) }).map(own)
}

//------------ Test runs -------------------------------------------------------------------------------------

/// Runs an XDP program once on a frame as if it had come in at an interface's queue 0; gives its action.
/// The kernel wants at least an Ethernet header and at most about 3.5 KB.
pub(crate) fn test_run(program: BorrowedFd<'_>, frame: &[u8], ifindex: u32) -> io::Result<u32> {
    let context = bpf::xdp_md {
        data: 0,
        data_end: frame.len() as u32,
        data_meta: 0,
        ingress_ifindex: ifindex,
        rx_queue_index: 0,
        egress_ifindex: 0,
    };
    // SAFETY: plain C data for which zero means "default" throughout.
    let mut options: bpf::bpf_test_run_opts = unsafe { MaybeUninit::zeroed().assume_init() };
    options.sz = size_of::<bpf::bpf_test_run_opts>();
    options.data_in = frame.as_ptr().cast();
    options.data_size_in = frame.len() as u32;
    options.ctx_in = std::ptr::from_ref(&context).cast();
    options.ctx_size_in = size_of::<bpf::xdp_md>() as u32;
    options.repeat = 1;
    // SAFETY: the options' pointers and sizes describe `frame` and `context`, which outlive the call.
    check(unsafe { bpf::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) })?;
    Ok(options.retval)
}
