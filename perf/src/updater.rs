//! `sterna-perf updater`: the other process, which changes the tables through the ring while packets go through
//! them. Half of its changes give an EID another locator, a quarter insert one, a quarter delete one.
//!
//! It obeys words on its standard input: `go`, `pause`, `verify`; each is answered by a line.

use crate::case::MOST_EIDS;
use crate::frames::Family;
use crate::remote::Numbering;
use crate::site::{iid, locators, underlay};
use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use sterna_shm::{ControlSession, EidAction, Event, KnownAction, Update, connect};

/// Between two batches: long enough that a shared core serves the tables' writer in between, short against a run.
const BATCH: Duration = Duration::from_micros(250);
/// How long a barrier may take: the writer walks over the whole table for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to change, and where.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// The dataplane's socket.
    #[arg(long)]
    pub socket: PathBuf,
    /// EIDs that are there throughout, by number from 0.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_EIDS)))]
    pub eids: u32,
    /// EIDs that come and go, by number from `eids`.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_EIDS)))]
    pub spare: u32,
    /// Changes per second.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub rate: u64,
    /// The EIDs' family.
    #[arg(long, value_parser = parse_family)]
    pub inner: Family,
    /// The locators' family.
    #[arg(long, value_parser = parse_family)]
    pub outer: Family,
    /// The core to run on.
    #[arg(long)]
    pub core: usize,
}

impl Options {
    /// The command line that says this.
    pub fn to_arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = vec!["updater".into(), "--socket".into(), self.socket.clone().into()];
        let numbers = [
            ("--eids", u64::from(self.eids)),
            ("--spare", u64::from(self.spare)),
            ("--rate", self.rate),
            ("--core", self.core as u64),
        ];
        for (name, number) in numbers {
            arguments.extend([name.into(), number.to_string().into()]);
        }
        for (name, family) in [("--inner", self.inner), ("--outer", self.outer)] {
            arguments.extend([name.into(), family.name().into()]);
        }
        arguments
    }
}

fn parse_family(name: &str) -> Result<Family, String> {
    Family::parse(name).map_err(|error| error.to_string())
}

/// An answer, one a line.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Connected, tables as they shall be at the start.
    Ready,
    /// Changing from now on.
    Going,
    /// Changed so much since `go`, all of it used by every worker so many nanoseconds later.
    Paused {
        /// Changes.
        changes: u64,
        /// From `go` until the last one was in use, ns.
        took_ns: u64,
    },
    /// The tables hold what they should, so many entries.
    Verified {
        /// Entries.
        entries: u64,
    },
}

/// Runs until the standard input ends.
pub fn run(options: &Options) -> Result<()> {
    core_affinity::set_for_current(core_affinity::CoreId { id: options.core });
    let (words, orders) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if words.send(line).is_err() {
                return;
            }
        }
    });
    let mut changer = Changer::connect(options)?;
    answer(&Answer::Ready)?;
    while let Ok(order) = orders.recv() {
        match order.as_str() {
            "go" => changer.go(&orders)?,
            "verify" => {
                let entries = changer.verify()?;
                answer(&Answer::Verified { entries })?;
                // The session that read the table has none of the first one's numbers.
                return Ok(());
            }
            other => bail!("an unknown order: {other}"),
        }
    }
    Ok(())
}

fn answer(answer: &Answer) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}

/// What the tables shall say, and the way to say it.
struct Changer<'o> {
    options: &'o Options,
    session: ControlSession,
    random: StdRng,
    /// By number: which of the two sets.
    sets: Vec<u8>,
    present: Vec<u32>,
    absent: Vec<u32>,
    barrier: u64,
}

