//! What a port got, what its kicks met and what its kernel socket counted.

/// How packets pass between the driver and the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The driver runs the XDP program.
    Native,
    /// The kernel runs the XDP program on socket buffers, for drivers that cannot: about ten times slower.
    Generic,
    /// No kernel: a port in plain memory.
    Memory,
}

/// What was really granted, which may be less than what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// How packets reach the port. A kernel port says `Native` until told otherwise
    /// ([`Port::set_mode`](crate::Port::set_mode)), because the XDP program is attached after it.
    pub mode: Mode,
    /// The device reads and writes the port's memory itself (asked from the kernel, XDP_OPTIONS).
    pub zero_copy: bool,
    /// The device's queue.
    pub queue: u32,
    /// Descriptors in the rx ring.
    pub rx_ring: u32,
    /// Descriptors in the tx ring.
    pub tx_ring: u32,
    /// Chunks of packet memory.
    pub frames: u32,
    /// A chunk's size in bytes.
    pub frame_size: u32,
    /// Packets sent per system call in copy mode (XDP_MAX_TX_SKB_BUDGET, Linux 6.17); `None`: the kernel's 32.
    pub tx_budget: Option<u32>,
    /// Packet memory is on huge pages.
    pub huge_pages: bool,
    /// Packets longer than a chunk come and go in several frames (XDP_USE_SG, Linux 6.6).
    pub multi_buffer: bool,
}

/// What one [`Port::kick`](crate::Port::kick) met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kicked {
    /// Packets that the kernel took and dropped (EBUSY): count them as drops, they were counted as sent.
    pub lost_busy: u64,
    /// System calls made.
    pub calls: u32,
    /// Descriptors that the kernel has not taken yet; the next kick goes on with them.
    pub backlog: u32,
    /// The link is administratively down (ENETDOWN): nothing is lost, sending goes on when it is up again.
    pub down: bool,
    /// The interface is gone (ENXIO): this port is dead for good and must be opened anew.
    pub gone: bool,
    /// Another error number, which should not happen.
    pub error: Option<i32>,
}

/// The kernel's own counters of the socket (XDP_STATISTICS), since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpStatistics {
    /// Received packets dropped for other reasons than a full ring.
    pub rx_dropped: u64,
    /// Fill descriptors that the kernel refused.
    pub rx_invalid_descs: u64,
    /// Tx descriptors that the kernel refused; their chunks never come back.
    pub tx_invalid_descs: u64,
    /// Received packets dropped because the rx ring was full.
    pub rx_ring_full: u64,
    /// Times the kernel found the fill ring empty.
    pub rx_fill_ring_empty: u64,
    /// Times the kernel found the tx ring empty.
    pub tx_ring_empty: u64,
}
