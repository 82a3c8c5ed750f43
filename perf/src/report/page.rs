//! The page: one file with everything in it.

use super::part;
use super::plot::chart::{COLOURS, escaped};
use super::raw::{Folder, Level, Raw};
use super::section::Section;
use anyhow::Result;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// What became of a part.
#[derive(Clone, Debug)]
pub enum State {
    /// It is there.
    Measured(Box<Raw>),
    /// It is not, and why.
    Missing(String),
}

/// A report as it stands.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every part, in the order of the page.
    pub parts: Vec<(Section, State)>,
    /// It was ended before its time, or is not at its end yet.
    pub interrupted: bool,
}

impl Report {
    fn measured(&self) -> impl Iterator<Item = &Raw> {
        self.parts.iter().filter_map(|(_, state)| match state {
            State::Measured(raw) => Some(raw.as_ref()),
            State::Missing(_) => None,
        })
    }

    /// Parts that are not there.
    pub fn missing(&self) -> Vec<Section> {
        let missing = self.parts.iter().filter(|(_, state)| matches!(state, State::Missing(_)));
        missing.map(|(section, _)| *section).collect()
    }

    /// The page, from the raw files' data and the logs beside them in a folder.
    ///
    /// # Errors
    /// Data that are not what their file says; with the path.
    pub fn html(&self, folder: &Folder) -> Result<String> {
        let mut body = self.head();
        body.push_str("<main>\n");
        for (section, state) in &self.parts {
            let name = section.name();
            // Writing to a String cannot fail.
            let _ = writeln!(body, "<section id=\"part-{name}\"><h2>{}</h2>", escaped(section.title()));
            match state {
                State::Measured(raw) => body.push_str(&measured(folder, raw)?),
                State::Missing(why) => {
                    let _ = writeln!(body, "<p class=\"missing\">Not measured: {}</p>", escaped(why));
                }
            }
            body.push_str("</section>\n");
        }
        Ok(format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}{}</style></head>\n<body>\n{body}\
             </main><footer>Made by sterna-perf {} (format {}).</footer>\n</body></html>\n",
            self.title(),
            colours(),
            env!("CARGO_PKG_VERSION"),
            super::raw::FORMAT,
        ))
    }

    fn title(&self) -> &'static str {
        if self.missing().is_empty() && !self.interrupted {
            "Sterna measured"
        } else {
            "Sterna measured (partial)"
        }
    }

    fn head(&self) -> String {
        let mut head = format!("<header><h1>{}</h1>\n", self.title());
        let levels: Vec<Level> = self.measured().map(|raw| raw.level).collect();
        if levels.contains(&Level::Quick) {
            head.push_str(
                "<p class=\"partial\">Quick level: to see that it works. Its trials are too short and too few for \
                 figures that anybody should quote.</p>\n",
            );
        }
        let missing: Vec<&str> = self.missing().iter().map(|section| section.title()).collect();
        if self.interrupted || !missing.is_empty() {
            let why = if self.interrupted { "it was ended before its time" } else { "parts are not there" };
            let list = if missing.is_empty() { "nothing".to_owned() } else { missing.join("; ") };
            let _ = writeln!(
                head,
                "<p class=\"partial\" id=\"partial\"><b>Partial</b>: {why}. Missing: {}.</p>",
                escaped(&list)
            );
        }
        head.push_str(&self.fingerprint());
        head.push_str("<nav aria-label=\"Parts\"><ul>");
        for (section, _) in &self.parts {
            let _ = write!(
                head,
                "<li><a href=\"#part-{}\">{}</a></li>",
                section.name(),
                escaped(section.title())
            );
        }
        head.push_str("</ul></nav></header>\n");
        head
    }

    fn fingerprint(&self) -> String {
        let Some(first) = self.measured().next() else { return String::new() };
        let machine = &first.machine;
        let mut rows = vec![
            ("Processor", format!("{}, {} online", machine.cpu, machine.cores)),
            ("Clock", format!("TSC {:.3} GHz", machine.clocks_per_ns)),
            ("Kernel", format!("Linux {}", machine.kernel)),
            (
                "Virtual",
                if machine.is_virtual { "yes: the kernel sees a hypervisor" } else { "no" }.to_owned(),
            ),
            ("Governor", machine.governor.clone().unwrap_or_else(|| "not the kernel's choice".to_owned())),
            ("Steal", self.steal()),
            ("Driver mode", self.driver()),
        ];
        let told = |(name, says): (&String, &String)| format!("{name}: {says}");
        let mitigations: Vec<String> = machine.mitigations.iter().map(told).collect();
        rows.push((
            "Mitigations",
            if mitigations.is_empty() { "none told".to_owned() } else { mitigations.join("; ") },
        ));
        if self.measured().any(|raw| !raw.machine.is_like(machine)) {
            rows.push((
                "Attention",
                "parts are from different machines; the one of the first part is shown".to_owned(),
            ));
        }
        let cells: String = rows
            .iter()
            .map(|(name, says)| format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escaped(says)))
            .collect();
        format!("<h2>Machine</h2><table class=\"facts\"><tbody>\n{cells}</tbody></table>\n")
    }

    /// Stolen time by part.
    fn steal(&self) -> String {
        let each: Vec<String> =
            self.measured().map(|raw| format!("{} {:.1} %", raw.section.name(), raw.steal * 100.0)).collect();
        format!("of the processors' time in each part: {}", each.join(", "))
    }

    /// The measured gateways' ports, each once.
    fn driver(&self) -> String {
        let mut told: Vec<String> = Vec::new();
        for mode in self.measured().flat_map(|raw| &raw.driver).map(ToString::to_string) {
            if !told.contains(&mode) {
                told.push(mode);
            }
        }
        if told.is_empty() { "no port was measured".to_owned() } else { told.join("; ") }
    }
}

