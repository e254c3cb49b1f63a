//! The evidence over pairs as a picture, from three comparisons of the runner's own rule.

use std::fmt::Write;

use autoclave_runner::decide::dice::Dice;
use autoclave_runner::decide::judge::{Comparison, Judgement};
use autoclave_runner::model::DiscardReason;

use super::rules::{compare, default_rule};
use super::worlds::{Machine, World};

const WIDTH: f64 = 760.0;
const PANEL_HEIGHT: f64 = 190.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 44.0;
const GAP: f64 = 64.0;
const PAIRS: f64 = 60.0;
/// The range of evidence that is shown.
const LOWEST: f64 = -5.0;
const HIGHEST: f64 = 4.6;

/// One comparison, pair by pair.
struct Story {
    title: String,
    colour: &'static str,
    /// Evidence for and against, after each pair.
    steps: Vec<(f64, f64)>,
}

/// Returns the picture; always the same.
pub fn svg() -> String {
    let stories = [
        story("kept", 0.04, Judgement::Keep { fast: false }, "#1a7f37"),
        story(
            "discarded: no gain",
            0.0,
            Judgement::Discard(DiscardReason::NoGain),
            "#cf222e",
        ),
        story("inconclusive", 0.017, Judgement::Inconclusive, "#9a6700"),
    ];
    let mut panels = String::new();
    panels.push_str(&panel(
        0.0,
        "evidence for the candidate (ln E)",
        "keep at 3.9",
        50.0_f64.ln(),
        &stories,
        |step| step.0,
    ));
    panels.push_str(&panel(
        PANEL_HEIGHT + GAP,
        "evidence against it (ln F)",
        "let go at 1.6",
        5.0_f64.ln(),
        &stories,
        |step| step.1,
    ));
    let height = TOP + 2.0 * PANEL_HEIGHT + GAP + 76.0;
    let mut legend = String::new();
    for (place, story) in stories.iter().enumerate() {
        let x = LEFT + 230.0 * place as f64;
        let y = height - 14.0;
        write!(
            legend,
            "<line x1='{x}' y1='{}' x2='{}' y2='{}' stroke='{}' stroke-width='3'/>\
             <text x='{}' y='{y}'>{}</text>",
            y - 4.0,
            x + 22.0,
            y - 4.0,
            story.colour,
            x + 28.0,
            story.title
        )
        .expect("writing to a string cannot fail");
    }
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' \
         font-family='sans-serif' font-size='12' fill='#24292f'>\
         <title>Evidence over pairs for a kept, a discarded and an inconclusive candidate</title>\
         <rect width='100%' height='100%' fill='white'/>\
         {panels}<text x='{}' y='{}' text-anchor='middle'>pairs measured (a dot: here it stops)</text>{legend}</svg>\n",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        height - 44.0,
    )
}

/// Draws one measure of evidence of all stories.
fn panel(
    offset: f64,
    title: &str,
    bar: &str,
    threshold: f64,
    stories: &[Story],
    value: impl Fn(&(f64, f64)) -> f64,
) -> String {
    let top = TOP + offset;
    let x = |pair: f64| LEFT + pair / PAIRS * (WIDTH - LEFT - RIGHT);
    let y = |evidence: f64| {
        let shown = evidence.clamp(LOWEST, HIGHEST);
        top + (HIGHEST - shown) / (HIGHEST - LOWEST) * PANEL_HEIGHT
    };
    let mut out = format!(
        "<text x='{LEFT}' y='{}' font-weight='bold'>{title}</text>",
        top - 10.0
    );
    for tick in [-4.0, -2.0, 0.0, 2.0, 4.0] {
        write!(
            out,
            "<line x1='{LEFT}' y1='{0:.1}' x2='{1}' y2='{0:.1}' stroke='#d0d7de'/>\
             <text x='{2}' y='{3:.1}' text-anchor='end'>{tick}</text>",
            y(tick),
            WIDTH - RIGHT,
            LEFT - 8.0,
            y(tick) + 4.0
        )
        .expect("writing to a string cannot fail");
    }
    for pair in [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0] {
        write!(
            out,
            "<text x='{:.1}' y='{:.1}' text-anchor='middle'>{pair}</text>",
            x(pair),
            top + PANEL_HEIGHT + 16.0
        )
        .expect("writing to a string cannot fail");
    }
    write!(
        out,
        "<line x1='{LEFT}' y1='{0:.1}' x2='{1}' y2='{0:.1}' stroke='#24292f' stroke-dasharray='5 4'/>\
         <text x='{2}' y='{3:.1}'>{bar}</text>",
        y(threshold),
        WIDTH - RIGHT,
        WIDTH - RIGHT + 8.0,
        y(threshold) + 4.0
    )
    .expect("writing to a string cannot fail");
    for story in stories {
        let mut points = format!("{:.1},{:.1}", x(0.0), y(0.0));
        let mut last = (x(0.0), y(0.0));
        for (step, pair) in story.steps.iter().zip(1_u32..) {
            last = (x(f64::from(pair)), y(value(step)));
            write!(points, " {:.1},{:.1}", last.0, last.1)
                .expect("writing to a string cannot fail");
        }
        write!(
            out,
            "<polyline points='{points}' fill='none' stroke='{0}' stroke-width='2'/>\
             <circle cx='{1:.1}' cy='{2:.1}' r='4' fill='{0}'/>",
            story.colour, last.0, last.1
        )
        .expect("writing to a string cannot fail");
    }
    out
}

/// Returns the first comparison of a candidate that is better by `gain`, at 5 % noise, that ends in
/// this way after a telling number of pairs.
fn story(title: &str, gain: f64, end: Judgement, colour: &'static str) -> Story {
    let steps = (0..10_000)
        .map(|seed| played(gain, seed))
        .find(|(judgement, steps)| *judgement == end && steps.len() >= 14)
        .map(|(_, steps)| steps)
        .expect("one in a hundred ends so");
    Story {
        title: format!("{title} (truly {:+.1} %)", 100.0 * gain),
        colour,
        steps,
    }
}

/// Plays one comparison; returns its end, and the evidence for and against after each pair.
fn played(gain: f64, seed: u64) -> (Judgement, Vec<(f64, f64)>) {
    let mut machine = Machine::new(World::Gaussian, 10_000 + seed);
    let mut dice = Dice::new(seed);
    let mut steps = Vec::new();
    let mut note = |comparison: &Comparison| {
        steps.push((comparison.evidence().0, comparison.evidence_against().0));
    };
    let sides = [1.0, 1.0 - gain];
    let (judgement, _) = compare(
        default_rule(0.05),
        &mut dice,
        &mut machine,
        sides,
        &mut note,
    );
    (judgement, steps)
}
