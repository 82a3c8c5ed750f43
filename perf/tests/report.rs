//! A report from recorded data, opened in a browser without a screen; what is wrong with such data is named; and two
//! reports compared.
//!
//! The data in `recorded/` are those of one quick run, to draw from; as figures they say nothing. Where Chromium is
//! missing the test of the page prints `SKIP` and the reason.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Every picture of a whole report.
const FIGURES: [&str; 14] = [
    "loss",
    "latency",
    "sizes",
    "sizes-bits",
    "clocks",
    "updates",
    "restart-0",
    "restart-1",
    "move-0",
    "move-1",
    "move-2",
    "move-3",
    "move-4",
    "move-5",
];

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

fn perf(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sterna-perf")).args(arguments).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A copy of the recorded raw files that may be changed.
fn copied(into: &Path) {
    fs::create_dir_all(into.join("raw")).unwrap();
    for entry in fs::read_dir(recorded().join("raw")).unwrap().flatten() {
        fs::copy(entry.path(), into.join("raw").join(entry.file_name())).unwrap();
    }
}

fn drawn(from: &Path, out: &Path) -> (Output, String) {
    let done = perf(&["report", "--from", from.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let page = fs::read_to_string(out.join("index.html")).unwrap_or_default();
    (done, page)
}

/// What the browser tells: a page beside the report's looks at it in frames of two widths.
const HARNESS: &str = include_str!("harness.html");

/// Opens a page in Chromium; what the harness saw, and what the browser said on its console. None without Chromium.
fn opened(page: &str, folder: &Path) -> Option<(Value, Vec<String>)> {
    if Command::new("chromium").arg("--version").output().is_err() {
        println!("SKIP: chromium is missing: `make deps` installs it");
        return None;
    }
    let harness = folder.join("harness.html");
    let literal = serde_json::to_string(page).unwrap().replace("</script", "<\\/script");
    fs::write(&harness, HARNESS.replace("PAGE", &literal)).unwrap();
    let done = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .args([
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=20000",
            "--window-size=1400,1000",
        ])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}", harness.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&done.stdout).into_owned();
    let start = dom.find("<pre id=\"told\">").unwrap_or_else(|| panic!("{}", words(&done))) + 15;
    let told = &dom[start..start + dom[start..].find("</pre>").unwrap()];
    let told = told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let told =
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}: {}", words(&done)));
    let console = words(&done).lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Some((told, console))
}

#[test]
fn a_whole_report_is_right_on_a_screen_and_on_a_telephone() {
    let temporary = tempfile::tempdir().unwrap();
    let (done, page) = drawn(&recorded(), temporary.path());
    assert!(done.status.success(), "{}", words(&done));
    assert!(
        !page.contains("<script") && !page.contains("http:") && !page.contains("https:"),
        "it can fetch nothing"
    );
    let Some((told, console)) = opened(&page, temporary.path()) else { return };
    assert_eq!(console, Vec::<String>::new());
    assert_eq!(told["errors"], serde_json::json!([]));
    for width in ["1280", "390"] {
        let seen = &told["widths"][width];
        assert_eq!(seen["fetched"], serde_json::json!([]), "{width}");
        assert!(seen["wide"].as_u64() <= seen["inside"].as_u64(), "{width}: it runs out: {seen:#}");
        assert_eq!(seen["partial"], false);
        let figures = seen["figures"].as_object().unwrap();
        assert_eq!(figures.len(), FIGURES.len(), "{:?}", figures.keys());
        for name in FIGURES {
            let figure = &figures[name];
            assert_eq!(figure["svgs"], 1, "{width} {name}: one picture for each width: {figure}");
            assert!(figure["drawn"].as_u64() >= Some(2), "{width} {name}: {figure}");
            assert!(
                figure["letters"].as_u64() >= Some(6) && figure["keys"].as_u64() >= Some(2),
                "{name}: {figure}"
            );
            assert!(figure["least"].as_f64() >= Some(9.0), "{width} {name}: letters too small: {figure}");
            assert_eq!(
                figure["outside"],
                serde_json::json!([]),
                "{width} {name}: letters outside the picture"
            );
            assert_eq!(figure["titled"], true, "{name}");
        }
    }
}

#[test]
fn what_is_missing_is_named_and_the_page_is_partial() {
    let temporary = tempfile::tempdir().unwrap();
    let (from, out) = (temporary.path().join("from"), temporary.path().join("out"));
    copied(&from);
    fs::remove_file(from.join("raw/move.json")).unwrap();
    let (done, page) = drawn(&from, &out);
    assert!(!done.status.success() && words(&done).contains("move not measured"), "{}", words(&done));
    assert!(
        page.contains("id=\"partial\"") && page.contains("Missing: Moves, millisecond by millisecond"),
        "{page}"
    );
    assert!(page.contains("Not measured: the folder has no raw/move.json"));
    // The raw files and the logs went along.
    assert!(out.join("raw/latency-encap-90-1.hlog").is_file() && out.join("raw/loss.json").is_file());
    let Some((told, console)) = opened(&page, temporary.path()) else { return };
    assert_eq!((told["widths"]["390"]["partial"].as_bool(), console.len()), (Some(true), 0));
}

#[test]
fn what_cannot_be_read_is_named_with_path_and_place() {
    let temporary = tempfile::tempdir().unwrap();
    copied(temporary.path());
    let out = temporary.path().join("out");
    let loss = temporary.path().join("raw/loss.json");
    let log = temporary.path().join("raw/latency-encap-50-1.hlog");
    let (whole, whole_log) = (fs::read_to_string(&loss).unwrap(), fs::read_to_string(&log).unwrap());
    for (path, text, says) in [
        (&loss, whole[..100].to_owned(), "line 1 column"),
        (&loss, whole.replace("\"ndr_pps\"", "\"other\""), "missing field `ndr_pps`"),
        (&loss, whole.replace("\"format\":1", "\"format\":2"), "its format is 2"),
        (&log, format!("{whole_log}rubbish\n"), "line"),
        (&log, String::new(), "no values"),
    ] {
        fs::write(path, text).unwrap();
        let (done, page) = drawn(temporary.path(), &out);
        let told = words(&done);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(!done.status.success() && told.contains(name) && told.contains(says), "{told}");
        assert!(page.is_empty(), "no page from what is not understood");
        fs::write(&loss, &whole).unwrap();
        fs::write(&log, &whole_log).unwrap();
    }
}

#[test]
fn wrong_arguments_are_errors() {
    for (arguments, says) in [
        (&["report", "--from", "/nowhere/at/all"][..], "/nowhere/at/all has no folder raw"),
        (&["report", "--only", "everything"], "invalid value 'everything'"),
        (&["report", "--from", "x", "--quick"], "cannot be used with"),
        (&["report", "--core", "4096", "--out", "/nowhere/at/all"], "there is no core 4096"),
        (&["diff", "/nowhere/a.json", "/nowhere/b.json"], "/nowhere/a.json"),
        (&["diff", "a"], "required arguments"),
        (&["diff", "a", "b", "--confidence", "100"], "give 50 to 99.99 percent"),
    ] {
        let done = perf(arguments);
        assert!(!done.status.success() && words(&done).contains(says), "{arguments:?}: {}", words(&done));
    }
}

/// Recorded clocks, all times a factor, with as many values as tell.
fn clocks(path: &Path, factor: f64, cpu: &str) {
    let text = fs::read_to_string(recorded().join("raw/clocks.json")).unwrap();
    let mut told: Value = serde_json::from_str(&text).unwrap();
    told["machine"]["cpu"] = cpu.into();
    for samples in told["samples"].as_array_mut().unwrap() {
        let values = (0..11).map(|n| (100.0 + f64::from(n * 7 % 11)) * factor).collect::<Vec<f64>>();
        samples["values"] = values.into();
    }
    fs::write(path, told.to_string()).unwrap();
}

#[test]
fn a_comparison_exits_with_its_verdict() {
    let temporary = tempfile::tempdir().unwrap();
    let at = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    for (name, factor, cpu) in [("a", 1.0, "x"), ("slow", 1.3, "x"), ("other", 1.3, "y")] {
        clocks(&temporary.path().join(name), factor, cpu);
    }
    for (a, b, code, says) in [
        ("a", "slow", 1, "slower"),
        ("slow", "a", 0, "faster"),
        ("a", "a", 0, "no difference beyond noise"),
        ("a", "other", 1, "not judged: another machine"),
    ] {
        let done = perf(&["diff", &at(a), &at(b)]);
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.code() == Some(code) && told.contains(says), "{a} {b}: {told}{}", words(&done));
    }
    let json = perf(&["diff", &at("a"), &at("slow"), "--json"]);
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(told["compared"][0]["verdict"], "worse", "{told:#}");
    fs::write(at("bad"), "{").unwrap();
    let done = perf(&["diff", &at("a"), &at("bad")]);
    assert!(done.status.code() == Some(2) && words(&done).contains("line 1 column 1"), "{}", words(&done));
    // Two whole reports; one quick run each has too few runs for nearly all, and says so.
    let folder = recorded();
    let done = perf(&["diff", folder.to_str().unwrap(), folder.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.code() != Some(1) && told.contains("too few runs to say"), "{told}");
}

/// Ctrl-C in the middle: what was measured is on the page, which is marked, and the rest is named.
#[test]
fn an_interrupted_report_is_marked_partial() {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sterna-perf"));
    command.args(["report", "--quick", "--only", "clocks,updates", "--core", "0", "--out"]).arg(&out);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let start = std::time::Instant::now();
    while !out.join("raw/clocks.json").exists() {
        assert!(start.elapsed().as_secs() < 120, "the first part was not measured");
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(
        !done.status.success() && words(&done).contains("the page is marked partial"),
        "{}",
        words(&done)
    );
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("it was ended before its time") && page.contains("Missing: "), "{page}");
    assert!(page.contains("Not measured: interrupted"), "{page}");
    assert!(page.contains("<figure id=\"clocks\">") && !page.contains("<figure id=\"updates\">"));
}
