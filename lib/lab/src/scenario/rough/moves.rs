//! An agent moves between two sites with rough links, under TCP and UDP both ways.

use std::time::Duration;

use crate::error::{LabError, Result};
use crate::interrupt;
use crate::relay::profile::Profile;
use crate::site::{Family, GROUPS, Host, ROAMER, Site};
use crate::traffic::ledger::Ledger;
use crate::traffic::stream::{Stream, StreamPlan};
use crate::traffic::transfer::{Transfer, TransferPlan, Transferred};
use crate::underlay::rloc;

use super::super::Run;
use super::super::agents::attach;
use super::super::moving::{Mode, cable, change, eid, gateway, is_reset};
use super::excuses::Excuses;
use super::questions::locators;
use super::{Part, path};

/// Moves, of a whole run and of a short one: half of them announced, half with both links for a while.
const MOVES: [u32; 2] = [6, 2];
/// Packets per second each way. A gateway holds 512 for one EID: what comes in a second and a half.
const RATE: u32 = 300;
/// Bytes per second over TCP.
const TCP_RATE: u32 = 60_000;
/// Payload bytes of the UDP packets.
const SIZE: usize = 200;
/// At least so long before the moves and after each, so that a link that flaps does so under traffic.
const SETTLE: Duration = Duration::from_millis(600);
/// Ports of the packets to the agent and from it.
const PORTS: [u16; 2] = [5211, 5212];
/// How long site A's gateway may take to know of a move: losses in a row cost it 50, 200 and 1000 ms, and the rest is
/// patience.
const KNOWN: Duration = Duration::from_secs(10);

/// What came of the moves.
pub struct Journey {
    /// How many.
    pub moves: u32,
    known: Vec<Duration>,
    never: u64,
    ends: [(Ledger, u64); 2],
    tcp: Result<Transferred>,
}

/// Moves it back and forth.
pub fn travel(run: &Run<'_>, profile: &Profile) -> Result<Journey> {
    let stays = Host::new(Site::A, 1);
    let (home, away) = (run.lab.host(stays), run.lab.namespace(ROAMER));
    let other = stays.eid(Family::V4, Family::V4);
    let plan =
        TransferPlan { source: other, target: eid(), port: 5210, bytes: u64::MAX, pace: Some(TCP_RATE) };
    let transfer = Transfer::start(&home, &away, plan)?;
    let plan = |source, target, port| StreamPlan {
        source,
        target,
        port,
        group: GROUPS[0],
        rate: RATE,
        count: None,
        size: SIZE,
    };
    let down = Stream::start(&home, &away, plan(other, eid(), PORTS[0]))?;
    let up = Stream::start(&away, &home, plan(eid(), other, PORTS[1]))?;
    let moves = MOVES[usize::from(run.short)];
    let moved = make(run, profile, moves);
    // Whatever became of the moves: nothing may go on sending. Each waits for stragglers, all at the same time.
    let ended = std::thread::scope(|scope| {
        let (tcp, up) = (scope.spawn(|| transfer.stop()), scope.spawn(|| up.stop()));
        let down = down.stop();
        Some((tcp.join().ok()?, [down, up.join().ok()?]))
    });
    let (tcp, [down, up]) = ended.ok_or_else(|| LabError::Panicked("a stream's end".to_owned()))?;
    let (known, never) = moved?;
    Ok(Journey { moves, known, never, ends: [down?, up?], tcp })
}

fn make(run: &Run<'_>, profile: &Profile, moves: u32) -> Result<(Vec<Duration>, u64)> {
    let (mut known, mut never) = (Vec::new(), 0);
    let settle = path(profile).max(SETTLE);
    interrupt::sleep(settle)?;
    for number in 0..moves {
        let (from, to) = if number % 2 == 0 { (Site::B, Site::C) } else { (Site::C, Site::B) };
        let began = std::time::Instant::now();
        let announced = number % 4 < 2 && moves > 2 || number == 0;
        if announced {
            change(run, Mode::Announced, from, to)?;
        } else {
            begin_with_both(run, to)?;
        }
        match wait_known(run, to) {
            Ok(()) => known.push(began.elapsed()),
            Err(_) => never += 1,
        }
        interrupt::check()?;
        // What went to the old site before is there by now, as is the answer to what came of it.
        interrupt::sleep(settle * 3 / 2)?;
        if !announced {
            cable(run)?.hear(from, false);
        }
    }
    Ok((known, never))
}

/// The new link is there before the old one goes; how long both must be is a matter of the underlay's delay.
fn begin_with_both(run: &Run<'_>, to: Site) -> Result<()> {
    let cable = cable(run)?;
    cable.hear(to, true);
    attach(gateway(run, to)?, eid())?;
    cable.speak_at(Some(to));
    Ok(())
}

/// Waits until site A's gateway believes that the agent is there, and nowhere else.
fn wait_known(run: &Run<'_>, at: Site) -> Result<()> {
    let right = [rloc(at, 0, Family::V4).to_string()];
    let api = gateway(run, Site::A)?.api();
    interrupt::wait_for("site A to know of the move", KNOWN, || {
        let found = locators(&api.get("/v1/mappings")?, eid());
        Ok(found.filter(|found| *found == right).map(|_| ()))
    })
}

impl Journey {
    /// Looks at what is missing and at what TCP made of it.
    pub fn judge(self, run: &mut Run<'_>, excuses: &Excuses) -> Part {
        let (mut tally, mut unexplained) = (Default::default(), 0);
        for ((ledger, sent), port) in self.ends.into_iter().zip(PORTS) {
            let missing = ledger.missing(sent).into_iter().map(|sequence| (port, 0, sequence));
            unexplained += excuses.unexplained(missing);
            tally += ledger.close(sent);
        }
        let resets = u64::from(self.tcp.as_ref().is_err_and(is_reset));
        let whole = self.tcp.as_ref().is_ok_and(|tcp| tcp.matches() && tcp.received > 0);
        run.figures.add_transfer(whole);
        run.add_to_figure("tcp_resets", resets);
        run.add_to_figure("tcp_transfers", 1);
        run.add_to_figure("tcp_sha256_ok", u64::from(whole));
        let slowest = self.known.iter().max().copied().unwrap_or_default();
        let tcp = self.tcp.map_or_else(
            |error| format!("TCP broke: {error}"),
            |tcp| {
                format!(
                    "{} bytes over TCP, digests {}",
                    tcp.received,
                    if tcp.matches() { "the same" } else { "DIFFERENT" }
                )
            },
        );
        let words = format!(
            "{} moves, the slowest known at site A after {} ms; {unexplained} missing without a reason, {} times the \
             wrong site; {tcp}",
            self.moves,
            slowest.as_millis(),
            self.never
        );
        Part { tally, unexplained, wrong: self.never, ok: whole && resets == 0, words }
    }
}
