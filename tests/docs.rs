//! The documents say what is: generated pages are current, links lead somewhere, verbs exist, claims name a proof.
//!
//! `docs/ops/counters.md`, `docs/ops/drop-reasons.md` and `docs/ops/lisp-counters.md` are written from the programs' own
//! catalogues of counters: `STERNA_WRITE_DOCS=1 cargo test -p sterna-tests --test docs` writes them, every other run
//! compares.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use sterna_config::Code;
use sterna_controlplane::{context, eid_api, etr, itr, lisp, server};
use sterna_dataplane::counters::catalogue;
use sterna_shm::{CounterDesc, Kind};

const WRITE: &str = "STERNA_WRITE_DOCS";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README, CHANGELOG and everything below docs/, as paths from the root.
fn pages() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("README.md"), PathBuf::from("CHANGELOG.md")];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

// ------------------------------------------------------------------------------------------- generated pages

const DO_NOT_EDIT: &str = "<!-- Generated from the dataplane's catalogue of counters; do not edit.\n\
    STERNA_WRITE_DOCS=1 cargo test -p sterna-tests --test docs -->\n";

/// A table of these counters.
fn table(out: &mut String, counters: &[CounterDesc]) {
    out.push_str("| name | means |\n|---|---|\n");
    for counter in counters {
        writeln!(out, "| `{}` | {} |", counter.name, counter.help.replace('|', "\\|")).unwrap();
    }
    out.push('\n');
}

fn of_kinds(kinds: &[Kind]) -> Vec<CounterDesc> {
    catalogue().into_iter().filter(|counter| kinds.contains(&counter.kind)).collect()
}

fn counters_page() -> String {
    let mut out = format!("# Counters\n\n{DO_NOT_EDIT}\n");
    out.push_str(
        "Every worker counts for every port, in shared memory that the control plane maps read-only.\n\
         `sterna show counters` sums the workers per port; `--all` also shows what is zero, and `--json` gives each \
         worker's counts.\n\
         Counters start at zero with the dataplane's process and survive the control plane.\n\n\
         ## The balance\n\n\
         The counters below are the terms of one equation that holds whenever no packet is on its way:\n\n\
         ```text\nrx + made = tx + punted + held + dropped\n```\n\n\
         `tx` counts when the transmit ring takes the frame.\n\
         A frame that the kernel then refuses with EBUSY is taken out of `tx_packets` again and counted as a drop.\n\
         [Troubleshooting](troubleshoot.md#the-balance) says how to read it.\n\n",
    );
    for (title, kinds) in [
        ("rx: packets that came in", [Kind::Rx]),
        ("made: packets that the gateway originated", [Kind::Made]),
        ("tx: packets that went out", [Kind::Tx]),
        ("punted: packets that the gateway consumed itself", [Kind::Punt]),
        ("held: packets that wait", [Kind::Held]),
    ] {
        writeln!(out, "### {title}\n").unwrap();
        table(&mut out, &of_kinds(&kinds));
    }
    out.push_str(
        "### dropped: one counter for each reason\n\nThey have [a page of their own](drop-reasons.md).\n\n",
    );
    out.push_str("## Beside the balance\n\n### Events and bytes, which only grow\n\n");
    table(&mut out, &of_kinds(&[Kind::Info]));
    out.push_str("### States, read about once a second\n\n");
    table(&mut out, &of_kinds(&[Kind::Gauge]));
    out.trim_end().to_owned() + "\n"
}

fn drops_page() -> String {
    let mut out = format!("# Drop reasons\n\n{DO_NOT_EDIT}\n");
    out.push_str(
        "Every packet that is dropped is counted under exactly one of these names.\n\
         It is counted on the port that the packet came in by; `drop_tx_ring_full` and `drop_tx_busy` on the port that \
         it should have left by.\n\
         `sterna show drops` shows those that are not zero, the most frequent first.\n\
         What to do about each stands in [troubleshooting](troubleshoot.md#what-a-drop-means).\n\
         The reasons that a packet alone can bring about each have a golden case in `tests/golden/`; \
         `grep -l NAME tests/golden/*/counters.toml` finds it.\n\n",
    );
    table(&mut out, &of_kinds(&[Kind::Drop]));
    out.trim_end().to_owned() + "\n"
}

