//! The evidence over pairs as a picture, from three comparisons of the runner's own rule.

use std::fmt::Write;

use autoclave_runner::decide::dice::Dice;
use autoclave_runner::decide::judge::{Comparison, Judgement};
use autoclave_runner::model::DiscardReason;

use super::rules::{compare, default_rule};
use super::worlds::{Machine, World};

const WIDTH: f64 = 760.0;
const PANEL_HEIGHT: f64 = 170.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 44.0;
const GAP: f64 = 64.0;
const PAIRS: f64 = 60.0;
/// The range of evidence that is shown.
const LOWEST: f64 = -3.2;
const HIGHEST: f64 = 4.6;

/// A candidate, and how its comparison ended.
struct Story {
    name: &'static str,
    truth: &'static str,
    /// The true relative gain, as a fraction.
    gain: f64,
    end: Judgement,
    colour: &'static str,
}

const STORIES: [Story; 3] = [
    Story {
        name: "kept",
        truth: "truly 4 % better",
        gain: 0.04,
        end: Judgement::Keep { fast: false },
        colour: "#1a7f37",
    },
    Story {
        name: "discarded",
        truth: "truly no better",
        gain: 0.0,
        end: Judgement::Discard(DiscardReason::NoGain),
        colour: "#cf222e",
    },
    Story {
        name: "inconclusive",
        truth: "truly 1.7 % better",
        gain: 0.017,
        end: Judgement::Inconclusive,
        colour: "#9a6700",
    },
];

/// The evidence after each pair.
struct Curve {
    story: Story,
    favour: Vec<f64>,
    against: Vec<f64>,
}

/// One measure of evidence, and where it suffices.
struct Panel {
    top: f64,
    title: &'static str,
    threshold: f64,
    meaning: &'static str,
    evidence: fn(&Curve) -> &[f64],
}

/// Returns the picture; always the same.
pub fn svg() -> String {
    let curves = STORIES.map(Story::played);
    let panels = [
        Panel {
            top: TOP,
            title: "evidence for the candidate (ln E)",
            threshold: 50.0_f64.ln(),
            meaning: "keep at 3.9",
            evidence: |curve| &curve.favour,
        },
        Panel {
            top: TOP + PANEL_HEIGHT + GAP,
            title: "evidence against it (ln F)",
            threshold: 5.0_f64.ln(),
            meaning: "let go at 1.6",
            evidence: |curve| &curve.against,
        },
    ];
    let height = TOP + 2.0 * PANEL_HEIGHT + GAP + 76.0;
    let drawn: String = panels.iter().map(|panel| panel.draw(&curves)).collect();
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' \
         font-family='sans-serif' font-size='12' fill='#24292f'>\n\
         <title>Evidence over pairs for a kept, a discarded and an inconclusive candidate</title>\n\
         <rect width='100%' height='100%' fill='white'/>\n{drawn}\
         <text x='{}' y='{}' text-anchor='middle'>pairs measured (a dot: here it stops)</text>\n\
         {}</svg>\n",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        height - 44.0,
        legend(height - 14.0),
    )
}

impl Story {
    /// Returns the first comparison at 5 % noise that ends as told after a telling number of pairs.
    fn played(self) -> Curve {
        (0..10_000)
            .map(|seed| self.attempt(seed))
            .find(|(end, favour, _)| *end == self.end && favour.len() >= 14)
            .map(|(_, favour, against)| Curve {
                story: self,
                favour,
                against,
            })
            .expect("one in a hundred ends so")
    }

    fn attempt(&self, seed: u64) -> (Judgement, Vec<f64>, Vec<f64>) {
        let mut machine = Machine::new(World::Gaussian, 10_000 + seed);
        let mut dice = Dice::new(seed);
        let (mut favour, mut against) = (Vec::new(), Vec::new());
        let mut note = |comparison: &Comparison| {
            favour.push(comparison.evidence().0);
            against.push(comparison.evidence_against().0);
        };
        let sides = [1.0, 1.0 - self.gain];
        let rule = default_rule(0.05);
        let (end, _) = compare(rule, &mut dice, &mut machine, sides, &mut note);
        (end, favour, against)
    }
}

impl Panel {
    fn draw(&self, curves: &[Curve]) -> String {
        let right = WIDTH - RIGHT;
        let mut out = format!(
            "<text x='{LEFT}' y='{}' font-weight='bold'>{}</text>\n",
            self.top - 10.0,
            self.title
        );
        for tick in [-2.0, 0.0, 2.0, 4.0] {
            let y = self.y(tick);
            line(&mut out, y, "stroke='#d0d7de'");
            text(&mut out, (LEFT - 8.0, y + 4.0), "text-anchor='end'", tick);
        }
        for pair in [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0] {
            let place = (x(pair), self.top + PANEL_HEIGHT + 16.0);
            text(&mut out, place, "text-anchor='middle'", pair);
        }
        let y = self.y(self.threshold);
        line(&mut out, y, "stroke='#24292f' stroke-dasharray='5 4'");
        text(&mut out, (right + 8.0, y + 4.0), "", self.meaning);
        for curve in curves {
            self.curve(&mut out, curve);
        }
        out
    }

    fn curve(&self, out: &mut String, curve: &Curve) {
        let colour = curve.story.colour;
        let mut last = (x(0.0), self.y(0.0));
        let mut points = format!("{:.1},{:.1}", last.0, last.1);
        for (evidence, pair) in (self.evidence)(curve).iter().zip(1_u32..) {
            last = (x(f64::from(pair)), self.y(*evidence));
            points.push_str(&format!(" {:.1},{:.1}", last.0, last.1));
        }
        writeln!(
            out,
            "<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>\n\
             <circle cx='{:.1}' cy='{:.1}' r='4' fill='{colour}'/>",
            last.0, last.1
        )
        .expect("writing to a string cannot fail");
        let place = (last.0 + 9.0, last.1 + 14.0);
        text(out, place, &format!("fill='{colour}'"), curve.story.name);
    }

    fn y(&self, evidence: f64) -> f64 {
        let shown = evidence.clamp(LOWEST, HIGHEST);
        self.top + (HIGHEST - shown) / (HIGHEST - LOWEST) * PANEL_HEIGHT
    }
}

fn x(pair: f64) -> f64 {
    LEFT + pair / PAIRS * (WIDTH - LEFT - RIGHT)
}

/// Names the colours, left to right.
fn legend(y: f64) -> String {
    let mut out = String::new();
    for (story, x) in STORIES.iter().zip([LEFT, LEFT + 200.0, LEFT + 420.0]) {
        writeln!(
            out,
            "<line x1='{x}' y1='{1}' x2='{0}' y2='{1}' stroke='{2}' stroke-width='3'/>",
            x + 22.0,
            y - 4.0,
            story.colour
        )
        .expect("writing to a string cannot fail");
        let words = format!("{}: {}", story.name, story.truth);
        text(&mut out, (x + 28.0, y), "", words);
    }
    out
}

/// Draws a line over the whole width.
fn line(out: &mut String, y: f64, style: &str) {
    let right = WIDTH - RIGHT;
    writeln!(
        out,
        "<line x1='{LEFT}' y1='{y:.1}' x2='{right}' y2='{y:.1}' {style}/>"
    )
    .expect("writing to a string cannot fail");
}

fn text(out: &mut String, (x, y): (f64, f64), style: &str, words: impl std::fmt::Display) {
    writeln!(out, "<text x='{x:.1}' y='{y:.1}' {style}>{words}</text>")
        .expect("writing to a string cannot fail");
}
