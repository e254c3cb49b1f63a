//! What all requests of a gateway came to.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::model::{Cost, Usage};

/// Totals of a gateway since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metered {
    /// `turns` counts the answered messages requests.
    pub usage: Usage,
    /// All requests, refused ones included.
    pub requests: u64,
    /// The status of the service's last answer.
    pub last_status: Option<u16>,
    /// A request was refused because it might have passed the budget.
    pub budget_exceeded: bool,
    /// When the last rate limit that was hit ends; milliseconds since 1970.
    pub rate_limit_reset_ms: Option<i64>,
    /// The last answer that told said that the credential is not accepted.
    pub auth_failed: bool,
}

/// The totals while they grow. Requests end on any task, hence the lock.
#[derive(Debug, Default)]
pub struct Meter {
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    metered: Metered,
    /// Millionths of a dollar set aside for requests under way.
    reserved: u64,
}

/// Whether the budget has room for one more request.
#[derive(Debug, PartialEq, Eq)]
pub enum Room {
    /// It was set aside.
    Reserved,
    /// Perhaps when the requests under way have cost less than was set aside for them.
    Later,
    /// No; this is what is left.
    Never { left: Cost },
}

impl Meter {
    pub fn read(&self) -> Metered {
        self.lock().metered
    }

    pub fn count_request(&self) {
        self.lock().metered.requests += 1;
    }

    /// Takes what a request came to in place of what was set aside for it.
    pub fn settle(&self, reserved: Cost, usage: Usage) {
        let mut state = self.lock();
        state.reserved = state.reserved.saturating_sub(reserved.microdollars());
        state.metered.usage += usage;
        drop(state);
        self.settled.notify_waiters();
    }

    /// Sets `worst` aside if the budget `max` cannot be passed by it; notes it if it never fits.
    pub fn reserve(&self, max: Cost, worst: Cost) -> Room {
        let mut state = self.lock();
        let left = max
            .microdollars()
            .saturating_sub(state.metered.usage.cost_usd.microdollars());
        let worst = worst.microdollars();
        if left == 0 || worst > left {
            state.metered.budget_exceeded = true;
            return Room::Never {
                left: Cost::from_microdollars(left),
            };
        }
        if worst > left.saturating_sub(state.reserved) {
            return Room::Later;
        }
        state.reserved += worst;
        Room::Reserved
    }

    /// Waits until a request is settled; one that is settled from the call on counts.
    pub fn settled(&self) -> Notified<'_> {
        self.settled.notified()
    }

    /// Notes what an answer of the service says about it and us.
    pub fn note_answer(&self, status: StatusCode, headers: &HeaderMap, now_ms: i64) {
        let metered = &mut self.lock().metered;
        metered.last_status = Some(status.as_u16());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => metered.auth_failed = true,
            StatusCode::TOO_MANY_REQUESTS => {
                metered.rate_limit_reset_ms = reset_ms(headers, now_ms);
            }
            _ if status.is_success() => metered.auth_failed = false,
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when the limit ends: of a subscription (seconds since 1970), after a delay (seconds), or
/// the latest of the limits by kind (RFC 3339).
fn reset_ms(headers: &HeaderMap, now_ms: i64) -> Option<i64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = |name: &str| text(name).and_then(|text| text.trim().parse::<i64>().ok());
    if let Some(at) = seconds("anthropic-ratelimit-unified-reset") {
        return at.checked_mul(1000);
    }
    if let Some(delay) = seconds("retry-after") {
        return delay.checked_mul(1000)?.checked_add(now_ms);
    }
    [
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-reset",
        "anthropic-ratelimit-input-tokens-reset",
        "anthropic-ratelimit-output-tokens-reset",
    ]
    .iter()
    .filter_map(|name| text(name)?.parse::<jiff::Timestamp>().ok())
    .map(jiff::Timestamp::as_millisecond)
    .max()
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn reset(pairs: &[(&'static str, &'static str)]) -> Option<i64> {
        let headers = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        reset_ms(&headers, 1_000)
    }

    #[test]
    fn end_of_a_limit_is_read_in_each_spelling() {
        let unified = ("anthropic-ratelimit-unified-reset", "1800000000");
        let delay = ("retry-after", "30");
        let requests = ("anthropic-ratelimit-requests-reset", "2027-01-15T08:00:00Z");
        let tokens = ("anthropic-ratelimit-tokens-reset", "2027-01-15T08:00:01Z");
        assert_eq!(reset(&[delay, unified]), Some(1_800_000_000_000));
        assert_eq!(reset(&[requests, delay]), Some(31_000));
        assert_eq!(reset(&[tokens, requests]), Some(1_800_000_001_000));
        assert_eq!(reset(&[("retry-after", "soon")]), None);
    }

    #[test]
    fn money_of_requests_under_way_is_not_spent_twice() {
        let cost = Cost::from_microdollars;
        let meter = Meter::default();
        assert_eq!(meter.reserve(cost(10), cost(6)), Room::Reserved);
        assert_eq!(meter.reserve(cost(10), cost(5)), Room::Later);
        assert_eq!(meter.reserve(cost(10), cost(4)), Room::Reserved);
        assert!(!meter.read().budget_exceeded);
        let cheap = Usage {
            cost_usd: cost(1),
            ..Usage::default()
        };
        meter.settle(cost(6), cheap);
        assert_eq!(meter.reserve(cost(10), cost(5)), Room::Reserved);
        assert_eq!(
            meter.reserve(cost(10), cost(10)),
            Room::Never { left: cost(9) }
        );
        assert!(meter.read().budget_exceeded);
    }

    #[test]
    fn refused_credential_is_noted_until_one_is_accepted() {
        let meter = Meter::default();
        let none = HeaderMap::new();
        meter.note_answer(StatusCode::UNAUTHORIZED, &none, 0);
        assert!(meter.read().auth_failed);
        meter.note_answer(StatusCode::OK, &none, 0);
        assert!(!meter.read().auth_failed);
    }
}
