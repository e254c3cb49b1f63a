//! A branch for each idea that stands alone.

use autoclave_policies::RepoPath;

use super::branch::part_name;
use super::guards::Guarded;
use super::pick::Line;
use super::rounds::Need;
use super::{Bond, Made, Work};
use crate::campaign::CampaignError;
use crate::campaign::emitter::Emitter;
use crate::decide::progress::ExperimentRecord;
use crate::model::ExperimentNumber;
use crate::sandbox::Snapshot;

/// Winners that go on one branch.
type Part<'a> = Vec<&'a ExperimentRecord>;

/// Puts winners that need one another on one branch and all others on branches of their own, each
/// measured against the base in the same rounds.
///
/// Two winners need one another when the later does not go onto the base without the earlier, or
/// when a guard fails on the one without the other.
///
/// # Errors
///
/// See [`super::finalize`].
pub(super) async fn split(
    work: &Work<'_>,
    winners: &[&ExperimentRecord],
    name: &str,
    emitter: &mut Emitter<'_>,
) -> Result<Made, CampaignError> {
    let mut bonds = Vec::new();
    let parts = by_conflicts(work, winners, &mut bonds)?;
    let standing = stand_alone(work, parts, &mut bonds).await?;
    let base = &work.base.measured;
    let mut sides = vec![work.side("the base".into(), base, Need::Metric).await?];
    for (n, part) in standing.iter().enumerate() {
        let name = part_name(name, n + 1);
        sides.push(work.side(name, &part.measured, Need::Metric).await?);
    }
    let needed = sides.len();
    let rounds = work.rounds(standing.len());
    work.measure(&mut sides, needed, rounds, emitter).await?;
    let mut branches = Vec::new();
    for (part, side) in standing.into_iter().zip(&sides[1..]) {
        let contrast = sides[0].against(side);
        branches.push(work.finish(part.line, side.name.clone(), part.guarded, contrast)?);
    }
    Ok(Made {
        branches,
        left_out: Vec::new(),
        bonds,
    })
}

/// Groups winners so that each group goes onto the base without the others.
fn by_conflicts<'a>(
    work: &Work<'_>,
    winners: &[&'a ExperimentRecord],
    bonds: &mut Vec<Bond>,
) -> Result<Vec<Part<'a>>, CampaignError> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    for (position, winner) in winners.iter().enumerate() {
        let mut part = vec![*winner];
        // Each turn joins one more part, so this ends with all of them at the latest.
        while let Some((later, paths)) = missing(work, &part)? {
            let earlier: Vec<_> = winners[..position]
                .iter()
                .copied()
                .take_while(|earlier| earlier.n != later)
                .filter(|earlier| !part.iter().any(|own| own.n == earlier.n))
                .collect();
            let changed = work.last_to_change(&paths, &earlier)?;
            // Where none changed the same, whatever came before it is what it needs.
            let needed = changed.or_else(|| earlier.last().map(|last| last.n));
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            let Some(earlier) = needed else {
                return Err(CampaignError::Conflict {
                    earlier: "the base".into(),
                    later: later.to_string(),
                    paths,
                });
            };
            let why = format!("both change {}", paths.join(", "));
            bonds.push(Bond {
                earlier,
                later,
                why,
            });
            part = join(&mut parts, earlier, part);
        }
        parts.push(part);
    }
    parts.sort_by_key(|part| part[0].n);
    Ok(parts)
}

/// Returns which winner of `part` does not go onto the base with the others of it alone, and the
/// paths in the way; one that comes to nothing there is one, too.
fn missing(
    work: &Work<'_>,
    part: &[&ExperimentRecord],
) -> Result<Option<(ExperimentNumber, Vec<RepoPath>)>, CampaignError> {
    Ok(match work.pick(part)? {
        Err(clash) => Some((clash.experiment, clash.paths)),
        Ok(line) if line.commits.is_empty() => Some((part[0].n, work.paths_of(part[0])?)),
        Ok(_) => None,
    })
}

/// Takes the part that holds `number` out of `parts` and returns it with `other`.
fn join<'a>(parts: &mut Vec<Part<'a>>, number: ExperimentNumber, other: Part<'a>) -> Part<'a> {
    let holds = |part: &Part<'_>| part.iter().any(|winner| winner.n == number);
    match parts.iter().position(holds) {
        Some(index) => united(&parts.remove(index), &other),
        None => other,
    }
}

/// A part whose guards pass without the other parts.
struct Standing {
    line: Line,
    measured: Snapshot,
    guarded: Guarded,
}

/// Joins each part that does not pass its guards alone with another, until all pass.
async fn stand_alone(
    work: &Work<'_>,
    mut parts: Vec<Part<'_>>,
    bonds: &mut Vec<Bond>,
) -> Result<Vec<Standing>, CampaignError> {
    let mut standing: Vec<(Part<'_>, Standing)> = Vec::new();
    while let Some(part) = parts.pop() {
        let failed = match stands(work, &part).await? {
            Ok(alone) => {
                standing.push((part, alone));
                continue;
            }
            Err(failed) => failed,
        };
        // The nearest before it is the likeliest; the others are behind those.
        let earlier = std::mem::take(&mut parts);
        let mut others: Vec<Part<'_>> = earlier.into_iter().rev().collect();
        others.extend(standing.drain(..).rev().map(|(part, _)| part));
        if others.is_empty() {
            let problem = format!("{failed}, on the finished branch");
            return Err(CampaignError::BaselineNotGreen(problem));
        }
        let mut helps = 0;
        for (index, other) in others.iter().enumerate() {
            if stands(work, &united(&part, other)).await?.is_ok() {
                helps = index;
                break;
            }
        }
        let other = others.remove(helps);
        bonds.push(Bond {
            earlier: part[0].n.min(other[0].n),
            later: part[0].n.max(other[0].n),
            why: format!(
                "without the other, experiment {} fails {}",
                part[0].n,
                failed.lines().next().unwrap_or_default()
            ),
        });
        others.push(united(&part, &other));
        others.sort_by_key(|part| part[0].n);
        parts = others;
    }
    standing.reverse();
    Ok(standing.into_iter().map(|(_, standing)| standing).collect())
}

/// Tries a part on the base; the inner `Err` says which guard fails, and how.
async fn stands(
    work: &Work<'_>,
    part: &[&ExperimentRecord],
) -> Result<Result<Standing, String>, CampaignError> {
    let line = work.fit_together(part)?;
    let measured = work.workshop.measured(&work.base, &line.tip).await?;
    Ok(work.check_guards(&measured).await?.map(|guarded| Standing {
        line,
        measured,
        guarded,
    }))
}

/// Returns the winners of both parts, in the run's order.
fn united<'a>(one: &[&'a ExperimentRecord], other: &[&'a ExperimentRecord]) -> Part<'a> {
    let mut both = [one, other].concat();
    both.sort_by_key(|winner| winner.n);
    both
}
