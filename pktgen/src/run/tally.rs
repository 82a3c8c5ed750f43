//! Adds up what workers tell, for the live line and for the report.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use sterna_xsk::BulkCount;

use super::log::HdrLog;
use super::ports::Opened;
use crate::clock::SECOND_NS;
use crate::compose::MISS_STREAM;
use crate::engine::{Outcome, Sent, Update};
use crate::report::{Account, BulkAccount, PortReport, Report, Spread, us};
use crate::sink::{Numbers, STREAMS, Seen, histogram};

/// A second of a run, for people who watch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// Seconds since the first packet was due.
    pub at_s: f64,
    /// Packets per second sent over AF_XDP.
    pub sent_pps: f64,
    /// Probes per second that arrived.
    pub arrived_pps: f64,
    /// Live frames per second offered; `None` with the engine `xdp`.
    pub live_pps: Option<f64>,
    /// Probes sent and not arrived so far; those on their way are among them. `None` where only one half runs.
    pub missing: Option<u64>,
    /// The latencies since the last line.
    pub latency: Spread,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7.1} s  tx {:.0}/s  rx {:.0}/s", self.at_s, self.sent_pps, self.arrived_pps)?;
        if let Some(live) = self.live_pps {
            write!(f, "  live {live:.0}/s")?;
        }
        if let Some(missing) = self.missing {
            write!(f, "  missing {missing}")?;
        }
        let Spread { count, p50, p99, p999, .. } = self.latency;
        if count == 0 {
            return Ok(());
        }
        write!(f, "  p50 {:.1}  p99 {:.1}  p99.9 {:.1} us", us(p50), us(p99), us(p999))
    }
}

/// What the workers told so far.
pub(super) struct Tally {
    start_ns: u64,
    log: HdrLog,
    /// Each worker's last word, by its number.
    latest: Vec<(Sent, Seen)>,
    /// It both sends and receives.
    is_whole: bool,
    /// Up to when workers have told.
    told_ns: u64,
    latency: Histogram<u64>,
    fresh: Histogram<u64>,
    last: Last,
}

/// What the last line was made from.
struct Last {
    at_ns: u64,
    told_ns: u64,
    sent: u64,
    arrived: u64,
    live: u64,
}

impl Tally {
    pub fn new(start_ns: u64, log: HdrLog, is_whole: bool) -> Self {
        let last = Last { at_ns: start_ns, told_ns: start_ns, sent: 0, arrived: 0, live: 0 };
        Self {
            start_ns,
            log,
            latest: Vec::new(),
            is_whole,
            told_ns: start_ns,
            latency: histogram(),
            fresh: histogram(),
            last,
        }
    }

    /// Takes a worker's word.
    pub fn take(&mut self, update: Update) -> Result<()> {
        if self.latest.len() <= update.worker {
            self.latest.resize(update.worker + 1, Default::default());
        }
        self.latest[update.worker] = (update.sent, update.seen);
        self.told_ns = self.told_ns.max(update.between_ns.1);
        match &update.latency {
            Some(latency) => self.add_latency(latency, update.worker, update.between_ns),
            None => Ok(()),
        }
    }

    fn add_latency(
        &mut self,
        latency: &Histogram<u64>,
        worker: usize,
        (from_ns, to_ns): (u64, u64),
    ) -> Result<()> {
        if latency.is_empty() {
            return Ok(());
        }
        // All have the same bounds.
        self.latency += latency;
        self.fresh += latency;
        let after = Duration::from_nanos(from_ns.saturating_sub(self.start_ns));
        self.log.write(latency, worker, after, Duration::from_nanos(to_ns.saturating_sub(from_ns)))
    }

    /// Packets written so far, as far as it was told.
    pub fn sent_packets(&self) -> u64 {
        self.latest.iter().map(|(sent, _)| sent.written.packets()).sum()
    }

    /// A line, when a second has passed since the last one.
    pub fn line(&mut self, now_ns: u64, live: Option<u64>) -> Option<Line> {
        let passed = now_ns.checked_sub(self.last.at_ns).filter(|passed| *passed >= SECOND_NS)?;
        // Workers tell about once a second, and not at this moment: their rates are over the time they told of.
        let told = self.told_ns - self.last.told_ns;
        let per = |ns: u64, now: u64, before: u64| {
            if ns == 0 { 0.0 } else { now.saturating_sub(before) as f64 * SECOND_NS as f64 / ns as f64 }
        };
        let rate = |now: u64, before: u64| per(told, now, before);
        let sent = self.sent_packets();
        let probes: u64 = self.latest.iter().map(|(sent, _)| sent.written.probes + sent.written.misses).sum();
        let arrived = self.latest.iter().map(|(_, seen)| seen.probes).sum();
        let line = Line {
            at_s: (now_ns - self.start_ns) as f64 / SECOND_NS as f64,
            sent_pps: rate(sent, self.last.sent),
            arrived_pps: rate(arrived, self.last.arrived),
            live_pps: live.map(|live| per(passed, live, self.last.live)),
            missing: self.is_whole.then(|| probes.saturating_sub(arrived)),
            latency: Spread::from(&self.fresh),
        };
        self.fresh.reset();
        self.last = Last { at_ns: now_ns, told_ns: self.told_ns, sent, arrived, live: live.unwrap_or(0) };
        Some(line)
    }

