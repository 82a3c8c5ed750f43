//! Latencies as a standard HDR histogram log, an interval a line.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

/// A log that is being written; without a path, none.
pub(super) struct HdrLog {
    file: Option<(PathBuf, BufWriter<File>)>,
    /// Lines so far; the first one is preceded by the header.
    lines: u64,
    began: SystemTime,
}

impl HdrLog {
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let create = |path: &Path| {
            let file = File::create(path)
                .with_context(|| format!("cannot write {}: check the folder and its mode", path.display()))?;
            Ok::<_, anyhow::Error>((path.to_owned(), BufWriter::new(file)))
        };
        Ok(Self { file: path.map(create).transpose()?, lines: 0, began: SystemTime::now() })
    }

    /// Writes latencies of an interval that began so long after the start. The log's own column for the maximum is in
    /// milliseconds, as readers expect; the histograms hold nanoseconds.
    pub fn write(
        &mut self,
        latency: &Histogram<u64>,
        worker: usize,
        after: Duration,
        length: Duration,
    ) -> Result<()> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.with_max_value_divisor(1_000_000.0);
        if self.lines == 0 {
            builder.add_comment("sterna-pktgen: nanoseconds from when a probe was due to its arrival");
            builder.with_start_time(self.began).with_base_time(self.began);
        }
        self.lines += 1;
        let tag = format!("worker{worker}");
        // The writer borrows the file, so there is one per line; only the first writes a header.
        let mut line = Vec::new();
        let mut writer =
            builder.begin_log_with(&mut line, &mut serializer).context("the header of the HDR log")?;
        writer
            .write_histogram(latency, after, length, Tag::new(&tag))
            .map_err(|error| anyhow::anyhow!("an interval of the HDR log: {error:?}"))?;
        let result = file.write_all(&line).and_then(|()| file.flush());
        result.with_context(|| format!("cannot write {}: is the disk full?", path.display()))
    }
}