/// What a Map-Server and Map-Resolver does; what it refuses says so itself.
const SERVER_DID: &[(&str, &str)] = &[
    ("registers", "Map-Registers that were authentic and not replayed."),
    ("records", "Records of those that were accepted, refreshes and withdrawals included."),
    ("changes", "Registrations that were new, changed, withdrawn or expired."),
    ("moves", "EIDs that went from one xTR to another."),
    ("expired", "Registrations that expired."),
    ("notifies", "Map-Notifies in answer to registers."),
    ("requests", "Map-Requests that were looked at."),
    ("replies", "Map-Replies with locators."),
    ("negatives", "Map-Replies without."),
    ("forwarded", "Map-Requests forwarded to an ETR."),
    ("forwarded_upstream", "Map-Requests forwarded to another Map-Server."),
    (
        "answered_for_parts",
        "Map-Requests answered for an ETR that did not ask for it, because others hold parts of its prefix.",
    ),
    ("subscribed", "Subscriptions confirmed, renewals included."),
    ("unsubscribed", "Subscriptions ended by the subscriber."),
    ("published", "Records published to subscribers."),
    ("retransmitted", "Messages sent again for want of an acknowledgement."),
    ("acknowledged", "Acknowledgements that were waited for."),
    ("contexts", "Contexts of registrations that were taken, refreshes included."),
    ("context_changes", "Changes of context, by messages or because their time was over."),
    ("context_quiet", "Changes of context that nobody had to be told of who was looked at."),
    ("filtered", "Map-Requests answered with a list that was filtered."),
    ("no_matches", "Map-Requests answered with no match."),
    ("asked_upstream", "Map-Requests asked for in our own name at a Map-Server that knows no context."),
];

/// The counters of the LISP roles: a title, and names with sentences.
fn lisp_counters() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let sentence = |text: String| {
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        let rest = letters.as_str();
        format!("{first}{rest}{}", if rest.ends_with('.') { "" } else { "." })
    };
    let refused = |refusal: &server::Refusal| (refusal.name(), refusal.to_string());
    let did = SERVER_DID.iter().map(|(name, help)| (*name, (*help).to_owned()));
    let dispatch = lisp::Counters::default();
    let all: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("dispatch: before any role looks", dispatch.iter().map(|(name, _, help)| (name, help)).collect()),
        ("itr", itr::Counter::ALL.iter().map(|of| (of.name(), of.sentence().to_owned())).collect()),
        ("etr", etr::Counter::ALL.iter().map(|of| (of.name(), of.sentence().to_owned())).collect()),
        (
            "server: Map-Server and Map-Resolver",
            did.chain(server::Refusal::ALL.iter().map(refused)).collect(),
        ),
        (
            "context: what agents report",
            context::StoreCounter::ALL.iter().map(|of| (of.name(), of.sentence().to_owned())).collect(),
        ),
        (
            "eid_api: agents at their gateway's address",
            eid_api::counters::Counter::ALL.iter().map(|of| (of.name(), of.sentence().to_owned())).collect(),
        ),
    ];
    let tidy = |(title, counters): (_, Vec<_>)| {
        (title, counters.into_iter().map(|(name, help)| (name, sentence(help))).collect())
    };
    all.into_iter().map(tidy).collect()
}

fn lisp_page() -> String {
    let mut out = format!(
        "# Counters of the LISP roles\n\n{}\n",
        DO_NOT_EDIT.replace("dataplane's catalogue", "roles' catalogues")
    );
    out.push_str(
        "Each thing that a role does, and each reason for which it refuses a message or a part of one, has a counter.\n\
         They start at zero with the control plane's process; `sterna show control` gives those that are not zero.\n\
         [Troubleshooting](troubleshoot.md#the-mapping-system) says which to look at.\n\n",
    );
    for (title, counters) in lisp_counters() {
        writeln!(out, "## {title}\n\n| name | means |\n|---|---|").unwrap();
        for (name, help) in counters {
            writeln!(out, "| `{name}` | {} |", help.replace('|', "\\|")).unwrap();
        }
        out.push('\n');
    }
    out.trim_end().to_owned() + "\n"
}

fn hold_current(path: &str, wanted: &str) {
    if std::env::var_os(WRITE).is_some_and(|value| value == "1") {
        std::fs::write(root().join(path), wanted).unwrap();
        return;
    }
    let present = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(
        present == wanted,
        "{path} is not what the code says. Run `{WRITE}=1 cargo test -p sterna-tests --test docs`, look at the \
         change with `git diff docs`, and commit it together with the code."
    );
}

#[test]
fn generated_pages_are_current() {
    hold_current("docs/ops/counters.md", &counters_page());
    hold_current("docs/ops/drop-reasons.md", &drops_page());
    hold_current("docs/ops/lisp-counters.md", &lisp_page());
}

#[test]
fn what_a_server_does_is_described() {
    let counted: Vec<&str> = server::Counters::default().all().map(|(name, _)| name).collect();
    let described = SERVER_DID.iter().map(|(name, _)| *name);
    let refused = server::Refusal::ALL.iter().map(|refusal| refusal.name());
    assert_eq!(described.chain(refused).collect::<Vec<_>>(), counted);
}

