//! Moves between sites, played in a world with a Map-Server.

use std::net::IpAddr;
use std::time::Duration;

use super::Counter;
use super::scripted::{Installed, World, eid, iid};
use crate::random::Random;

const A: usize = 0;
const B: usize = 1;

fn attach(world: &mut World, site: usize, eid: IpAddr) {
    world.with(site, |etr, now, out| etr.attach(iid(), eid, now, out)).unwrap();
}

fn detach(world: &mut World, site: usize, eid: IpAddr) {
    world.with(site, |etr, now, out| etr.detach(iid(), eid, now, out)).unwrap();
}

/// A world with two sites and one agent at the first, found by detection.
fn with_agent(seed: u64) -> World {
    let mut world = World::new(2, seed);
    world.plug(A, eid(5), true);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.settled_at(eid(5)), Some(A));
    world
}

/// Lets time pass with a packet to the agent each millisecond.
fn pass_with_packets(world: &mut World, milliseconds: u64) {
    for _ in 0..milliseconds {
        world.send_packet(eid(5));
        world.pass(Duration::from_millis(1));
    }
}

fn count(world: &World, site: usize, counter: Counter) -> u64 {
    world.sites[site].etr.counters().get(counter)
}

/// The agent's host speaks at each site where it is, as hosts do.
fn speak(world: &mut World) {
    for site in 0..world.sites.len() {
        if world.sites[site].present.contains(&eid(5)) {
            world.speak(site, eid(5));
        }
    }
}

#[test]
fn an_announced_move_loses_nothing() {
    for seed in 0..20 {
        let mut world = with_agent(seed);
        pass_with_packets(&mut world, 20);
        for turn in 0..10 {
            let (old, new) = (turn % 2, 1 - turn % 2);
            detach(&mut world, old, eid(5));
            pass_with_packets(&mut world, 5);
            attach(&mut world, new, eid(5));
            pass_with_packets(&mut world, 5);
            world.plug(old, eid(5), false);
            pass_with_packets(&mut world, 20);
            world.plug(new, eid(5), true);
            pass_with_packets(&mut world, 100);
            assert_eq!(world.settled_at(eid(5)), Some(new), "seed {seed} turn {turn}");
        }
        pass_with_packets(&mut world, 50);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.lost, [0_u32; 0], "seed {seed}");
        assert!(world.relayed > 0);
        assert_eq!(count(&world, B, Counter::ClaimsFrozen) + world.server.frozen as u64, 0);
    }
}

#[test]
fn an_attach_while_both_links_answer_loses_nothing_and_stays() {
    for seed in 0..20 {
        let mut world = with_agent(seed);
        for turn in 0..10 {
            let (old, new) = (turn % 2, 1 - turn % 2);
            world.plug(new, eid(5), true);
            attach(&mut world, new, eid(5));
            for _ in 0..20 {
                pass_with_packets(&mut world, 5);
                // Frames still come out of the old link.
                speak(&mut world);
            }
            assert_eq!(world.settled_at(eid(5)), Some(new), "seed {seed} turn {turn}");
            world.plug(old, eid(5), false);
            pass_with_packets(&mut world, 20);
        }
        world.pass(Duration::from_secs(1));
        assert_eq!(world.lost, [0_u32; 0], "seed {seed}");
    }
}

#[test]
fn an_unannounced_move_is_found_by_what_the_agent_says_at_its_new_site() {
    for seed in 0..20 {
        let mut world = with_agent(seed);
        world.plug(A, eid(5), false);
        world.plug(B, eid(5), true);
        world.pass(Duration::from_millis(600));
        assert_eq!(world.settled_at(eid(5)), Some(B), "seed {seed}");
        assert_eq!(count(&world, A, Counter::ClaimsYielded), 1);
        assert_eq!(count(&world, B, Counter::ClaimsMoved), 1);
        assert!(matches!(world.sites[A].installed.get(&eid(5)), Some(Installed::Relayed(_))));
        world.pass(Duration::from_secs(31));
        assert_eq!(world.sites[A].installed.get(&eid(5)), None);
        assert_eq!(world.settled_at(eid(5)), Some(B));
    }
}