    /// The whole account. Live frames come with their number and the moment when the last one was out.
    pub fn report(
        &mut self,
        opened: &Opened,
        outcomes: Vec<Outcome>,
        offered: Option<(u64, u64)>,
        (start_ns, end_ns): (u64, u64),
    ) -> Result<Report> {
        let (mut sent, mut seen, mut lateness) = (Sent::default(), Seen::default(), histogram());
        let mut arrived = vec![Numbers::default(); STREAMS];
        let mut left = Vec::new();
        let mut ports = Vec::new();
        let mut last_ns = start_ns;
        for (worker, outcome) in outcomes.into_iter().enumerate() {
            let told_ns = (outcome.latency_from_ns, end_ns);
            self.add_latency(&outcome.latency, worker, told_ns)?;
            lateness += &outcome.lateness;
            sent.add(&outcome.sent);
            seen.add(&outcome.seen);
            arrived.iter_mut().zip(&outcome.numbers).for_each(|(sum, numbers)| sum.merge(numbers));
            let Sent { written, abandoned, lost_busy, .. } = outcome.sent;
            if written.packets() > 0 {
                // Nobody knows of which kind those were; in a mixture they count as lost rather than hide a loss.
                let mixed = written.packets() > written.probes;
                let kept = if mixed { 0 } else { abandoned + lost_busy };
                left.push(written.probes.saturating_sub(kept));
                last_ns = last_ns.max(outcome.sent_until_ns);
            }
            let ports_of = outcome.ports.into_iter();
            ports.extend(ports_of.map(|(name, granted, counted, ledger)| {
                PortReport::new(name, &granted, &counted, ledger.leaked())
            }));
        }
        let seconds = (last_ns.min(end_ns) - start_ns) as f64 / SECOND_NS as f64;
        let seconds = match offered {
            Some((_, until_ns)) => until_ns.saturating_sub(start_ns) as f64 / SECOND_NS as f64,
            None if opened.tx.is_none() => (end_ns - start_ns) as f64 / SECOND_NS as f64,
            None => seconds,
        };
        let offered = offered.map(|(frames, _)| frames);
        self.finish(opened, Sums { sent, seen, lateness, arrived, left, ports, offered, seconds })
    }

    fn finish(&self, opened: &Opened, sums: Sums) -> Result<Report> {
        let Sums { sent, seen, lateness, mut arrived, mut left, ports, offered, seconds } = sums;
        let missed = arrived.split_off(usize::from(MISS_STREAM));
        if opened.tx.is_none() {
            // Somebody else sent: what is below the highest number was sent. What was lost behind it does not show.
            left = arrived.iter().map(Numbers::end).collect();
        }
        let (tx_interface, rx_interface) = opened.counters()?;
        let bulk = match offered {
            Some(offered) => {
                let dropped = tx_interface.map_or(0, |counters| counters.tx_dropped);
                // The interface counts the probes that it dropped too.
                let refused = dropped.saturating_sub(sent.lost_busy);
                let counts = bulk_counts(opened)?;
                Some(BulkAccount::new(offered, refused, counts.as_deref(), seconds))
            }
            None => None,
        };
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Ok(Report {
            engine: if offered.is_some() { "live" } else { "xdp" }.to_owned(),
            duration_s: seconds,
            sent,
            sent_pps: per_second(sent.written.packets().saturating_sub(sent.abandoned)),
            arrived_pps: per_second(arrived.iter().map(Numbers::count).sum()),
            probes: Account::new(&left, &arrived, &seen),
            misses_arrived: missed.iter().map(Numbers::count).sum(),
            seen: opened.rx.is_some().then_some(seen),
            bulk,
            latency_ns: Spread::from(&self.latency),
            lateness_ns: Spread::from(&lateness),
            ports,
            sink: opened.program.as_ref().map(|program| program.counts()).transpose()?.map(Into::into),
            tx_interface,
            rx_interface,
            ..Report::default()
        })
    }
}

/// What the workers' outcomes add up to.
struct Sums {
    sent: Sent,
    seen: Seen,
    lateness: Histogram<u64>,
    arrived: Vec<Numbers>,
    /// Probes of each sender that left it.
    left: Vec<u64>,
    ports: Vec<PortReport>,
    offered: Option<u64>,
    seconds: f64,
}

/// What arrived of live frames, if there is a sink.
fn bulk_counts(opened: &Opened) -> Result<Option<Vec<BulkCount>>> {
    let Some(program) = &opened.program else { return Ok(None) };
    let senders = 0..STREAMS as u8;
    let all = (0..opened.queues).flat_map(|queue| senders.clone().map(move |sender| (queue, sender)));
    Ok(Some(all.map(|(queue, sender)| program.bulk(queue, sender)).collect::<Result<_, _>>()?))
}
