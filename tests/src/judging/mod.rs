//! A hundred experiments on paper: noise, candidates, and rules that decide by what they read.

pub mod picture;
pub mod rules;
pub mod table;
pub mod worlds;

use autoclave_runner::decide::dice::Dice;

use rules::{Judge, Rule};
use worlds::{Machine, World};

/// The true relative gains of the candidates of one session, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidates {
    /// 100 that change nothing.
    Null,
    /// 60 that change nothing, 20 that are 3 % worse, 20 that are 3 % better, shuffled.
    Mixed,
}

/// What a rule did in one session, or in several added up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    pub sessions: u32,
    pub neutral: Kept,
    pub better: Kept,
    pub worse: Kept,
    /// Runs of the metric, those of the baseline included.
    pub runs: u32,
    /// Sums over the sessions of the logarithm of the gain, that which the rule reports and the truth.
    reported: f64,
    truth: f64,
}

/// How many candidates of a kind there were, and how many were kept.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Kept {
    pub kept: u32,
    pub of: u32,
}

impl Kept {
    /// Returns the share that was kept, 0 of none.
    pub fn share(self) -> f64 {
        f64::from(self.kept) / f64::from(self.of.max(1))
    }

    fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.of += other.of;
    }
}

impl Score {
    /// Returns the mean gain of a session that the rule reports, as a fraction.
    pub fn reported_gain(&self) -> f64 {
        -(-self.reported / f64::from(self.sessions)).exp_m1()
    }

    /// Returns the mean gain of a session that there really was, as a fraction.
    pub fn true_gain(&self) -> f64 {
        -(-self.truth / f64::from(self.sessions)).exp_m1()
    }

    fn add(mut self, other: Self) -> Self {
        self.sessions += other.sessions;
        self.neutral.add(other.neutral);
        self.better.add(other.better);
        self.worse.add(other.worse);
        self.runs += other.runs;
        self.reported += other.reported;
        self.truth += other.truth;
        self
    }
}

/// Plays `sessions` sessions; the same arguments always give the same score.
pub fn play(rule: Rule, world: World, candidates: Candidates, sessions: u32) -> Score {
    (0..sessions)
        .map(|session| session_of(rule, world, candidates, session))
        .fold(Score::default(), Score::add)
}

fn session_of(rule: Rule, world: World, candidates: Candidates, session: u32) -> Score {
    let seed = u64::from(session);
    let mut machine = Machine::new(world, seed);
    let mut judge = Judge::new(rule, &mut machine, session);
    let mut score = Score {
        sessions: 1,
        ..Score::default()
    };
    let mut champion = 1.0;
    for gain in candidates.gains(&mut Dice::new(1_000_000 + seed)) {
        let candidate = champion * (1.0 - gain);
        let is_kept = judge.keeps(&mut machine, champion, candidate);
        let kind = if gain > 0.0 {
            &mut score.better
        } else if gain < 0.0 {
            &mut score.worse
        } else {
            &mut score.neutral
        };
        kind.add(Kept {
            kept: u32::from(is_kept),
            of: 1,
        });
        if is_kept {
            champion = candidate;
        }
    }
    score.runs = machine.readings();
    score.reported = judge.reported_log_gain();
    score.truth = -champion.ln();
    score
}

impl Candidates {
    fn gains(self, dice: &mut Dice) -> Vec<f64> {
        match self {
            Self::Null => vec![0.0; 100],
            Self::Mixed => {
                let mut gains = [[0.0; 60].as_slice(), &[-0.03; 20], &[0.03; 20]].concat();
                // Fisher and Yates' shuffle.
                for last in (1..gains.len()).rev() {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "from 0 to `last`"
                    )]
                    let other = (dice.uniform() * (last + 1) as f64) as usize;
                    gains.swap(last, other);
                }
                gains
            }
        }
    }
}
