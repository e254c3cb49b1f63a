//! Numbers, times and foreign text in the form people read.

use autoclave_policies::steers_terminal;
use autoclave_runner::model::FinishReason;

/// Returns foreign text as one line of at most `max` characters that cannot command a terminal:
/// line breaks are spaces, other control and direction-changing characters are `?`.
pub fn one_line(text: &str, max: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line: String = words
        .chars()
        .map(|c| if steers_terminal(c) { '?' } else { c })
        .collect();
    if let Some((cut, _)) = line.char_indices().nth(max) {
        line.truncate(cut);
        line.push_str("...");
    }
    line
}

/// Returns a relative gain, given as a fraction, as `+8.3 %`.
pub fn percent(fraction: f64) -> String {
    format!("{:+.1} %", fraction * 100.0)
}

/// Returns a time span as `0.8 s`, `42 s`, `3 min 5 s` or `1 h 2 min`.
pub fn span(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and 10 or more is positive"
    )]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Returns a count with its noun, which takes an `s` unless it is one.
pub fn count(number: u32, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Returns how far evidence has come to its threshold, as `[####------]`.
pub fn bar(evidence: f64, threshold: f64) -> String {
    const CELLS: u8 = 10;
    let part = evidence / threshold * f64::from(CELLS);
    let full = (1..=CELLS).filter(|cell| f64::from(*cell) <= part).count();
    let rest = usize::from(CELLS) - full;
    format!("[{}{}]", "#".repeat(full), "-".repeat(rest))
}

/// Returns why a run ended, as what has come true.
pub fn finish(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::MaxExperiments => "all allowed experiments are done",
        FinishReason::MaxCost => "the allowed cost is spent",
        FinishReason::TargetReached => "the target is reached",
        FinishReason::NoGain => "too many experiments in a row were not kept",
        FinishReason::PivotsExhausted => {
            "other approaches were tried as often as allowed, and none was kept"
        }
        FinishReason::Infrastructure => {
            "several experiments in a row failed for reasons that are not theirs"
        }
    }
}

/// Says who has the turn to measure.
pub fn measuring(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another run".to_owned(),
        |pid| format!("another run (process {pid})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(one_line("a\u{1b}[2J\r\nb\u{202e}c\u{7}", 40), "a?[2J b?c?");
        assert_eq!(one_line("äöüß", 2), "äö...");
        assert_eq!(one_line("äö", 2), "äö");
    }

    #[test]
    fn spans_use_at_most_two_units() {
        let spans = [0.84, 41.6, 59.7, 185.0, 3_725.0].map(span);
        assert_eq!(
            spans,
            ["0.8 s", "42 s", "1 min 0 s", "3 min 5 s", "1 h 2 min"]
        );
    }

    #[test]
    fn bar_is_full_at_the_threshold_only_and_empty_below_zero() {
        assert_eq!(bar(3.9, 3.9), "[##########]");
        assert_eq!(bar(3.8, 3.9), "[#########-]");
        assert_eq!(bar(-5.0, 3.9), "[----------]");
        assert_eq!(bar(99.0, 3.9), "[##########]");
        assert_eq!(bar(f64::NAN, 3.9), "[----------]");
    }
}
