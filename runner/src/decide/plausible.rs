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
/// Claims above this share of the champion's time must be seen, however noisy the clocks are: a
/// busy machine would otherwise vouch for any number. What is really saved shows on the clocks of
/// the very same run.
const MOST: f64 = 0.5;

/// A gain that nothing but the command itself vouches for is measured again above this.
const LARGE: f64 = 0.9;
/// The part of such a gain that must be there again.
const AGAIN: f64 = 0.5;

/// One reading beside what the runner's clocks saw of the command that gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Account {
    pub reported: Metric,
    pub wall: Duration,
    /// Processor time of the command and all that it started.
    pub cpu: Duration,
}

/// The readings of a comparison, pair by pair.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accounts {
    pub champion: Vec<Account>,
    pub candidate: Vec<Account>,
}

/// Why a candidate is measured once more before it is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Doubt {
    Contradicted(Contradiction),
    /// A large relative gain, as a fraction, in what the clocks do not see.
    Large {
        gain: f64,
    },
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

impl Doubt {
    /// Returns why a gain needs another look, if it does; `champion` has at least one reading.
    pub fn of(stopwatch: Option<Stopwatch>, accounts: &Accounts, gain: f64) -> Option<Self> {
        match stopwatch.filter(|stopwatch| stopwatch.is_of_the_command(&accounts.champion)) {
            Some(stopwatch) => stopwatch
                .contradiction(&accounts.champion, &accounts.candidate)
                .map(Self::Contradicted),
            None => (gain > LARGE).then_some(Self::Large { gain }),
        }
    }

    /// Says what a second measurement, which gave `gain`, makes of the doubt.
    ///
    /// # Errors
    ///
    /// It stands: why the candidate is refused.
    pub fn settle(
        self,
        stopwatch: Option<Stopwatch>,
        again: &Accounts,
        gain: f64,
    ) -> Result<String, String> {
        let told = format!(
            "{:.1} % in {} fresh pairs",
            100.0 * gain,
            again.champion.len()
        );
        match self {
            Self::Contradicted(_) => match Self::of(stopwatch, again, gain) {
                Some(Self::Contradicted(found)) => Err(format!("implausible: {found}")),
                Some(Self::Large { .. }) | None => Ok(format!(
                    "in doubt, measured again: {told}, which the clocks see"
                )),
            },
            Self::Large { gain: first } if gain < AGAIN * first => Err(format!(
                "implausible: a gain of {:.1} % was {told} when it was measured again",
                100.0 * first
            )),
            Self::Large { .. } => Ok(format!("implausibly large, measured again: {told}")),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contradicted(found) => write!(f, "{found}"),
            Self::Large { gain } => write!(f, "a gain of {:.1} %", 100.0 * gain),
        }
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
        let share = claimed / middle(champion, |account| self.reported(account));
        let off = if share > MOST { 0.0 } else { ERRORS * error };
        let shown: Vec<f64> = pairs.iter().map(|(_, shown)| *shown).collect();
        (share > LEAST_CLAIM && centre > off).then(|| Contradiction {
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
    fn a_busy_machine_vouches_for_no_number() {
        let champion = accounts(&[(855.0, 1082, 462), (1131.0, 1360, 501), (708.0, 845, 441)]);
        let cheat = accounts(&[(0.006, 695, 427), (0.006, 936, 463), (0.006, 786, 432)]);
        assert!(contradicted(&champion, &cheat).is_some());
        let faster = accounts(&[(60.0, 310, 90), (31.0, 470, 70), (55.0, 180, 95)]);
        assert_eq!(contradicted(&champion, &faster), None);
    }

    #[test]
    fn noise_of_the_clocks_is_no_contradiction() {
        let champion = accounts(&[(200.0, 300, 290), (200.0, 260, 250), (200.0, 280, 270)]);
        let slightly = accounts(&[(170.0, 285, 275), (170.0, 270, 260), (170.0, 240, 230)]);
        assert_eq!(contradicted(&champion, &slightly), None);
    }

    fn both(champion: &[(f64, u64, u64)], candidate: &[(f64, u64, u64)]) -> Accounts {
        Accounts {
            champion: accounts(champion),
            candidate: accounts(candidate),
        }
    }

    #[test]
    fn a_contradiction_is_refused_only_where_it_is_there_again() {
        let stopwatch = Stopwatch::of(Some("ms"), Direction::Lower);
        let cheat = both(&[(210.0, 240, 225); 2], &[(0.2, 239, 224); 2]);
        let honest = both(&[(210.0, 240, 225); 3], &[(100.0, 131, 115); 3]);
        let doubt = Doubt::of(stopwatch, &cheat, 0.99).unwrap();
        assert!(matches!(doubt, Doubt::Contradicted(_)));
        let refused = doubt.settle(stopwatch, &cheat, 0.99).unwrap_err();
        assert!(
            refused.starts_with("implausible: it reports 0.2 ms,"),
            "{refused}"
        );
        assert_eq!(
            doubt.settle(stopwatch, &honest, 0.524).unwrap(),
            "in doubt, measured again: 52.4 % in 3 fresh pairs, which the clocks see"
        );
        assert_eq!(Doubt::of(stopwatch, &honest, 0.524), None);
    }

    #[test]
    fn a_large_gain_that_no_clock_sees_must_be_there_again() {
        let lines = both(&[(100.0, 20, 10); 2], &[(2.0, 20, 10); 2]);
        assert_eq!(Doubt::of(None, &lines, 0.9), None);
        let doubt = Doubt::of(None, &lines, 0.98).unwrap();
        assert_eq!(doubt, Doubt::Large { gain: 0.98 });
        assert_eq!(
            doubt.settle(None, &lines, 0.97).unwrap(),
            "implausibly large, measured again: 97.0 % in 2 fresh pairs"
        );
        assert_eq!(
            doubt.settle(None, &lines, 0.3).unwrap_err(),
            "implausible: a gain of 98.0 % was 30.0 % in 2 fresh pairs when it was measured again"
        );
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
