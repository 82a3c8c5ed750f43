//! The parts of a report: each is measured alone, has a file of its own and is drawn from it.

use serde::{Deserialize, Serialize};

/// A part of the report, in the order of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Loss against offered load, with the rates without loss and with little.
    Loss,
    /// Latency's percentiles at shares of the rate without loss.
    Latency,
    /// Rates against packet size.
    Sizes,
    /// Clocks against table size, beside the bare loop.
    Clocks,
    /// Forwarding's delays beside updates of the tables.
    Updates,
    /// Packets while a plane of a gateway dies and comes back.
    Restart,
    /// Packets while an agent changes its site.
    Move,
}

impl Section {
    /// All of them. Loss comes before latency, which goes by the rate that it finds.
    pub const ALL: [Section; 7] = [
        Section::Loss,
        Section::Latency,
        Section::Sizes,
        Section::Clocks,
        Section::Updates,
        Section::Restart,
        Section::Move,
    ];

    /// As it stands in arguments and file names.
    pub fn name(self) -> &'static str {
        match self {
            Section::Loss => "loss",
            Section::Latency => "latency",
            Section::Sizes => "sizes",
            Section::Clocks => "clocks",
            Section::Updates => "updates",
            Section::Restart => "restart",
            Section::Move => "move",
        }
    }

    /// Its head on the page.
    pub fn title(self) -> &'static str {
        match self {
            Section::Loss => "Loss against offered load",
            Section::Latency => "Latency",
            Section::Sizes => "Throughput against packet size",
            Section::Clocks => "Clocks against table size",
            Section::Updates => "Updates and delay",
            Section::Restart => "Restarts, millisecond by millisecond",
            Section::Move => "Moves, millisecond by millisecond",
        }
    }

    /// Whether it needs namespaces, and so root.
    pub fn needs_root(self) -> bool {
        !matches!(self, Section::Clocks | Section::Updates)
    }
}
