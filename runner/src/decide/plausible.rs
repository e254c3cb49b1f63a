//! Whether a reported time agrees with the runner's own clocks.
//!
//! A command that both runs the code and prints the number can print any number. What it cannot
//! change is how long it really ran, as the runner sees from outside.

use std::fmt;
use std::time::Duration;

use crate::model::{Direction, Metric};

use super::noise::median;

/// The least share of the command's time that a reported time must be on the champion: below it
/// the number is no measure of the whole command (a time per iteration, a small timed region), and
/// a saving cannot be expected to show.
const LEAST_SHARE: f64 = 0.25;
/// Claims below this share of the champion's time are not held against clocks that are as noisy.
const LEAST_CLAIM: f64 = 0.1;
/// The part of a claimed saving that the clocks must show.
const SHOWN: f64 = 0.5;
/// How many of its standard errors the missing part must be off.
const ERRORS: f64 = 3.0;

/// One reading beside what the runner's clocks saw of the command that gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Account {
    pub reported: Metric,
    pub wall: Duration,
    /// Processor time of the command and all that it started.
    pub cpu: Duration,
}

/// A metric that is a time, which the runner can take, too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stopwatch {
    seconds_per_unit: f64,
}

/// A saving that is reported and that the clocks did not see. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contradiction {
    pub reported: f64,
    pub wall: f64,
    pub cpu: f64,
    pub claimed: f64,
    pub shown: f64,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |seconds: f64| format!("{:.1} ms", 1000.0 * seconds);
        write!(
            f,
            "it reports {}, the runner's clocks saw {} and {} of processor time; of {} claimed to \
             be saved they saw {}",
            ms(self.reported),
            ms(self.wall),
            ms(self.cpu),
            ms(self.claimed),
            ms(self.shown.max(0.0)),
        )
    }
}

impl Stopwatch {
    /// Returns the stopwatch of a metric; `None` where its unit is no unit of time or more of it is
    /// better.
    pub fn of(unit: Option<&str>, direction: Direction) -> Option<Self> {
        match direction {
            Direction::Lower => {
                seconds_per(unit?).map(|seconds_per_unit| Self { seconds_per_unit })
            }
            Direction::Higher => None,
        }
    }

    /// Says whether readings of the champion, at least one, are the time of most of the command,
    /// and can be held against the clocks.
    pub fn is_of_the_command(self, champion: &[Account]) -> bool {
        let whole = middle(champion, |account| wall(account).max(cpu(account)));
        middle(champion, |account| self.reported(account)) >= LEAST_SHARE * whole
    }

    /// Returns what a candidate reports against the clocks, when they contradict it.
    ///
    /// `champion` and `candidate` hold the same number of readings, pair by pair, at least one.
    pub fn contradiction(
        self,
        champion: &[Account],
        candidate: &[Account],
    ) -> Option<Contradiction> {
        if !self.is_of_the_command(champion) {
            return None;
        }
        let pairs: Vec<(f64, f64)> = champion
            .iter()
            .zip(candidate)
            .map(|(before, after)| {
                let claimed = self.reported(before) - self.reported(after);
                let shown = (wall(before) - wall(after)).max(cpu(before) - cpu(after));
                (claimed, shown)
            })
            .collect();
        let missing: Vec<f64> = pairs.iter().map(|(c, s)| SHOWN * c - s).collect();
        let centre = median(&missing);
        let deviations: Vec<f64> = missing.iter().map(|m| (m - centre).abs()).collect();
        let error = 1.4826 * median(&deviations) / (missing.len() as f64).sqrt();
        let claims: Vec<f64> = pairs.iter().map(|(claimed, _)| *claimed).collect();
        let claimed = median(&claims);
        let is_large = claimed > LEAST_CLAIM * middle(champion, |a| self.reported(a));
        let shown: Vec<f64> = pairs.iter().map(|(_, shown)| *shown).collect();
        (is_large && centre > ERRORS * error).then(|| Contradiction {
            reported: middle(candidate, |account| self.reported(account)),
            wall: middle(candidate, wall),
            cpu: middle(candidate, cpu),
            claimed,
            shown: median(&shown),
        })
    }

