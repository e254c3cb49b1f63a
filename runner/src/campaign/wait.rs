//! Waiting for a time of day.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::CampaignError;

/// The clock is looked at so often: a machine that slept in between wakes late otherwise.
const LOOK: Duration = Duration::from_secs(30);

/// Waits until `now_ms` says `until_ms`, but no longer than that is away at first: a clock that is
/// set back must not lengthen it.
///
/// # Errors
///
/// [`CampaignError::Interrupted`] as soon as `cancel` is.
pub(super) async fn wait_until(
    until_ms: i64,
    now_ms: impl Fn() -> i64,
    cancel: &CancellationToken,
) -> Result<(), CampaignError> {
    let away = |until_ms: i64| {
        let rest = until_ms.saturating_sub(now_ms());
        Duration::from_millis(u64::try_from(rest).unwrap_or(0))
    };
    let started = Instant::now();
    let longest = away(until_ms);
    loop {
        let rest = away(until_ms).min(longest.saturating_sub(started.elapsed()));
        if rest.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(rest.min(LOOK)) => {}
            () = cancel.cancelled() => return Err(CampaignError::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn clock() -> impl Fn() -> i64 {
        let start = Instant::now();
        move || i64::try_from(start.elapsed().as_millis()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_is_waited_to_its_end_and_not_beyond() {
        let start = Instant::now();
        wait_until(HOUR_MS, clock(), &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_ends_the_wait_at_the_next_look() {
        let start = Instant::now();
        let jumping = || if start.elapsed() < LOOK { 0 } else { HOUR_MS };
        wait_until(HOUR_MS, jumping, &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(start.elapsed(), LOOK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_does_not_lengthen_the_wait() {
        let start = Instant::now();
        let set_back = || {
            if start.elapsed() < LOOK {
                0
            } else {
                -365 * 24 * HOUR_MS
            }
        };
        wait_until(HOUR_MS, set_back, &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_ends_the_wait_at_once() {
        let start = Instant::now();
        let cancel = CancellationToken::new();
        let (waited, ()) = tokio::join!(wait_until(HOUR_MS, clock(), &cancel), async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            cancel.cancel();
        });
        assert!(matches!(waited, Err(CampaignError::Interrupted)));
        assert_eq!(start.elapsed(), Duration::from_secs(7));
    }
}