impl<'o> Changer<'o> {
    fn connect(options: &'o Options) -> Result<Changer<'o>> {
        let mut changer = Changer {
            options,
            session: connect(&options.socket)?,
            random: StdRng::seed_from_u64(2),
            sets: vec![1; options.eids as usize],
            present: Vec::new(),
            absent: (options.eids..options.eids + options.spare).collect(),
            barrier: 0,
        };
        for update in underlay(options.outer)? {
            changer.push(&update)?;
        }
        for _ in 0..options.spare / 2 {
            let update = changer.insert();
            changer.push(&update)?;
        }
        changer.settle()?;
        Ok(changer)
    }

    fn upsert(&self, number: u32, set: u8) -> Update {
        let prefix = Numbering { prefixes: false }.prefix(self.options.inner, number);
        Update::EidUpsert {
            iid: iid(),
            prefix,
            action: EidAction::Remote { set: u32::from(set), classes: None },
        }
    }

    fn insert(&mut self) -> Update {
        let at = self.random.random_range(0..self.absent.len());
        let number = self.absent.swap_remove(at);
        self.present.push(number);
        self.upsert(number, 1)
    }

    fn delete(&mut self) -> Update {
        let at = self.random.random_range(0..self.present.len());
        let number = self.present.swap_remove(at);
        self.absent.push(number);
        let prefix = Numbering { prefixes: false }.prefix(self.options.inner, number);
        Update::EidDelete { iid: iid(), prefix }
    }

    /// The next change, and the model's with it.
    fn change(&mut self) -> Update {
        match self.random.random_range(0..4) {
            0 if !self.absent.is_empty() => self.insert(),
            1 if !self.present.is_empty() => self.delete(),
            _ => {
                let number = self.random.random_range(0..self.options.eids);
                let set = 3 - self.sets[number as usize];
                self.sets[number as usize] = set;
                self.upsert(number, set)
            }
        }
    }

    /// Pushes; a full ring is waited for.
    fn push(&mut self, update: &Update) -> Result<()> {
        while self.session.updates.push(update).is_err() {
            self.session.ring_updates();
            ensure!(!self.session.closed(), "the dataplane hung up");
            std::thread::sleep(Duration::from_micros(20));
        }
        Ok(())
    }

    fn go(&mut self, orders: &mpsc::Receiver<String>) -> Result<()> {
        answer(&Answer::Going)?;
        let start = Instant::now();
        let mut changes = 0;
        loop {
            match orders.try_recv() {
                Err(mpsc::TryRecvError::Empty) => {}
                Ok(order) if order == "pause" => break,
                other => bail!("an unknown order: {other:?}"),
            }
            let due = start.elapsed().as_secs_f64() * self.options.rate as f64;
            while changes < due as u64 {
                let update = self.change();
                self.push(&update)?;
                changes += 1;
            }
            self.session.ring_updates();
            self.events(|_| Ok(()))?;
            std::thread::sleep(BATCH);
        }
        self.settle()?;
        answer(&Answer::Paused { changes, took_ns: start.elapsed().as_nanos() as u64 })
    }

    /// Takes the events there are; what the dataplane refused is an error.
    fn events(&mut self, mut each: impl FnMut(Event) -> Result<()>) -> Result<()> {
        self.session.doorbell().drain();
        while let Some(event) = self.session.events.pop()? {
            if let Event::Refused { kind, detail } = event {
                bail!("the tables refused an update: {kind:?} ({detail})");
            }
            each(event)?;
        }
        Ok(())
    }

    /// Waits until everything pushed so far is in use: the end of a sync that sweeps nothing, because nothing is of
    /// an earlier one.
    fn settle(&mut self) -> Result<()> {
        self.barrier += 1;
        let wanted = Event::Applied { generation: self.barrier };
        self.push(&Update::EndSync { generation: self.barrier })?;
        self.session.ring_updates();
        self.wait_for(|event, done| {
            *done |= event == wanted;
            Ok(())
        })
    }

    fn wait_for(&mut self, mut each: impl FnMut(Event, &mut bool) -> Result<()>) -> Result<()> {
        let (start, mut done) = (Instant::now(), false);
        while !done {
            ensure!(start.elapsed() < PATIENCE, "the dataplane does not answer");
            ensure!(!self.session.closed(), "the dataplane hung up");
            self.events(|event| each(event, &mut done))?;
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// Connects anew, so that the dataplane tells what it knows, and compares that with what it should.
    fn verify(&mut self) -> Result<u64> {
        self.session = connect(&self.options.socket)?;
        let (mut remotes, mut found) = (HashMap::new(), HashMap::new());
        self.wait_for(|event, done| {
            match event {
                Event::KnownLocator { set, remote: Some(remote), .. } => drop(remotes.insert(set, remote)),
                Event::KnownEid { prefix, action: KnownAction::Remote { set, .. }, .. } => {
                    let number = Numbering::number(prefix.addr()).filter(|_| prefix.is_host());
                    let number = number.with_context(|| format!("{prefix} should not be there"))?;
                    ensure!(found.insert(number, set).is_none(), "{prefix} was told twice");
                }
                Event::KnownEnd => *done = true,
                _ => {}
            }
            Ok(())
        })?;
        self.compare(&remotes, &found)
    }

    fn compare(&self, remotes: &HashMap<u32, IpAddr>, found: &HashMap<u32, u32>) -> Result<u64> {
        let wanted = locators(self.options.outer).1;
        let spares = self.present.iter().map(|number| (*number, 1));
        let all = (0..).zip(self.sets.iter().copied()).chain(spares);
        let mut entries = 0;
        for (number, set) in all {
            let remote = found.get(&number).and_then(|set| remotes.get(set));
            let wanted = wanted[usize::from(set) - 1];
            ensure!(remote == Some(&wanted), "EID {number} has {remote:?} instead of {wanted}");
            entries += 1;
        }
        ensure!(found.len() as u64 == entries, "{} entries instead of {entries}", found.len());
        Ok(entries)
    }
}
