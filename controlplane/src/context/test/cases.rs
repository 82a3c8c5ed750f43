//! The cases, most of them with what a person computed from the text.

use super::{Case, Spoken, Wish};

/// Nothing is known of it.
fn unknown() -> Spoken {
    Spoken { priority: 1, ..Spoken::default() }
}

/// Low latency, no load, active: 650.
fn healthy() -> Spoken {
    Spoken { latency: Some("low"), load: Some(0), state: Some("active"), ..unknown() }
}

fn state(name: &'static str) -> Spoken {
    Spoken { state: Some(name), ..healthy() }
}

fn load(permille: u16) -> Spoken {
    Spoken { load: Some(permille), ..healthy() }
}

fn latency(name: &'static str) -> Spoken {
    Spoken { latency: Some(name), ..healthy() }
}

fn gpu(one: Spoken) -> Spoken {
    Spoken { gpu: Some(true), ..one }
}

fn path(rtt_us: u32, loss: u16) -> Spoken {
    Spoken { path: Some((rtt_us, loss)), ..healthy() }
}

fn at(priority: u8, one: Spoken) -> Spoken {
    Spoken { priority, ..one }
}

fn case(
    name: &'static str,
    locators: &[Spoken],
    wishes: &[Wish],
    by_hand: Option<&[(usize, u8, u16)]>,
) -> Case {
    let (locators, wishes) = (locators.to_vec(), wishes.to_vec());
    Case { name, locators, wishes, weight: 200, spread: 50, by_hand: by_hand.map(<[_]>::to_vec) }
}

pub(super) fn of_one_locator() -> Vec<Case> {
    let one = |name, locator, score| case(name, &[locator], &[], Some(&[(0, 1, score)]));
    vec![
        one("nothing known", unknown(), 275),
        one("healthy", healthy(), 650),
        one("medium latency", latency("medium"), 500),
        one("high latency", latency("high"), 300),
        one("unknown latency", Spoken { latency: None, ..healthy() }, 450),
        one("load that is no multiple of four", load(999), 401),
        one("a load of three counts nothing", load(3), 650),
        one("full load", load(1000), 400),
        one("unknown load", Spoken { load: None, ..healthy() }, 525),
        one("idle", state("idle"), 650),
        one("busy", state("busy"), 550),
        one("migrating", state("migrating"), 450),
        one("draining", state("draining"), 250),
        one("unknown state", state("unknown"), 600),
        one(
            "the worst that may be used",
            Spoken { latency: Some("high"), load: Some(1000), ..state("draining") },
            0,
        ),
        one("a round trip of 99 us counts nothing", path(99, 0), 650),
        one("a round trip of 5 ms", path(5000, 0), 600),
        one("a round trip of a second counts 200", path(1_000_000, 0), 450),
        one("loss", path(0, 125), 525),
        one("all lost", path(0, 1000), 0),
        case(
            "failed and single, without context",
            &[Spoken { state: Some("failed"), ..unknown() }],
            &[],
            Some(&[]),
        ),
        case("suspended", &[state("suspended")], &[], Some(&[])),
        case("never sent to", &[at(255, healthy())], &[], Some(&[])),
        case(
            "nobody goes above 1000",
            &[gpu(healthy())],
            &[Wish::RatherGpu(15), Wish::RatherLoad(0, 15), Wish::RatherLatency("low", 15)],
            Some(&[(0, 1, 1000)]),
        ),
        case(
            "the clamp comes at the end",
            &[path(30_000, 900)],
            &[Wish::RatherLoad(0, 15)],
            Some(&[(0, 1, 0)]),
        ),
    ]
}