fn measured(folder: &Folder, raw: &Raw) -> Result<String> {
    let mut html = String::new();
    for figure in part::figures(folder, raw)? {
        html.push_str(&figure.html()?);
    }
    let logs: Vec<String> = logs(raw).iter().map(|log| link(log)).collect();
    // Folded: all parts measured in full are dozens.
    let logs = match logs.len() {
        0 => String::new(),
        count => format!(
            "<details class=\"about\"><summary>{count} HDR logs</summary><p>{}</p></details>",
            logs.join(", ")
        ),
    };
    let _ = writeln!(
        html,
        "<p class=\"about\">Level {}; took {:.0} s; {:.1} % of the processors' time was stolen. Raw: {}. Again:</p>\
         <pre>{}</pre>{logs}",
        raw.level.name(),
        raw.took_s,
        raw.steal * 100.0,
        link(&format!("{}.json", raw.section.name())),
        escaped(&raw.command)
    );
    Ok(html)
}

fn link(name: &str) -> String {
    format!("<a href=\"raw/{0}\">{0}</a>", escaped(name))
}

/// Names of the logs beside a raw file.
fn logs(raw: &Raw) -> Vec<String> {
    match raw.section {
        Section::Latency => {
            let data = raw.data::<part::latency::Latency>().ok();
            let loads = data.into_iter().flat_map(|data| data.loads);
            loads.flat_map(|load| load.trials).map(|trial| trial.log).collect()
        }
        _ => Vec::new(),
    }
}

/// The style's colours in place of the pictures' own, so that they suit the paper.
fn colours() -> String {
    let mut style = String::new();
    for (number, colour) in COLOURS.iter().enumerate() {
        let code = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        let _ = writeln!(
            style,
            "svg [stroke=\"{code}\"]{{stroke:var(--c{number})}} svg [fill=\"{code}\"]{{fill:var(--c{number})}}"
        );
    }
    style
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;
    use std::path::Path;

    #[test]
    fn a_page_without_anything_says_so_and_names_what_is_missing() {
        let parts = Section::ALL.map(|section| (section, State::Missing("no <root>".to_owned()))).to_vec();
        let html = Report { parts, interrupted: true }.html(&Folder::at(Path::new("/nowhere"))).unwrap();
        assert!(html.contains("<b>Partial</b>: it was ended before its time"), "{html}");
        for section in Section::ALL {
            assert!(html.contains(section.title()), "{}", section.title());
        }
        assert!(html.contains("Not measured: no &lt;root&gt;"), "{html}");
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("<script"), "{html}");
    }
}
