//! Somebody at another site says that he is a victim: by one packet, then by a flood. The victim keeps its EID.

use std::time::Duration;

use crate::error::Result;
use crate::gateway::plan::GatewayPlan;
use crate::interrupt;
use crate::script::forge::{Ends, Forge};
use crate::site::{Family, GROUPS, Host, Site, anycast_mac};
use crate::traffic::pace::Pace;

use super::moving::{Traffic, arrive, cable, eid, gateway};
use super::{Outcome, Run};

/// Forged packets per second of the flood.
const FLOOD: u32 = 2000;
/// How many.
const FORGED: u64 = 4000;
/// After the one packet: every claim that it could start is over by then.
const AFTER_ONE: Duration = Duration::from_millis(1500);
/// How long a real, unannounced move may take: ten times what it should.
const MOVED: Duration = Duration::from_secs(20);

/// Without the agent's range at site B it is nobody's victim there, and nobody's agent.
pub(super) fn adjust(plan: &mut GatewayPlan, negative: bool) {
    if negative && plan.site == Site::B {
        plan.groups.iter_mut().for_each(|group| group.dynamic_eids.clear());
    }
}

pub(super) fn one_packet(run: &mut Run<'_>) -> Result<Outcome> {
    attacked(run, "spoofed_once", |forge| forge_one(forge).and_then(|()| interrupt::sleep(AFTER_ONE)), 1)
}

pub(super) fn flood(run: &mut Run<'_>) -> Result<Outcome> {
    let work = |forge: &Forge| {
        let pace = Pace::begin(FLOOD);
        for number in 0..FORGED {
            pace.wait(number);
            interrupt::check()?;
            forge_one(forge)?;
        }
        Ok(())
    };
    attacked(run, "spoofed_in_the_flood", work, FORGED)
}

/// A frame from site C with the victim's address.
fn forge_one(forge: &Forge) -> Result<()> {
    let ends = Ends { from: eid(), to: Host::new(Site::A, 1).eid(Family::V4, Family::V4) };
    // To a port of its own, so that what gets through is counted by nobody as the victim's.
    forge.udp(ends, (666, 666), b"I am the victim")
}

fn attacked(
    run: &mut Run<'_>,
    figure: &'static str,
    attack: impl FnOnce(&Forge) -> Result<()>,
    forged: u64,
) -> Result<Outcome> {
    arrive(run)?;
    let attacker = run.lab.host(Host::new(Site::C, 1));
    let forge = Forge::open(&attacker, "eth0", anycast_mac(GROUPS[0]))?;
    let refused = |run: &Run<'_>| gateway(run, Site::C)?.api().count("claims_refused");
    let before = refused(run)?;
    let traffic = Traffic::start(run)?;
    interrupt::sleep(Duration::from_millis(300))?;
    attack(&forge)?;
    interrupt::sleep(Duration::from_millis(300))?;
    let [down, up] = traffic.stop()?;
    let claims = refused(run)? - before;
    let (down, up) = (down.close(), up.close());
    run.count(&down);
    run.count(&up);
    run.figure(figure, forged);
    run.add_to_figure("claims_refused", claims);
    run.add_to_figure("victims_packets_lost", down.lost + up.lost);
    Ok(Outcome::new(
        down.is_perfect() && up.is_perfect() && claims > 0,
        format!(
            "{forged} frames at site C with the address of the agent at site B: {claims} claims refused; to the victim \
             {down}; from it {up}"
        ),
    ))
}

/// The victim itself moves to the attacker's site, unannounced, and is believed.
pub(super) fn real_move(run: &mut Run<'_>) -> Result<Outcome> {
    cable(run)?.plug(Some(Site::C));
    let traffic = Traffic::start(run)?;
    let start = std::time::Instant::now();
    let away = interrupt::wait_for("the moved victim's packets", MOVED, || {
        let (down, up) = traffic.delivered();
        Ok((down > 0 && up > 0).then(|| start.elapsed()))
    });
    interrupt::sleep(Duration::from_millis(500))?;
    let [down, up] = traffic.stop()?;
    let (down, up) = (down.close(), up.close());
    let took = away?;
    // What is lost before anyone knows of the move is the move's own, and no figure of the attack.
    run.figure("real_move_ms", u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    run.figure("real_move_lost", down.lost + up.lost);
    let faults = down.duplicated + down.corrupted + up.duplicated + up.corrupted;
    Ok(Outcome::new(
        down.delivered > 0 && up.delivered > 0 && faults == 0,
        format!("packets both ways {} ms after the plug; to it {down}; from it {up}", took.as_millis()),
    ))
}