pub(super) fn of_several() -> Vec<Case> {
    let soft = [Wish::RatherGpu(8)];
    let nothing_known = [unknown(), unknown()];
    vec![
        case("a tie shares", &[healthy(), healthy()], &[], Some(&[(0, 1, 650), (1, 1, 650)])),
        case("50 points share", &[load(200), load(0)], &[], Some(&[(1, 1, 650), (0, 1, 600)])),
        case("51 points do not", &[load(204), load(0)], &[], Some(&[(1, 1, 650), (0, 2, 599)])),
        // 0, 40 and 80 points behind: the third is measured from the first of its group, not from the second.
        case(
            "a group is measured from its first",
            &[load(320), load(160), load(0)],
            &[],
            Some(&[(2, 1, 650), (1, 1, 610), (0, 2, 570)]),
        ),
        case("three groups", &[state("draining"), load(0), state("busy"), load(100)], &[], None),
        case("one priority is 200 points", &[at(2, healthy()), at(1, latency("high"))], &[], None),
        case(
            "two priorities are 400, which 350 points of fitness almost make good",
            &[at(3, healthy()), at(1, latency("high"))],
            &[],
            Some(&[(1, 1, 300), (0, 1, 650)]),
        ),
        case(
            "fitness and topology can meet",
            &[at(2, healthy()), at(1, state("migrating"))],
            &[],
            Some(&[(0, 1, 650), (1, 1, 450)]),
        ),
        case(
            "a healthy one with a soft match",
            &[gpu(healthy()), healthy()],
            &soft,
            Some(&[(0, 1, 730), (1, 2, 570)]),
        ),
        case(
            "a soft match does not help who is busy enough",
            &[gpu(state("migrating")), healthy()],
            &soft,
            None,
        ),
        case(
            "an unknown preference counts as unmet",
            &[Spoken { gpu: Some(false), ..healthy() }, healthy()],
            &soft,
            None,
        ),
        case(
            "a weight of 0 is 4",
            &[gpu(healthy()), healthy()],
            &[Wish::RatherGpu(0)],
            Some(&[(0, 1, 690), (1, 2, 610)]),
        ),
        case("hardware must be known", &[gpu(unknown()), unknown()], &[Wish::MustGpu], Some(&[(0, 1, 275)])),
        case("nobody has the hardware", &nothing_known, &[Wish::MustGpu], Some(&[])),
        case(
            "security must be known",
            &[Spoken { level: Some(3), ..healthy() }, Spoken { level: Some(1), ..healthy() }, healthy()],
            &[Wish::MustLevel(2)],
            Some(&[(0, 1, 650)]),
        ),
        case("an unknown load passes", &[load(501), unknown()], &[Wish::MustLoad(500)], Some(&[(1, 1, 275)])),
        case("a load just so passes", &[load(500)], &[Wish::MustLoad(500)], Some(&[(0, 1, 525)])),
        case(
            "an unknown latency passes",
            &[latency("high"), unknown()],
            &[Wish::MustLatency("medium")],
            Some(&[(1, 1, 275)]),
        ),
        case(
            "the very class passes",
            &[latency("medium")],
            &[Wish::MustLatency("medium")],
            Some(&[(0, 1, 500)]),
        ),
        case(
            "an unknown state passes",
            &[state("busy"), unknown()],
            &[Wish::MustState("active")],
            Some(&[(1, 1, 275)]),
        ),
        case("unknown attributes share", &nothing_known, &[], Some(&[(0, 1, 275), (1, 1, 275)])),
        case("failed beside healthy", &[state("failed"), healthy()], &[], Some(&[(1, 1, 650)])),
        case("the near one is better by more than the spread", &[path(20_000, 0), path(100, 0)], &[], None),
        case(
            "loss moves flows away",
            &[path(100, 125), path(3000, 0)],
            &[],
            Some(&[(1, 1, 620), (0, 2, 524)]),
        ),
        case(
            "one that is never sent to is left behind",
            &[at(255, healthy()), unknown()],
            &[],
            Some(&[(1, 1, 275)]),
        ),
        Case {
            spread: 0,
            ..case(
                "without a spread only ties share",
                &[load(4), load(0), load(3)],
                &[],
                Some(&[(1, 1, 650), (2, 1, 650), (0, 2, 649)]),
            )
        },
        Case {
            weight: 0,
            ..case(
                "without topology only fitness counts",
                &[at(1, state("busy")), at(200, healthy())],
                &[],
                Some(&[(1, 1, 650), (0, 2, 550)]),
            )
        },
        Case {
            weight: 1000,
            ..case(
                "with much topology only priorities count",
                &[at(2, healthy()), at(1, state("draining"))],
                &[],
                None,
            )
        },
    ]
}