#[test]
fn packets_wait_from_the_claim_on_in_an_unannounced_move() {
    let mut world = with_agent(3);
    pass_with_packets(&mut world, 20);
    world.plug(A, eid(5), false);
    world.plug(B, eid(5), true);
    pass_with_packets(&mut world, 600);
    assert_eq!(world.settled_at(eid(5)), Some(B));
    // Two round trips to find the claim's holder, and 180 ms until ARP gives up: those packets met a dead link.
    assert!(world.lost.len() < 200, "{}", world.lost.len());
    let lost = world.lost.len();
    pass_with_packets(&mut world, 100);
    assert_eq!(world.lost.len(), lost);
}

#[test]
fn a_move_back_while_packets_are_still_sent_on_works_both_ways() {
    let mut world = with_agent(4);
    for site in [B, A, B] {
        world.plug(1 - site, eid(5), false);
        world.plug(site, eid(5), true);
        world.pass(Duration::from_secs(2));
        assert_eq!(world.settled_at(eid(5)), Some(site));
    }
}

#[test]
fn a_spoofed_packet_or_a_flood_of_them_takes_nothing_and_costs_little() {
    let mut world = with_agent(5);
    let before = world.server.holder(iid(), eid(5));
    for _ in 0..10_000 {
        world.speak(B, eid(5));
        world.pass(Duration::from_millis(1));
    }
    assert_eq!(world.server.holder(iid(), eid(5)), before);
    assert_eq!(world.settled_at(eid(5)), Some(A));
    let started = count(&world, B, Counter::ClaimsStarted);
    assert!((8..=11).contains(&started), "{started}");
    assert_eq!(count(&world, B, Counter::ClaimsRefused), started);
    assert_eq!(count(&world, A, Counter::ClaimsUpheld), started);
    // A real move still works afterwards.
    world.plug(A, eid(5), false);
    world.sites[B].present.insert(eid(5));
    for _ in 0..30 {
        world.speak(B, eid(5));
        world.pass(Duration::from_millis(100));
    }
    assert_eq!(world.settled_at(eid(5)), Some(B));
}

#[test]
fn a_dead_gateway_cannot_keep_an_agent() {
    let mut world = World::new(3, 6);
    world.plug(A, eid(5), true);
    world.pass(Duration::from_secs(1));
    // Nothing reaches the old gateway any more.
    world.sites[A].address = super::scripted::ip("203.0.113.99");
    world.plug(B, eid(5), true);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.sites[B].installed.get(&eid(5)), Some(&Installed::Local));
    assert_eq!(world.server.holder(iid(), eid(5)), Some(world.sites[B].address));
}

#[test]
fn lost_messages_delay_a_move_and_never_break_it() {
    for seed in 0..60 {
        let mut world = with_agent(seed);
        world.loss = 250;
        for turn in 0..6 {
            let (old, new) = (turn % 2, 1 - turn % 2);
            if turn % 3 == 2 {
                world.plug(old, eid(5), false);
                world.plug(new, eid(5), true);
            } else {
                // The API of a site whose agent a lost message hides has nothing to detach.
                let _ = world.with(old, |etr, now, out| etr.detach(iid(), eid(5), now, out));
                world.plug(old, eid(5), false);
                world.plug(new, eid(5), true);
                attach(&mut world, new, eid(5));
            }
            for _ in 0..150 {
                world.pass(Duration::from_millis(200));
                speak(&mut world);
            }
            assert_eq!(world.settled_at(eid(5)), Some(new), "seed {seed} turn {turn}");
        }
        world.loss = 0;
        world.pass(Duration::from_secs(40));
        assert_eq!(world.settled_at(eid(5)), Some(B - 1), "seed {seed}");
    }
}