#[test]
fn the_mapping_systems_troubles_name_what_there_is() {
    let page = read("docs/ops/troubleshoot.md");
    let (_, after) = page.split_once("\n## The mapping system\n").unwrap();
    let part = after.split("\n## ").next().unwrap();
    let roles = lisp_counters();
    let mut known: BTreeSet<String> =
        roles.iter().flat_map(|(_, counters)| counters.iter().map(|(name, _)| (*name).to_owned())).collect();
    known.extend(catalogue().iter().map(|counter| counter.name.to_owned()));
    // Of the sockets.
    known.extend(["kernel_dropped", "policed"].map(str::to_owned));
    let manual = read("config/default.toml");
    let mut count = 0;
    for word in code(part).iter().flat_map(|span| span.split([' ', '=', ','])) {
        if word.contains('_') && word.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            count += 1;
            assert!(known.contains(word) || manual.contains(word), "nothing is called {word}");
        }
    }
    assert!(count > 30, "only {count} names were found: is the search broken?");
}

#[test]
fn every_drop_and_every_finding_has_a_cure() {
    let page = read("docs/ops/troubleshoot.md");
    for counter in of_kinds(&[Kind::Drop]) {
        let name = counter.name;
        assert!(page.contains(&format!("`{name}`")), "docs/ops/troubleshoot.md says nothing about {name}");
    }
    for code in Code::ALL {
        let text = code.as_str();
        let name = text.trim_start_matches("STERNA-");
        assert!(page.contains(&format!("`{name}`")), "docs/ops/troubleshoot.md says nothing about {text}");
    }
}

// ----------------------------------------------------------------------------------------------------- links

