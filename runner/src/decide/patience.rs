//! How long to wait when the model's service refuses for now, or a container engine fails.

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// After an overload: doubling up to the cap.
const OVERLOADED_MS: (i64, i64) = (MINUTE_MS, 30 * MINUTE_MS);
/// After a usage limit whose reset nobody told: doubling up to the cap.
const UNKNOWN_RESET_MS: (i64, i64) = (5 * MINUTE_MS, HOUR_MS);
/// A told reset is waited for at least so long, doubling as long as it proves wrong: clocks differ.
const KNOWN_RESET_MS: (i64, i64) = (30 * SECOND_MS, 30 * MINUTE_MS);
/// The longest limit there is lasts a week; what is told beyond that is taken for a mistake.
const LONGEST_MS: i64 = 8 * 24 * HOUR_MS;

/// After a fault of a container engine: doubling up to the cap.
const FAULT_MS: (i64, i64) = (2 * SECOND_MS, 5 * MINUTE_MS);
/// How often is tried in all: for a quarter of an hour.
const FAULTS: u32 = 10;

/// Why the model's service refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It failed, or could not be reached.
    Overloaded,
    /// `reset_ms` is when it serves again, in milliseconds since 1970, where anyone said so.
    UsageLimit { reset_ms: Option<i64> },
}

/// Returns when the service may be asked again; in milliseconds since 1970, after `now_ms`.
///
/// `in_a_row` is how often it refused in this way without serving in between, from 1.
pub fn ask_again_at_ms(refusal: Refusal, in_a_row: u32, now_ms: i64) -> i64 {
    let after = |steps| now_ms + doubling(steps, in_a_row);
    match refusal {
        Refusal::Overloaded => after(OVERLOADED_MS),
        Refusal::UsageLimit { reset_ms: None } => after(UNKNOWN_RESET_MS),
        Refusal::UsageLimit {
            reset_ms: Some(reset_ms),
        } => reset_ms.clamp(after(KNOWN_RESET_MS), now_ms + LONGEST_MS),
    }
}

/// Returns when to try again after a fault of a container engine, as [`ask_again_at_ms`]; `None`
/// when it has failed often enough.
pub fn try_again_at_ms(in_a_row: u32, now_ms: i64) -> Option<i64> {
    (in_a_row < FAULTS).then(|| now_ms + doubling(FAULT_MS, in_a_row))
}

fn doubling((first, cap): (i64, i64), in_a_row: u32) -> i64 {
    let doublings = in_a_row.saturating_sub(1).min(20);
    (first << doublings).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_769_860_800_000;

    fn seconds(refusal: Refusal, in_a_row: u32) -> i64 {
        (ask_again_at_ms(refusal, in_a_row, NOW_MS) - NOW_MS) / SECOND_MS
    }

    #[test]
    fn an_overload_backs_off_from_a_minute_to_half_an_hour() {
        let waits: Vec<i64> = [1, 2, 3, 4, 5, 6, 7, u32::MAX]
            .into_iter()
            .map(|in_a_row| seconds(Refusal::Overloaded, in_a_row))
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1800, 1800, 1800]);
    }

    #[test]
    fn a_fault_is_tried_over_for_a_quarter_of_an_hour() {
        let waits: Vec<i64> = (1..)
            .map_while(|in_a_row| try_again_at_ms(in_a_row, NOW_MS))
            .map(|at_ms| (at_ms - NOW_MS) / SECOND_MS)
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(waits.iter().sum::<i64>(), 810);
    }

    #[test]
    fn a_limit_without_a_reset_is_asked_after_five_minutes_then_less_often() {
        let limit = Refusal::UsageLimit { reset_ms: None };
        let waits: Vec<i64> = (1..=6).map(|n| seconds(limit, n)).collect();
        assert_eq!(waits, [300, 600, 1200, 2400, 3600, 3600]);
    }

    #[test]
    fn a_told_reset_is_waited_for_within_reason() {
        let limit = |seconds: i64| Refusal::UsageLimit {
            reset_ms: Some(NOW_MS + seconds * SECOND_MS),
        };
        assert_eq!(seconds(limit(5400), 1), 5400);
        assert_eq!(seconds(limit(5400), 5), 5400);
        assert_eq!(seconds(limit(-600), 1), 30, "it should have served already");
        assert_eq!(seconds(limit(-600), 4), 240, "and still does not");
        let longest = 8 * 24 * 3600;
        assert_eq!(seconds(limit(365 * 24 * 3600), 1), longest);
        let absurd = Refusal::UsageLimit {
            reset_ms: Some(i64::MAX),
        };
        assert_eq!(seconds(absurd, 1), longest);
    }
}