#[test]
fn an_agent_that_detection_moves_too_often_freezes_but_an_order_still_moves_it() {
    let mut world = with_agent(7);
    let mut turns = 0;
    for turn in 0..12 {
        let new = 1 - turn % 2;
        world.plug(1 - new, eid(5), false);
        world.plug(new, eid(5), true);
        for _ in 0..30 {
            world.pass(Duration::from_millis(100));
            speak(&mut world);
        }
        if world.settled_at(eid(5)) != Some(new) {
            break;
        }
        turns += 1;
    }
    assert_eq!(turns, 5);
    assert!(world.server.frozen > 0);
    let there = if world.sites[A].present.contains(&eid(5)) { A } else { B };
    attach(&mut world, there, eid(5));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.settled_at(eid(5)), Some(there));
}

#[test]
fn two_sites_that_see_a_free_eid_at_the_same_time_agree_on_one() {
    for seed in 0..30 {
        let mut world = World::new(2, seed);
        world.plug(A, eid(5), true);
        world.speak(B, eid(5));
        for _ in 0..100 {
            world.pass(Duration::from_millis(100));
            world.speak(A, eid(5));
        }
        assert_eq!(world.settled_at(eid(5)), Some(A), "seed {seed}");
    }
}

#[test]
fn an_agent_that_falls_silent_is_withdrawn() {
    let mut world = with_agent(8);
    world.plug(A, eid(5), false);
    world.pass(Duration::from_secs(62));
    assert_eq!(world.server.holder(iid(), eid(5)), None);
    assert_eq!(world.sites[A].installed.get(&eid(5)), None);
    assert_eq!(count(&world, A, Counter::AgentsSilent), 1);
}

#[test]
fn a_restarted_control_plane_keeps_its_agents_unless_they_moved_meanwhile() {
    for moved in [false, true] {
        let mut world = with_agent(9);
        let (fresh, seen) = world.restart(A, eid(5));
        if moved {
            // While the control plane was dead.
            world.plug(B, eid(5), true);
            attach(&mut world, B, eid(5));
            world.silence(A, Duration::from_secs(3));
            world.plug(A, eid(5), false);
        }
        world.sites[A].etr = fresh;
        world.with(A, |etr, now, out| etr.tick(now, out));
        world.with(A, |etr, now, out| etr.adopt(seen, now, out));
        world.pass(Duration::from_secs(5));
        assert_eq!(world.settled_at(eid(5)), Some(if moved { B } else { A }), "moved: {moved}");
    }
}

/// Orders, cables, liars, dead control planes and lost messages in any sequence; and then peace.
#[test]
fn whatever_happened_an_agent_ends_up_where_its_host_is() {
    for seed in 0..150 {
        let mut world = World::new(3, seed);
        let mut random = Random::seeded(seed);
        for _ in 0..40 {
            let site = usize::try_from(random.below(3)).unwrap();
            match random.below(8) {
                0 => world.plug(site, eid(5), true),
                1 => world.plug(site, eid(5), false),
                2 => world.speak(site, eid(5)),
                3 => attach(&mut world, site, eid(5)),
                4 => {
                    let _ = world.with(site, |etr, now, out| etr.detach(iid(), eid(5), now, out));
                }
                5 => world.loss = random.below(3) * 200,
                6 => world.silence(site, Duration::from_millis(random.below(3000))),
                _ => world.pass(Duration::from_secs(random.below(40))),
            }
            world.pass(Duration::from_millis(random.below(300)));
        }
        world.loss = 0;
        let home = usize::try_from(random.below(3)).unwrap();
        (0..3).for_each(|site| world.plug(site, eid(5), site == home));
        // Longer than a freeze, a silence and a relay.
        for _ in 0..600 {
            world.pass(Duration::from_millis(500));
            speak(&mut world);
        }
        assert_eq!(world.settled_at(eid(5)), Some(home), "seed {seed}");
        world.pass(Duration::from_secs(120));
        assert_eq!(world.settled_at(eid(5)), Some(home), "seed {seed}, later");
    }
}