/// Targets of `[text](target)` outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 1 {
            continue;
        }
        let prose: String = part.split('`').step_by(2).collect();
        for after in prose.split("](").skip(1) {
            found.extend(after.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// The anchors of a page's headings, as the usual renderers make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title.chars().filter(kept).collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut dead = Vec::new();
    let mut count = 0;
    for page in pages() {
        let text = read(page.to_str().unwrap());
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let is_page = path.extension().is_some_and(|extension| extension == "md");
            let found = root().join(&path).exists();
            let known = found
                && (anchor.is_empty() || !is_page || anchors(&read(path.to_str().unwrap())).contains(anchor));
            if !known {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(count > 20, "only {count} links were found: is the search broken?");
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn the_readme_names_every_folder() {
    let readme = read("README.md");
    for entry in std::fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && !name.starts_with('.') && name != "target" {
            assert!(readme.contains(&format!("`{name}/`")), "README.md does not name the folder {name}/");
        }
    }
    for entry in std::fs::read_dir(root().join("lib")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("`lib/{name}/`")), "README.md does not name the folder lib/{name}/");
    }
}

#[test]
fn every_decision_is_in_the_index() {
    let index = read("docs/adr/README.md");
    for page in pages() {
        let name = page.file_name().unwrap().to_str().unwrap();
        if page.starts_with("docs/adr") && name != "README.md" {
            assert!(index.contains(&format!("({name})")), "docs/adr/README.md does not list {name}");
            let text = read(page.to_str().unwrap());
            for part in ["## Context", "## Decision", "## Consequences", "## What would change our mind"] {
                assert!(text.contains(part), "{} has no part \"{part}\"", page.display());
            }
        }
    }
}

// ----------------------------------------------------------------------------------------------------- verbs

/// The code of a page: fenced blocks and inline spans.
fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 1 {
            found.extend(part.lines().map(str::to_owned));
        } else {
            found.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// The words that follow each call of `sterna` in a piece of code.
fn calls(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("sterna ") {
        let before = code[..at].chars().next_back();
        if before.is_none_or(|c| c.is_whitespace() || c == '/') {
            let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            let words = code[at + "sterna ".len()..].split(' ').take(2);
            found.push(words.take_while(is_word).map(str::to_owned).collect());
        }
    }
    found
}

/// `sterna` as built last, if it is.
fn sterna() -> Option<PathBuf> {
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(3).unwrap();
    let built = ["debug", "release"].map(|profile| target.join(profile).join("sterna"));
    let time = |path: &PathBuf| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    built.into_iter().filter(|path| path.is_file()).max_by_key(time)
}

fn help(program: &Path, words: &[&str]) -> String {
    let output = Command::new(program).args(words).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_verb_that_is_written_of_exists() {
    let Some(program) = sterna() else {
        println!(
            "skipped: `sterna` is not built, so its verbs cannot be asked for; run `cargo build --bins` first"
        );
        return;
    };
    let verbs = help(&program, &[]);
    let parts = ["show", "lab"].map(|verb| (verb, help(&program, &[verb])));
    let knows = |text: &str, word: &str| {
        text.lines()
            .any(|line| line.trim_start().trim_start_matches("- ").split([' ', ':']).next() == Some(word))
    };
    let mut unknown = BTreeSet::new();
    let mut count = 0;
    for page in pages() {
        for call in code(&read(page.to_str().unwrap())).iter().flat_map(|code| calls(code)) {
            let Some(verb) = call.first().filter(|verb| !verb.is_empty() && !verb.starts_with('-')) else {
                continue;
            };
            count += 1;
            let second = call.get(1).filter(|word| !word.is_empty() && !word.starts_with('-'));
            let part = parts.iter().find(|(known, _)| known == verb);
            let known = knows(&verbs, verb)
                && second
                    .zip(part)
                    .is_none_or(|(word, (_, text))| knows(text, word) || text.contains(&format!("{word}:")));
            if !known {
                unknown.insert(format!("{}: sterna {}", page.display(), call.join(" ")));
            }
        }
    }
    assert!(count > 10, "only {count} calls of sterna were found: is the search broken?");
    let list: Vec<_> = unknown.into_iter().collect();
    assert!(list.is_empty(), "{} does not know:\n{}", program.display(), list.join("\n"));
}

#[test]
fn every_make_target_that_is_written_of_exists() {
    let makefile = read("Makefile");
    for page in pages() {
        for code in code(&read(page.to_str().unwrap())) {
            let Some(rest) = code.trim_start_matches("$ ").strip_prefix("make ") else { continue };
            let target = rest.split([' ', ',', '`']).next().unwrap();
            let known = makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
            assert!(known, "{}: the Makefile has no target {target}", page.display());
        }
    }
}

// ------------------------------------------------------------------------------------------------ compliance

/// A page of docs/compliance.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compliance {
    /// The number of an RFC, or the name of a draft.
    rfc: Option<u32>,
    draft: Option<String>,
    /// What the page covers, and where its wording comes from.
    about: String,
    must: Vec<Must>,
}

/// One requirement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Must {
    section: String,
    /// The requirement in our words.
    text: String,
    /// MUST or SHOULD.
    level: String,
    /// Whether section and wording were compared with the text itself.
    compared: bool,
    /// What shows it: `file`, `folder` or `file::test`.
    met: Option<Vec<String>>,
    /// Why it is not met, or does not apply.
    excused: Option<String>,
}

/// Why a proof is none.
fn fault(proof: &str) -> Option<String> {
    let (file, test) = proof.split_once("::").map_or((proof, None), |(file, test)| (file, Some(test)));
    if !root().join(file).exists() {
        return Some(format!("there is no {file}"));
    }
    let test = test?;
    (!read(file).contains(&format!("fn {test}("))).then(|| format!("{file} has no test {test}"))
}

#[test]
fn every_requirement_is_met_or_excused() {
    let mut faults = Vec::new();
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("docs/compliance")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let page: Compliance = toml::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!page.must.is_empty() && !page.about.is_empty(), "{} is empty", path.display());
        let name = match (page.rfc, page.draft) {
            (Some(rfc), None) => format!("rfc{rfc}"),
            (None, Some(draft)) => draft,
            _ => panic!("{}: either `rfc` or `draft` is wanted", path.display()),
        };
        assert_eq!(path.file_stem().unwrap().to_str(), Some(name.as_str()));
        let mut texts = BTreeSet::new();
        faults.extend(
            page.must
                .iter()
                .filter(|must| !texts.insert(&must.text))
                .map(|must| format!("twice: {}", must.text)),
        );
        for must in &page.must {
            let name = format!("{name} section {}: {}", must.section, must.text);
            if !["MUST", "SHOULD"].contains(&must.level.as_str()) {
                faults.push(format!("{name}: `level` is MUST or SHOULD"));
            }
            match (&must.met, &must.excused) {
                (Some(proofs), None) if !proofs.is_empty() => {
                    faults.extend(proofs.iter().filter_map(|p| fault(p)).map(|f| format!("{name}: {f}")));
                }
                (None, Some(reason)) if !reason.is_empty() => {}
                _ => faults.push(format!("{name}: exactly one of `met` and `excused` is wanted")),
            }
        }
        let unread = page.must.iter().filter(|must| !must.compared).count();
        println!("{name}: {} requirements, {unread} not compared with its own text", page.must.len());
        pages.insert(name);
    }
    let built = ["rfc9300", "rfc9301", "rfc9437", "s0-lisp-for-ai-agents"];
    assert_eq!(pages, BTreeSet::from(built.map(String::from)), "whatever is built has a page");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
