//! A crowd with ports, a clock, and somebody who tells it what to do: a script of its own, or commands.

mod orders;
mod script;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Crowd;
use super::ledger::Kind;
pub use super::places::Demands;
use super::places::Places;
use super::profile::Profile;
use super::report::Report;
use crate::clock::{Clock, Monotonic, SECOND_NS};
use orders::Orders;
use script::Script;

/// The longest sleep, nanoseconds, so that Ctrl-C is seen.
const NAP_NS: u64 = 100_000_000;
/// The sleep while a port has no room for what is to be sent, nanoseconds.
const FULL_NS: u64 = 50_000;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the report calls the profile.
    pub name: String,
    /// How long to talk, nanoseconds; without it, until stopped.
    pub duration_ns: Option<u64>,
    /// How long to wait for what is under way when talking is over, nanoseconds.
    pub linger_ns: u64,
    /// Take commands from standard input, and do nothing by ourselves.
    pub commands: bool,
    /// What must be true of the places.
    pub demands: Demands,
}

/// What is told while it runs, once a second.
#[derive(Clone, Debug)]
pub struct Line {
    seconds: u64,
    connections: (usize, usize),
    sent: [u64; 3],
    done: [u64; 3],
    moves: u64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wanted, open) = self.connections;
        write!(f, "{:4} s  {open} of {wanted} connections  {} moves", self.seconds, self.moves)?;
        for (name, at) in
            [("requests", Kind::Request), ("streams", Kind::Stream), ("messages", Kind::Message)]
        {
            let (sent, done) = (self.sent[at as usize], self.done[at as usize]);
            if sent > 0 {
                write!(f, "  {name} {done}/{sent}")?;
            }
        }
        Ok(())
    }
}

/// Runs a profile until it is over or `stop` is set. `progress` hears once a second how it goes, `answer` what becomes
/// of commands, a line each.
///
/// # Errors
/// A place cannot be used, or the kernel refuses to wait.
pub fn run(
    profile: &Profile,
    options: &Options,
    stop: &AtomicBool,
    mut progress: impl FnMut(&Line),
    mut answer: impl FnMut(&str),
) -> Result<Report> {
    let mut places = Places::open(&profile.places, options.demands)?;
    let start_ns = Monotonic.now_ns();
    let mut crowd = Crowd::new(profile, start_ns);
    crowd.arrive(start_ns);
    let mut script = Script::new(profile, options, start_ns);
    let mut orders = options.commands.then(Orders::default);
    let mut told_ns = start_ns;
    while !script.is_over() {
        let received = places.receive(&mut crowd);
        let now_ns = Monotonic.now_ns();
        if let Some(orders) = &mut orders {
            orders.obey(&mut crowd, &mut places, &mut script, now_ns, &mut answer);
        }
        if stop.load(Ordering::Relaxed) {
            script.stop(&mut crowd, now_ns);
        }
        script.advance(&mut crowd, now_ns);
        crowd.turn(now_ns);
        let all_out = places.send(&mut crowd);
        if now_ns.saturating_sub(told_ns) >= SECOND_NS {
            told_ns = now_ns;
            progress(&line(&crowd, (now_ns - start_ns) / SECOND_NS));
        }
        if !received {
            let most_ns = if all_out { NAP_NS } else { FULL_NS };
            let next = [crowd.next_due(), script.next_due(now_ns)].into_iter().flatten().min();
            let free_ns = next.map_or(most_ns, |next| next.saturating_sub(now_ns)).min(most_ns);
            wait(&mut places, orders.as_ref(), free_ns)?;
        }
    }
    report(profile, options, &mut crowd, &mut places, &script)
}

fn report(
    profile: &Profile,
    options: &Options,
    crowd: &mut Crowd,
    places: &mut Places,
    script: &Script,
) -> Result<Report> {
    let mut report = Report::new(profile, crowd, script.ended_ns());
    places.account(&mut report.places)?;
    Ok(Report { profile: options.name.clone(), partial: script.is_partial(), ..report })
}

/// Sleeps until a frame or a command comes, but no longer than `free_ns`.
fn wait(places: &mut Places, orders: Option<&Orders>, free_ns: u64) -> Result<()> {
    let stdin = std::io::stdin();
    let Some(fds) = places.wait_fds().filter(|_| free_ns > 0) else { return Ok(()) };
    let mut fds: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    if orders.is_some_and(Orders::is_listening) {
        fds.push(PollFd::new(&stdin, PollFlags::IN));
    }
    let seconds = (free_ns / SECOND_NS).cast_signed();
    let timeout = Timespec { tv_sec: seconds, tv_nsec: (free_ns % SECOND_NS).cast_signed() };
    match poll(&mut fds, Some(&timeout)) {
        // A signal: the loop looks at its flag.
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn line(crowd: &Crowd, seconds: u64) -> Line {
    let mut line = Line {
        seconds,
        connections: crowd.connections(),
        sent: [0; 3],
        done: [0; 3],
        moves: crowd.agents.iter().map(|agent| agent.moves).sum(),
    };
    for kind in Kind::ALL {
        for phase in &crowd.ledger.phases {
            line.sent[kind as usize] += phase.lines[kind as usize].sent;
            line.done[kind as usize] += phase.lines[kind as usize].done;
        }
    }
    line
}
