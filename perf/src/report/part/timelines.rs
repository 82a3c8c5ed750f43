//! What became of packets around an event, in bins of a millisecond.

use crate::report::plot::axis::Axis;
use crate::report::plot::chart::{Chart, GREY, Mark, RED, Series, Style};
use crate::report::plot::figure::{Figure, Table};
use crate::report::section::Section;
use crate::samples::Samples;
use serde::{Deserialize, Serialize};
use sterna_lab::traffic::episode::Episode;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timelines {
    /// What did not hold meanwhile; such a run shows what happened, and its times count for nothing.
    pub faults: Vec<String>,
    /// In the order in which they happened.
    pub episodes: Vec<Episode>,
}

/// Sums of an episode.
struct Sums {
    due: u64,
    arrived: u64,
    lost: u64,
    /// The most that were held at once.
    held: u32,
    /// The longest time in which none arrived, ms.
    gap: usize,
}

impl Sums {
    fn of(episode: &Episode) -> Sums {
        let sum = |list: &[u32]| list.iter().map(|count| u64::from(*count)).sum();
        let bins = &episode.passage;
        let (mut gap, mut longest) = (0, 0);
        for arrived in &bins.arrived {
            gap = if *arrived == 0 { gap + 1 } else { 0 };
            longest = longest.max(gap);
        }
        Sums {
            due: sum(&bins.due),
            arrived: sum(&bins.arrived),
            lost: sum(&bins.lost),
            held: bins.held.iter().copied().max().unwrap_or(0),
            gap: longest,
        }
    }

    /// What makes one worse than another of its kind.
    fn weight(&self) -> (u64, usize, u32) {
        (self.lost, self.gap, self.held)
    }
}

/// What is shown of the time behind the last mark, ms.
const BEHIND: f64 = 120.0;

