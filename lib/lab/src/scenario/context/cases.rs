//! The cases by which the Map-Server's order is judged: those with a name, and as many again by dice.

use crate::relay::dice::Dice;

use super::formula::{Place, Said, Wanted, Wish};

/// One case: an EID of its own with some locators, and a question.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// The locators.
    pub places: Vec<Place>,
    /// What the question needs; it has no block at all when `plain`.
    pub wanted: Vec<Wanted>,
    /// Asked by somebody who does not know about context.
    pub plain: bool,
}

/// Cases by dice, beside those with a name.
const BY_DICE: u64 = 40;
const SILENT: Said = Said { latency: None, load: None, state: None, hardware: None, security: None };
const HEALTHY: Said =
    Said { latency: Some("low"), load: Some(100), state: Some("active"), hardware: None, security: None };

fn place(last: u8, said: Said) -> Place {
    Place { last, priority: 1, said }
}

fn case(name: &str, places: Vec<Place>, wanted: &[Wanted]) -> Case {
    Case { name: name.to_owned(), places, wanted: wanted.to_vec(), plain: false }
}

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = named();
    cases.extend((0..BY_DICE).map(by_dice));
    cases
}

fn named() -> Vec<Case> {
    let gpu = Said { hardware: Some(&["gpu"]), ..HEALTHY };
    let failed = Said { state: Some("failed"), ..HEALTHY };
    let with_load = |load| Said { load: Some(load), ..HEALTHY };
    let hard_gpu: Wanted = (Wish::Hardware(&["gpu"]), None);
    vec![
        case(
            "a healthy locator with a soft match",
            vec![place(1, HEALTHY), place(2, gpu)],
            &[(Wish::Hardware(&["gpu"]), Some(8))],
        ),
        case(
            "a hard match beside a better one without",
            vec![place(1, HEALTHY), place(2, Said { load: Some(900), ..gpu })],
            &[hard_gpu],
        ),
        case("nobody said anything", vec![place(1, SILENT), place(2, SILENT)], &[(Wish::Load(500), Some(3))]),
        case(
            "hardware that nobody knows of does not pass",
            vec![place(1, SILENT), place(2, gpu)],
            &[hard_gpu],
        ),
        case(
            "a load that nobody knows of passes",
            vec![place(1, SILENT), place(2, with_load(900))],
            &[(Wish::Load(500), None)],
        ),
        case("no match at all", vec![place(1, HEALTHY), place(2, SILENT)], &[hard_gpu]),
        case(
            "a failed one is nobody's",
            vec![place(1, failed), place(2, with_load(1000))],
            &[(Wish::Load(1000), Some(1))],
        ),
        Case {
            plain: true,
            ..case("a failed single-homed agent without context", vec![place(1, failed)], &[])
        },
        Case {
            plain: true,
            ..case("one failed of two, without context", vec![place(1, failed), place(2, HEALTHY)], &[])
        },
        case(
            "a tie goes by address",
            vec![place(9, HEALTHY), place(3, HEALTHY)],
            &[(Wish::Load(500), Some(1))],
        ),
        case(
            "within the spread of the first",
            vec![place(1, with_load(100)), place(2, with_load(300))],
            &[(Wish::Latency("high"), None)],
        ),
        case(
            "just beyond the spread of the first",
            vec![place(1, with_load(100)), place(2, with_load(304))],
            &[(Wish::Latency("high"), None)],
        ),
        case(
            "a spread group begins with its first, not with its neighbour",
            vec![place(1, with_load(0)), place(2, with_load(160)), place(3, with_load(320))],
            &[(Wish::Latency("high"), None)],
        ),
        case(
            "topology outweighs a little",
            vec![place(1, with_load(400)), Place { priority: 2, ..place(2, with_load(0)) }],
            &[(Wish::Latency("high"), None)],
        ),
        case(
            "fitness outweighs topology",
            vec![
                place(1, Said { state: Some("draining"), ..HEALTHY }),
                Place { priority: 2, ..place(2, HEALTHY) },
            ],
            &[(Wish::Latency("high"), None)],
        ),
        case(
            "the score stays between 0 and 1000",
            vec![
                place(1, Said { latency: Some("high"), load: Some(1000), state: Some("draining"), ..SILENT }),
                place(2, gpu),
            ],
            &[
                (Wish::Hardware(&["gpu"]), Some(15)),
                (Wish::Load(500), Some(15)),
                (Wish::Latency("low"), Some(15)),
            ],
        ),
    ]
}

fn by_dice(number: u64) -> Case {
    let mut dice = Dice(0x5eed_0000 + number * 7919);
    let places = 2 + dice.roll(4);
    let places = (0..places).map(|at| {
        let said = Said {
            latency: pick(&mut dice, &[None, Some("low"), Some("medium"), Some("high")]),
            load: pick(&mut dice, &[None, Some(0), Some(133), Some(467), Some(802), Some(1000)]),
            state: pick(
                &mut dice,
                &[
                    None,
                    Some("active"),
                    Some("idle"),
                    Some("busy"),
                    Some("migrating"),
                    Some("draining"),
                    Some("suspended"),
                    Some("failed"),
                ],
            ),
            hardware: pick(&mut dice, &[None, Some(&["gpu"][..]), Some(&["gpu", "h100"]), Some(&["nvme"])]),
            security: pick(&mut dice, &[None, Some(1), Some(3)]),
        };
        Place { last: 1 + at as u8 * 3, priority: 1 + dice.roll(2) as u8, said }
    });
    let places: Vec<Place> = places.collect();
    let wishes = [
        Wish::Hardware(&["gpu"]),
        Wish::Hardware(&["gpu", "h100"]),
        Wish::Latency("medium"),
        Wish::Load(500),
        Wish::Security(2),
        Wish::State(&["active", "idle"]),
    ];
    let wanted: Vec<Wanted> = (0..1 + dice.roll(3))
        .map(|_| {
            let weight = pick(&mut dice, &[None, Some(1), Some(8), Some(15)]);
            (pick(&mut dice, &wishes), weight)
        })
        .collect();
    Case { name: format!("by dice, number {number}"), places, wanted, plain: false }
}

fn pick<T: Copy>(dice: &mut Dice, choices: &[T]) -> T {
    choices[dice.roll(choices.len() as u64) as usize]
}
