//! The figures of one way of a link, and of its ups and downs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::impairment::{Flap, Impairment, Loss, Rate};
use super::finding::Findings;

/// A figure that a table may have.
struct Figure {
    key: &'static str,
    least: f64,
    most: f64,
    /// Another figure without which it means nothing.
    needs: Option<&'static str>,
}

const fn figure(key: &'static str, least: f64, most: f64, needs: Option<&'static str>) -> Figure {
    Figure { key, least, most, needs }
}

/// Of `[up]` and `[down]`.
const WAY: [Figure; 10] = [
    figure("delay_ms", 0.0, 2000.0, None),
    figure("jitter_ms", 0.0, 2000.0, None),
    figure("loss_percent", 0.0, 50.0, None),
    figure("loss_burst", 1.0, 100.0, Some("loss_percent")),
    figure("reorder_percent", 0.0, 50.0, Some("reorder_ms")),
    figure("reorder_ms", 0.0, 1000.0, Some("reorder_percent")),
    figure("duplicate_percent", 0.0, 50.0, None),
    figure("corrupt_percent", 0.0, 50.0, None),
    figure("rate_mbit_s", 0.1, 100_000.0, Some("queue_ms")),
    figure("queue_ms", 0.1, 10_000.0, Some("rate_mbit_s")),
];
/// Of `[flap]`.
const FLAP: [Figure; 2] = [
    figure("every_ms", 10.0, 600_000.0, Some("down_ms")),
    figure("down_ms", 1.0, 60_000.0, Some("every_ms")),
];

/// Figures by their keys, each with its place.
pub(super) type Figures = BTreeMap<String, (f64, Range<usize>)>;

/// Reads the figures of `[up]`, `[down]` or `[flap]`.
pub(super) fn figures(name: &str, value: &Spanned<DeValue<'_>>, findings: &mut Findings<'_>) -> Figures {
    let known: &[Figure] = if name == "flap" { &FLAP } else { &WAY };
    let mut figures = Figures::new();
    let Some(table) = value.get_ref().as_table() else {
        findings.add(
            &value.span(),
            name,
            "this is no table",
            format!("write `[{name}]` and its keys below it"),
        );
        return figures;
    };
    for (key, value) in table {
        let full = format!("{name}.{}", key.get_ref());
        let Some(figure) = known.iter().find(|figure| figure.key == key.get_ref().as_ref()) else {
            let keys: Vec<&str> = known.iter().map(|figure| figure.key).collect();
            let help = format!("remove it, or use one of: {}", keys.join(", "));
            findings.add(&key.span(), &full, "this key is not known", help);
            continue;
        };
        match number(value).filter(|number| (figure.least..=figure.most).contains(number)) {
            Some(number) => _ = figures.insert(full, (number, value.span())),
            None => {
                let help = format!("give a number from {} to {}", figure.least, figure.most);
                findings.add(&value.span(), &full, "this is not a number that fits", help);
            }
        }
    }
    companions(name, table, known, findings);
    figures
}

fn companions(name: &str, table: &DeTable<'_>, known: &[Figure], findings: &mut Findings<'_>) {
    for figure in known {
        if let (Some(value), Some(needs)) = (table.get(figure.key), figure.needs)
            && !table.contains_key(needs)
        {
            let text = format!("this means nothing without {needs}");
            findings.add(&value.span(), &format!("{name}.{}", figure.key), text, format!("add {needs}"));
        }
    }
}

/// A number with or without a fraction.
fn number(value: &Spanned<DeValue<'_>>) -> Option<f64> {
    let text = match value.get_ref() {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(integer) => integer.as_str(),
        _ => return None,
    };
    text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
}

/// What a way does, once its figures are right.
pub(super) fn way(name: &str, figures: &Figures, flap: Option<Flap>) -> Impairment {
    let get = |key: &str| figures.get(&format!("{name}.{key}")).map(|(number, _)| *number);
    let us = |key: &str| (get(key).unwrap_or(0.0) * 1000.0).round() as u64;
    let ppm = |key: &str| (get(key).unwrap_or(0.0) * 10_000.0).round() as u32;
    Impairment {
        delay_us: us("delay_ms"),
        jitter_us: us("jitter_ms"),
        loss: Loss { ppm: ppm("loss_percent"), burst: get("loss_burst").unwrap_or(1.0).round() as u32 },
        reorder_ppm: ppm("reorder_percent"),
        reorder_us: us("reorder_ms"),
        duplicate_ppm: ppm("duplicate_percent"),
        corrupt_ppm: ppm("corrupt_percent"),
        rate: get("rate_mbit_s").map(|rate| Rate {
            bits_s: (rate * 1e6).round() as u64,
            queue: Duration::from_micros(us("queue_ms")),
        }),
        flap,
    }
}

/// How the link comes and goes, both ways at the same time.
pub(super) fn flap(figures: &Figures, findings: &mut Findings<'_>) -> Option<Flap> {
    let ms = |number: f64| Duration::from_micros((number * 1000.0).round() as u64);
    let (every, _) = figures.get("flap.every_ms")?;
    let (down, span) = figures.get("flap.down_ms")?;
    if down >= every {
        findings.add(span, "flap.down_ms", "the link would never be up", "give less than flap.every_ms");
    }
    Some(Flap { every: ms(*every), down: ms(*down) })
}
