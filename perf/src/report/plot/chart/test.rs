#![allow(clippy::unwrap_used, reason = "test code")]
use super::*;

fn chart(series: Vec<Series>) -> Chart {
    Chart {
        title: "A & <B>".to_owned(),
        about: "Two \"lines\".".to_owned(),
        x: Axis::linear("time, ms", 0.0, 10.0),
        y: Axis::log("latency, us", 1.0, 1000.0),
        series,
        marks: vec![Mark::upright(9.0, "end", GREY), Mark::level(100.0, "most", RED)],
    }
}

#[test]
fn every_style_draws_something_of_its_colour() {
    for style in [Style::Line, Style::Dotted, Style::Points, Style::Diamonds, Style::Dashed, Style::Sticks] {
        let drawn = Series::new("a", 1, style, vec![(1.0, 10.0), (5.0, 500.0)]);
        for (look, _) in Look::BOTH {
            let svg = chart(vec![drawn.clone()]).svg(look).unwrap();
            assert!(svg.contains("#D55E00"), "{style:?}: {svg}");
            assert!(svg.ends_with("</svg>\n") || svg.ends_with("</svg>"), "{svg}");
        }
    }
}

#[test]
fn words_are_escaped_and_black_is_the_pages_own_colour() {
    let svg = chart(Vec::new()).svg(Look::Wide).unwrap();
    assert!(svg.starts_with("<svg viewBox=\"0 0 960 480\" role=\"img\""), "{svg}");
    assert!(svg.contains("<title>A &amp; &lt;B&gt;</title>"), "{svg}");
    assert!(!svg.contains("#000000") && svg.contains("currentColor"), "{svg}");
    assert!(!svg.contains("http"), "nothing that could be fetched: {svg}");
}

#[test]
fn what_is_outside_is_drawn_at_the_edge() {
    let far = Series::new("a", 0, Style::Points, vec![(1e9, 1e9), (-1e9, 0.0), (f64::NAN, 5.0)]);
    let svg = chart(vec![far]).svg(Look::Narrow).unwrap();
    let centres = svg.split("cx=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    for at in centres {
        assert!((0..=380).contains(&at.parse::<i32>().unwrap()), "{at}");
    }
}