    fn reported(self, account: &Account) -> f64 {
        self.seconds_per_unit * account.reported.get()
    }
}

/// Returns how many seconds one of a unit of time is.
fn seconds_per(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" | "nanoseconds" => 1e-9,
        "us" | "µs" | "μs" | "microseconds" => 1e-6,
        "ms" | "msec" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "seconds" => 1.0,
        "min" | "minutes" => 60.0,
        _ => return None,
    })
}

fn wall(account: &Account) -> f64 {
    account.wall.as_secs_f64()
}

fn cpu(account: &Account) -> f64 {
    account.cpu.as_secs_f64()
}

fn middle(accounts: &[Account], of: impl Fn(&Account) -> f64) -> f64 {
    median(&accounts.iter().map(of).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings in milliseconds: reported, wall, processor.
    fn accounts(readings: &[(f64, u64, u64)]) -> Vec<Account> {
        readings
            .iter()
            .map(|(reported, wall, cpu)| Account {
                reported: Metric::try_from(*reported).unwrap(),
                wall: Duration::from_millis(*wall),
                cpu: Duration::from_millis(*cpu),
            })
            .collect()
    }

    fn contradicted(champion: &[Account], candidate: &[Account]) -> Option<Contradiction> {
        let stopwatch = Stopwatch::of(Some("ms"), Direction::Lower).unwrap();
        stopwatch.contradiction(champion, candidate)
    }

    #[test]
    fn a_number_that_the_clocks_do_not_see_is_a_contradiction() {
        let champion = accounts(&[(210.0, 240, 225), (205.0, 238, 222)]);
        let cheat = accounts(&[(0.2, 239, 224), (0.2, 241, 226)]);
        let found = contradicted(&champion, &cheat).unwrap();
        assert_eq!(
            found.to_string(),
            "it reports 0.2 ms, the runner's clocks saw 240.0 ms and 225.0 ms of processor time; \
             of 207.3 ms claimed to be saved they saw 0.0 ms"
        );
    }

    #[test]
    fn a_saving_that_shows_on_either_clock_is_believed() {
        let champion = accounts(&[(210.0, 240, 225), (205.0, 238, 222)]);
        let faster = accounts(&[(100.0, 131, 115), (99.0, 130, 116)]);
        let threaded = accounts(&[(100.0, 131, 240), (99.0, 130, 238)]);
        assert_eq!(contradicted(&champion, &faster), None);
        assert_eq!(contradicted(&champion, &threaded), None);
    }

    #[test]
    fn work_moved_out_of_the_timed_region_shows() {
        let champion = accounts(&[(200.0, 230, 220), (201.0, 231, 221), (199.0, 229, 219)]);
        let moved = accounts(&[(20.0, 231, 221), (21.0, 232, 222), (20.0, 230, 220)]);
        assert!(contradicted(&champion, &moved).is_some());
    }

    #[test]
    fn noise_of_the_clocks_is_no_contradiction() {
        let champion = accounts(&[(200.0, 300, 290), (200.0, 260, 250), (200.0, 280, 270)]);
        let slightly = accounts(&[(170.0, 285, 275), (170.0, 270, 260), (170.0, 240, 230)]);
        assert_eq!(contradicted(&champion, &slightly), None);
    }

    #[test]
    fn what_is_no_time_of_the_whole_command_is_not_compared() {
        assert_eq!(Stopwatch::of(Some("ms"), Direction::Higher), None);
        assert_eq!(Stopwatch::of(Some("lines"), Direction::Lower), None);
        assert_eq!(Stopwatch::of(None, Direction::Lower), None);
        let champion = accounts(&[(210.0, 240, 225)]);
        let cheat = accounts(&[(0.2, 240, 225)]);
        let each = Stopwatch::of(Some("ns"), Direction::Lower).unwrap();
        assert!(!each.is_of_the_command(&champion));
        assert_eq!(each.contradiction(&champion, &cheat), None);
        assert!(contradicted(&champion, &cheat).is_some());
    }
}
