//! Standard HDR histogram logs, read again: all intervals of one added up.

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use std::path::Path;

/// No log of ours is larger, bytes.
const LARGEST: u64 = 256 << 20;

/// Reads a log.
///
/// # Errors
/// With the path, and the line of what is wrong.
pub fn read(path: &Path) -> Result<Histogram<u64>> {
    let name = path.display();
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    ensure!(size <= LARGEST, "{name}: {size} bytes are more than any log has ({LARGEST})");
    let text = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let mut sum = Histogram::new(3)?;
    // Line by line, so that a fault has a place.
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let place = || format!("{name}: line {}", number + 1);
        for entry in IntervalLogIterator::new(line) {
            let entry = entry.map_err(|error| anyhow!("{}: {error:?}", place()))?;
            if let LogEntry::Interval(interval) = entry {
                let part = decoded(interval.encoded_histogram()).with_context(place)?;
                sum.add(part).map_err(|error| anyhow!("{}: {error:?}", place()))?;
            }
        }
    }
    ensure!(!sum.is_empty(), "{name}: it has no values");
    Ok(sum)
}

fn decoded(text: &str) -> Result<Histogram<u64>> {
    let bytes = STANDARD.decode(text).context("its histogram is not base64")?;
    let read = Deserializer::new().deserialize(&mut bytes.as_slice());
    read.map_err(|error| anyhow!("its histogram: {error:?}"))
}

/// Quantile and value of every step of a histogram of nanoseconds, in microseconds; at most so many points, evenly on a
/// percentile axis. A value stands for the middle of those that are alike: the greatest of n is at 1 - 1/2n, not at 1.
pub fn curve(seen: &Histogram<u64>, most: usize) -> Vec<(f64, f64)> {
    let total = seen.len().max(1) as f64;
    let mut so_far = 0;
    let points = seen.iter_recorded().map(|step| {
        let alike = step.count_since_last_iteration();
        so_far += alike;
        ((so_far as f64 - alike as f64 / 2.0) / total, step.value_iterated_to() as f64 / 1000.0)
    });
    let all: Vec<(f64, f64)> = points.collect();
    let nines = |quantile: f64| -(1.0 - quantile).max(1e-12).log10();
    let step = all.last().map_or(0.0, |last| nines(last.0)) / most.max(1) as f64;
    let mut next = 0.0;
    let keep = |(place, point): (usize, (f64, f64))| {
        let wanted = nines(point.0) >= next || place + 1 == all.len();
        if wanted {
            next = nines(point.0) + step;
        }
        wanted.then_some(point)
    };
    all.iter().copied().enumerate().filter_map(keep).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    const LOG: &str = include_str!("../../tests/recorded/raw/latency-encap-50-1.hlog");

    #[test]
    fn a_curve_is_of_all_values_and_ends_before_the_whole() {
        let mut seen = Histogram::<u64>::new(3).unwrap();
        (1..=1000).for_each(|us| seen.record(us * 1000).unwrap());
        let points = curve(&seen, 50);
        assert!((20..=60).contains(&points.len()), "{}", points.len());
        let (quantile, value) = *points.last().unwrap();
        assert!((quantile - 0.9995).abs() < 1e-9 && (value - 1000.0).abs() < 1.0, "{quantile} {value}");
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        // Points of a uniform distribution lie on it.
        assert!(points.iter().all(|(quantile, value)| (quantile * 1000.0 - value).abs() < 2.0));
    }

    #[test]
    fn a_log_is_read_and_a_damaged_one_named_with_its_line() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("x.hlog");
        std::fs::write(&path, LOG).unwrap();
        assert!(read(&path).unwrap().len() > 100);
        let last = LOG.trim_end().lines().count();
        let mut cut = LOG.trim_end().to_owned();
        cut.truncate(cut.len() - 9);
        for (text, says) in [
            (cut, format!("line {last}")),
            ("#[x]\nTag=a,1.0,2.0,3.0,!!!\n".to_owned(), "line 2".to_owned()),
            ("nonsense\n".to_owned(), "line 1".to_owned()),
            (String::new(), "no values".to_owned()),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(error.contains("x.hlog") && error.contains(&says), "{error}");
        }
        assert!(format!("{:#}", read(Path::new("/nowhere.hlog")).unwrap_err()).contains("/nowhere.hlog"));
    }
}
