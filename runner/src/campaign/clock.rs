//! The time and the dice, read only here and handed down as values.

use std::hash::{BuildHasher, RandomState};

/// Returns the milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Returns the seconds since 1970.
pub(super) fn now_seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Returns the time as it stands in run ids, UTC: `20260131-235959`; later than `earlier` also
/// where the clock was set back.
pub(super) fn stamp_after(earlier: Option<&str>) -> String {
    later(&written(jiff::Timestamp::now()), earlier)
}

const STAMP: &str = "%Y%m%d-%H%M%S";

fn written(time: jiff::Timestamp) -> String {
    time.strftime(STAMP).to_string()
}

/// Returns `now`, or the second after `earlier` where that is not before it.
fn later(now: &str, earlier: Option<&str>) -> String {
    let next = earlier
        .filter(|earlier| *earlier >= now)
        // What is no time was made by nobody's clock.
        .and_then(|earlier| jiff::civil::DateTime::strptime(STAMP, earlier).ok())
        .and_then(|earlier| earlier.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .and_then(|earlier| earlier.checked_add(jiff::Span::new().seconds(1)).ok());
    next.map_or_else(|| now.to_owned(), |next| written(next.timestamp()))
}

/// Returns a random seed; short enough for any reader of JSON.
pub(super) fn seed() -> u32 {
    (dice() & 0xffff_ffff) as u32
}

/// Returns a random number.
pub(super) fn dice() -> u64 {
    RandomState::new().hash_one(now_ms())
}

#[cfg(test)]
mod tests {
    use super::later;

    #[test]
    fn a_stamp_follows_the_one_before_whatever_the_clock_says() {
        let now = "20260131-235959";
        for (earlier, expected) in [
            (None, now),
            (Some("20260131-235958"), now),
            (Some("20260131-235959"), "20260201-000000"),
            (Some("20270131-235959"), "20270201-000000"),
            (Some("29991399-999999"), now),
        ] {
            assert_eq!(later(now, earlier), expected, "{earlier:?}");
        }
    }
}