impl Timelines {
    /// What kinds of events there are, each with its ways: in order.
    fn kinds(&self) -> Vec<(&str, &str)> {
        let mut kinds: Vec<(&str, &str)> = Vec::new();
        for episode in &self.episodes {
            let kind = (episode.what.as_str(), episode.way.as_str());
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn of_kind(&self, (what, way): (&str, &str)) -> Vec<&Episode> {
        self.episodes.iter().filter(|episode| episode.what == what && episode.way == way).collect()
    }

    /// Losses and gaps by kind, one value an event.
    pub fn samples(&self, section: Section) -> Vec<Samples> {
        let mut all = Vec::new();
        for kind in self.kinds() {
            let sums: Vec<Sums> = self.of_kind(kind).into_iter().map(Sums::of).collect();
            let key = |figure: &str| format!("{figure}, {} {} {}", section.name(), kind.0, kind.1);
            let lost = sums.iter().map(|sums| sums.lost as f64).collect();
            all.push(Samples::lower(key("packets lost"), "packets", lost));
            let gaps = sums.iter().map(|sums| sums.gap as f64).collect();
            all.push(Samples::lower(key("longest gap"), "ms", gaps));
        }
        all
    }

    /// A picture of every kind: of the event that was worst.
    pub fn figures(&self, section: Section) -> Vec<Figure> {
        let numbered = self.kinds().into_iter().enumerate();
        numbered
            .filter_map(|(number, kind)| {
                let all = self.of_kind(kind);
                let worst = all.iter().max_by_key(|episode| Sums::of(episode).weight()).copied()?;
                Some(self.figure(section, number, worst, &all))
            })
            .collect()
    }

    fn figure(&self, section: Section, number: usize, worst: &Episode, all: &[&Episode]) -> Figure {
        let many = if all.len() > 1 { format!(", the worst of {}", all.len()) } else { String::new() };
        let Episode { way, rate, .. } = worst;
        let faults: String = self.faults.iter().map(|fault| format!(" It did not hold: {fault}.")).collect();
        Figure {
            id: format!("{}-{number}", section.name()),
            chart: chart(section, worst, &many),
            caption: format!(
                "{rate} packets a second {way}, in bins of 1 ms from the event. Held: on their way for a millisecond or \
                 longer at the end of the bin, and arrived later. Lost: due in the bin, and never arrived.{faults}"
            ),
            table: Some(table(all)),
        }
    }
}

/// Up to when an episode is drawn: what follows its last mark or its last trouble is calm.
fn end(episode: &Episode) -> f64 {
    let bins = &episode.passage;
    let whole = episode.from_ms + bins.due.len() as f64;
    let troubled = bins.held.iter().zip(&bins.lost).rposition(|(held, lost)| *held + *lost > 0);
    let last = episode.marks.iter().map(|mark| mark.at_ms).fold(0.0, f64::max);
    let trouble = troubled.map_or(0.0, |bin| episode.from_ms + bin as f64);
    // A straggler much later is in the numbers.
    whole.min(last.max(trouble.min(last + 5.0 * BEHIND)) + BEHIND)
}

fn chart(section: Section, episode: &Episode, many: &str) -> Chart {
    let bins = &episode.passage;
    let until = end(episode);
    let at = |bin: usize| episode.from_ms + bin as f64 + 0.5;
    let points = |list: &[u32], zeroes: bool| -> Vec<(f64, f64)> {
        let all = list.iter().enumerate().map(|(bin, count)| (at(bin), f64::from(*count)));
        all.filter(|(ms, count)| *ms <= until && (zeroes || *count > 0.0)).collect()
    };
    let most = [&bins.arrived, &bins.held, &bins.lost].iter().flat_map(|list| list.iter()).max();
    let noun = if section == Section::Move { "move" } else { "restart" };
    Chart {
        title: format!("{noun}, {}: packets {}{many}", episode.what, episode.way),
        about: "Packets that arrived, were held and were lost in every millisecond around the event."
            .to_owned(),
        x: Axis::linear("time from the event, ms", episode.from_ms.floor(), until),
        y: Axis::linear("packets per ms", 0.0, f64::from(*most.unwrap_or(&1)) * 1.15),
        series: vec![
            Series::new("held", 5, Style::Line, points(&bins.held, true)),
            Series::new("arrived", 0, Style::Line, points(&bins.arrived, true)),
            Series::new("lost", RED, Style::Sticks, points(&bins.lost, false)),
        ],
        marks: episode.marks.iter().map(|mark| Mark::upright(mark.at_ms, mark.what.as_str(), GREY)).collect(),
    }
}

fn table(all: &[&Episode]) -> Table {
    let mut table =
        Table::new(&["event", "due", "arrived", "lost", "most held at once", "longest gap, ms", "marks"]);
    for (number, episode) in all.iter().enumerate() {
        let Sums { due, arrived, lost, held, gap } = Sums::of(episode);
        let marks: Vec<String> =
            episode.marks.iter().map(|mark| format!("{} {:.1} ms", mark.what, mark.at_ms)).collect();
        let counts = [due, arrived, lost, u64::from(held), gap as u64].map(|count| count.to_string());
        let mut row = vec![(number + 1).to_string()];
        row.extend(counts);
        row.push(marks.join(", "));
        table.rows.push(row);
    }
    table
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;
    use sterna_lab::traffic::episode::Mark;
    use sterna_lab::traffic::passage::Passage;

    fn episode(lost: u32) -> Episode {
        Episode {
            what: "announced".to_owned(),
            way: "to the agent".to_owned(),
            rate: 5000,
            from_ms: -2.5,
            marks: vec![Mark::new(0.0, "begins")],
            passage: Passage {
                due: vec![5; 6],
                arrived: vec![5, 5, 0, 0, 15 - lost, 5],
                held: vec![0, 0, 5, 10, 0, 0],
                lost: vec![0, 0, lost, 0, 0, 0],
            },
        }
    }

    #[test]
    fn the_worst_of_a_kind_is_drawn_and_all_are_counted() {
        let timelines =
            Timelines { faults: vec!["a step".to_owned()], episodes: vec![episode(0), episode(3)] };
        let figures = timelines.figures(Section::Move);
        assert_eq!(figures.len(), 1);
        assert!(figures[0].chart.title.ends_with("the worst of 2"), "{}", figures[0].chart.title);
        assert_eq!(figures[0].chart.series[2].points, [(0.0, 3.0)]);
        assert_eq!(figures[0].table.as_ref().unwrap().rows[1][1..6], ["30", "27", "3", "10", "2"]);
        assert!(figures[0].caption.contains("did not hold: a step"));
        let samples = timelines.samples(Section::Move);
        assert_eq!(samples[0].values, [0.0, 3.0]);
        assert_eq!(samples[1].values, [2.0, 2.0]);
    }
}
