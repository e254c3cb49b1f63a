//! Champion and candidate read side by side, pair by pair.

use tokio_util::sync::CancellationToken;

use super::CampaignError;
use super::measure::Reading;
use super::workshop::Workshop;
use crate::decide::dice::Dice;
use crate::decide::plausible::Account;
use crate::event::{Clocks, EventKind, PairClocks};
use crate::model::{DiscardReason, ExperimentNumber, Metric, Verdict, VoidReason};
use crate::sandbox::{Exit, Snapshot};

/// What a seed is drawn for; see [`Dice::apart`].
pub(super) mod purpose {
    pub const PAIRS: u64 = 1;
    pub const PAIRS_AGAIN: u64 = 2;
    pub const FAULTS: u64 = 3;
}

/// The two readings of a pair, and who was first.
pub(super) struct Readings {
    pub champion: Reading,
    pub candidate: Reading,
    pub candidate_first: bool,
}

/// Who is read in pairs.
pub(super) struct Pairs<'a> {
    pub champion: &'a Snapshot,
    pub candidate: &'a Snapshot,
    pub base: &'a Snapshot,
    /// Decide who comes first, and the seed.
    pub coins: Dice,
    pub seeds: Dice,
}

impl Pairs<'_> {
    /// Reads both sides by one seed, in a random order.
    pub async fn next(
        &mut self,
        workshop: &Workshop,
        cancel: &CancellationToken,
    ) -> Result<Readings, CampaignError> {
        let round = workshop.round(self.base, self.seeds.number(), cancel);
        let round = round.await?;
        let candidate_first = self.coins.coin();
        let sides = if candidate_first {
            [self.candidate, self.champion]
        } else {
            [self.champion, self.candidate]
        };
        let first = workshop.read_metric(sides[0], &round, cancel).await?;
        let second = workshop.read_metric(sides[1], &round, cancel).await?;
        let (champion, candidate) = if candidate_first {
            (second, first)
        } else {
            (first, second)
        };
        Ok(Readings {
            champion,
            candidate,
            candidate_first,
        })
    }
}

impl Readings {
    pub fn clocks(&self) -> PairClocks {
        PairClocks {
            champion: self.champion.clocks(),
            candidate: self.candidate.clocks(),
        }
    }

    /// Returns both numbers beside the runner's clocks, or the verdict where a side gave none, and
    /// why.
    pub fn accounts(&self) -> Result<[Account; 2], (Verdict, String)> {
        let champion = self.champion.value.as_ref().map_err(|why| {
            let verdict = Verdict::Void(VoidReason::Infrastructure);
            (verdict, format!("the champion gave no metric: {why}"))
        })?;
        let candidate = self.candidate.value.as_ref().map_err(|why| {
            let reason = match self.candidate.exit {
                Exit::TimedOut => DiscardReason::TimedOut,
                _ => DiscardReason::NoMetric,
            };
            (Verdict::Discard(reason), why.clone())
        })?;
        Ok([
            self.champion.account(*champion),
            self.candidate.account(*candidate),
        ])
    }
}

/// One pair that was measured, and what all pairs until then say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub number: u32,
    pub champion: Metric,
    pub candidate: Metric,
    pub gain: f64,
    pub log_gain: f64,
    /// Evidence for the candidate and where it suffices.
    pub evidence: (f64, f64),
    /// Evidence against the candidate and where it suffices.
    pub against: (f64, f64),
    pub candidate_first: bool,
    pub seconds: f64,
    pub clocks: PairClocks,
}

impl Pair {
    /// Returns the event that tells this pair.
    pub fn measured(self, experiment: ExperimentNumber) -> EventKind {
        EventKind::PairMeasured {
            experiment,
            pair: self.number,
            champion: self.champion,
            candidate: self.candidate,
            gain: self.gain,
            evidence: self.evidence.0,
            threshold: self.evidence.1,
            against: self.against.0,
            against_threshold: self.against.1,
            candidate_first: self.candidate_first,
            seconds: self.seconds,
            clocks: Some(self.clocks),
        }
    }
}

/// The text of an experiment's `pairs.tsv`.
pub(super) struct PairsTable(String);

impl PairsTable {
    pub fn new() -> Self {
        Self(HEADER.to_owned())
    }

    /// Adds a pair.
    pub fn push(&mut self, pair: &Pair) {
        self.0.push_str(&row(pair));
    }

    /// Adds a last pair, which gave no two numbers.
    pub fn break_off(&mut self, number: u32, seen: &PairClocks) {
        let blank = "\t".repeat(9);
        let clocks = clocks(seen);
        self.0.push_str(&format!("{number}{blank}\t{clocks}\n"));
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

const HEADER: &str = "pair\tfirst\tchampion\tcandidate\tgain\tevidence\tthreshold\tagainst\tagainst_threshold\tseconds\t\
    champion_wall\tchampion_cpu\tchampion_exit\tcandidate_wall\tcandidate_cpu\tcandidate_exit\n";

fn row(pair: &Pair) -> String {
    let first = if pair.candidate_first {
        "candidate"
    } else {
        "champion"
    };
    let ((evidence, threshold), (against, against_threshold)) = (pair.evidence, pair.against);
    format!(
        "{}\t{first}\t{}\t{}\t{:.6}\t{evidence:.4}\t{threshold:.4}\t{against:.4}\t\
         {against_threshold:.4}\t{:.3}\t{}\n",
        pair.number,
        pair.champion,
        pair.candidate,
        pair.gain,
        pair.seconds,
        clocks(&pair.clocks)
    )
}

fn clocks(pair: &PairClocks) -> String {
    let told = |clocks: &Clocks| {
        let cpu = clocks.cpu_seconds.map(|cpu| format!("{cpu:.6}"));
        let exit = clocks.exit_code.map(|code| code.to_string());
        format!(
            "{:.6}\t{}\t{}",
            clocks.wall_seconds,
            cpu.unwrap_or_default(),
            exit.unwrap_or_default()
        )
    };
    format!("{}\t{}", told(&pair.champion), told(&pair.candidate))
}
