//! A case as it lies on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pcap_file::pcap::PcapReader;
use serde::Deserialize;
use sterna_config::{Config, Look};

use super::record::{self, Record};

/// Where the cases are.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// A frame that arrives.
#[derive(Clone)]
pub struct Arrival {
    /// When, since the case began.
    pub at_ns: u64,
    /// Index of the port.
    pub port: usize,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// One case.
#[derive(Clone)]
pub struct Case {
    /// Its folder's name.
    pub name: String,
    /// What it shows.
    pub sentence: String,
    /// The gateway.
    pub config: Config,
    /// What arrives, in order of time.
    pub arrivals: Vec<Arrival>,
    /// What the control plane says beside, in order of time.
    pub records: Vec<Record>,
    /// When the case ends.
    pub until_ns: u64,
    /// What must leave, by port.
    pub expected: BTreeMap<String, Vec<Vec<u8>>>,
    /// What must be counted, by port.
    pub counters: BTreeMap<String, BTreeMap<String, u64>>,
}

/// `counters.toml`.
#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    until_ms: u64,
    #[serde(flatten)]
    ports: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Case {
    /// Every case, by name.
    pub fn read_all() -> Vec<Case> {
        let entries = fs::read_dir(root()).expect("the cases' folder");
        let folders = entries.map(|entry| entry.expect("an entry").path());
        let mut folders: Vec<_> = folders.filter(|path| path.join("config.toml").exists()).collect();
        folders.sort();
        folders.iter().map(|folder| Case::read(folder)).collect()
    }

    fn read(folder: &Path) -> Case {
        let name = folder.file_name().expect("a folder's name").to_string_lossy().into_owned();
        let text = read(&folder.join("config.toml"));
        let sentence = text.lines().next().and_then(|line| line.strip_prefix("# "));
        let sentence =
            sentence.unwrap_or_else(|| panic!("{name}: the first line says what the case shows")).into();
        let config = sterna_config::parse(&text, &format!("{name}/config.toml"))
            .unwrap_or_else(|report| panic!("{name}: {}", report.render(Look::PLAIN)))
            .into_config();
        let counted: Counted = toml::from_str(&read(&folder.join("counters.toml")))
            .unwrap_or_else(|error| panic!("{name}/counters.toml: {error}"));
        let mut arrivals = Vec::new();
        let mut expected = BTreeMap::new();
        for (port, row) in config.ports.iter().enumerate() {
            let arriving = frames(&folder.join(format!("in-{}.pcap", row.name)));
            arrivals.extend(arriving.into_iter().map(|(at_ns, bytes)| Arrival { at_ns, port, bytes }));
            let leaving = frames(&folder.join(format!("out-{}.pcap", row.name)));
            expected.insert(row.name.clone(), leaving.into_iter().map(|(_, bytes)| bytes).collect());
        }
        arrivals.sort_by_key(|arrival| (arrival.at_ns, arrival.port));
        let known: Vec<&str> = config.ports.iter().map(|port| port.name.as_str()).collect();
        assert!(
            counted.ports.keys().all(|port| known.contains(&port.as_str())),
            "{name}: counters of no port"
        );
        let (until_ns, counters) = (counted.until_ms * 1_000_000, counted.ports);
        let records = record::read(folder);
        Case { name, sentence, config, arrivals, records, until_ns, expected, counters }
    }

    /// Whether the case expects this counter above zero.
    pub fn counts(&self, counter: &str) -> bool {
        self.counters.values().any(|port| port.get(counter).is_some_and(|value| *value > 0))
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Frames of a capture with their times; none when the file is not there.
fn frames(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let Ok(file) = fs::File::open(path) else {
        return Vec::new();
    };
    let mut reader = PcapReader::new(file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        frames.push((packet.timestamp.as_nanos() as u64, packet.data.into_owned()));
    }
    frames
}
