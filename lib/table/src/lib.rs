//! The lock-free tables that packets are answered from: one writer, many readers.
//!
//! A worker takes a [`Reader`] from a [`Domain`] once, and [`enters`](Reader::enter) once per burst. Under the
//! guard it asks any table of that domain; it never writes to shared memory, waits or allocates there. Whoever
//! drains the updates from the control plane holds the writing ends. It replaces a value by publishing another
//! one in its place, and what was replaced is used again when every reader has left the burst it was in.
//!
//! * [`eid_table`]: (instance-ID, EID prefix) -> value, by longest prefix; the map-cache of the dataplane.
//! * [`cells()`]: number -> value; locator sets, adjacencies and next hops.
//! * [`published()`]: one value; settings.
//!
//! # How the EID table is laid out
//! A *bucket* is one cache line: eight 16-bit tags, eight entry indices, and a count of entries that found no room
//! and lie in a bucket further on. An *entry* is one cache line: three words of key, up to 32 bytes of value. Twice
//! as many ways as entries keep 99 of 100 keys in the bucket they hash to, and 98 of 100 probes for absent keys
//! end there too, because nothing has passed it. Nothing moves once it lies somewhere, so what is present is always
//! found. Per instance and family, a bitmap says which prefix lengths exist; longest match probes those only, and
//! a host entry is the first and last probe of most packets.
//!
//! [`EidReader::lookup_burst`] is three passes over the burst: hash and ask for the bucket; compare tags and ask
//! for the entry; compare the key. The memory latency of one question hides behind the work of the others.
//!
//! # What a reader may see
//! Each probe sees the table as it was at some moment of the burst. An entry that is there during the whole burst
//! is found; one that is replaced is found as the old or the new one. When the writer inserts a longer prefix and
//! then removes the shorter, a question in flight may have probed the longer one before and the shorter one
//! after: it gets `None`, as if asked between a removal and an insertion.
//!
//! # How it is shown
//! Beside the tests, loom explores the interleavings of small models (`--cfg loom`), and Miri runs everything but
//! the mapping of memory, which is an ordinary allocation there.

mod sync;

mod domain;
mod full;
mod memory;

mod arena;

mod key;

mod bucket;
mod lengths;

mod burst;
mod eid;
mod eid_reader;
mod eid_writer;

mod cells;
mod published;

#[cfg(all(test, loom))]
mod loom_models;

pub use burst::BURST;
pub use cells::{CellsReader, CellsWriter, cells};
pub use domain::{Domain, Guard, Reader, Stamp};
pub use eid::{Sizes, eid_table, eid_table_sized};
pub use eid_reader::{EidReader, Found};
pub use eid_writer::EidWriter;
pub use full::Full;
pub use key::{EidKey, Question};
pub use published::{PublishedReader, PublishedWriter, published};
