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

/// Returns the time as it stands in run ids, UTC: `20260131-235959`.
pub(super) fn stamp() -> String {
    jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string()
}

/// Returns a random seed; short enough for any reader of JSON.
pub(super) fn seed() -> u32 {
    (dice() & 0xffff_ffff) as u32
}

/// Returns a random number.
pub(super) fn dice() -> u64 {
    RandomState::new().hash_one(now_ms())
}
