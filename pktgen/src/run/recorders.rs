//! The captures that a run writes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::{Engine, Options};
use crate::pcap::Recorder;
use crate::report::Recorded;

/// One for what is sent and one for what comes, where that is wanted.
#[derive(Default)]
pub(super) struct Recorders {
    pub sent: Option<Arc<Recorder>>,
    pub received: Option<Arc<Recorder>>,
}

impl Recorders {
    pub fn create(options: &Options) -> Result<Self> {
        let Some(begin) = &options.record else { return Ok(Self::default()) };
        ensure!(
            options.engine == Engine::Xdp,
            "live frames are the kernel's and cannot be recorded: use --engine xdp"
        );
        let create = |wanted: bool, end: &str| {
            let mut name = begin.as_os_str().to_owned();
            name.push(end);
            wanted.then(|| Recorder::create(Path::new(&name)).map(Arc::new)).transpose()
        };
        Ok(Self {
            sent: create(options.tx.is_some(), ".sent.pcap")?,
            received: create(options.rx.is_some(), ".received.pcap")?,
        })
    }

    /// Ends the files; how many frames are in each.
    pub fn finish(&self) -> Result<Option<Recorded>> {
        let finish = |one: &Option<Arc<Recorder>>| one.as_ref().map(|one| one.finish()).transpose();
        let (sent, received) = (finish(&self.sent)?, finish(&self.received)?);
        Ok((sent.is_some() || received.is_some()).then_some(Recorded { sent, received }))
    }
}
