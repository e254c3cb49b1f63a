//! What the paired rule promises, on simulated sessions of 100 experiments; the same on every machine.

use e2e::judging::rules::Rule;
use e2e::judging::worlds::World;
use e2e::judging::{Candidates, picture, play};

const SESSIONS: u32 = 40;

#[test]
fn at_most_alpha_of_the_null_experiments_are_kept_whatever_the_noise() {
    for world in World::ALL {
        let score = play(Rule::Paired, world, Candidates::Null, SESSIONS);
        assert_eq!(score.neutral.of, 100 * SESSIONS);
        let share = score.neutral.share();
        assert!(share <= 0.02, "{}: {share}", world.name());
    }
}

#[test]
fn most_gains_of_three_percent_are_kept_and_no_regression_is() {
    for (world, least) in [
        (World::Gaussian, 0.60),
        (World::HeavyOneSided, 0.75),
        (World::Drift, 0.75),
        (World::Bursts, 0.55),
    ] {
        let score = play(Rule::Paired, world, Candidates::Mixed, SESSIONS);
        assert_eq!(
            (score.better.of, score.worse.of),
            (20 * SESSIONS, 20 * SESSIONS)
        );
        let share = score.better.share();
        assert!(share >= least, "{}: {share}", world.name());
        assert_eq!(score.worse.kept, 0, "{}", world.name());
    }
}

#[test]
fn what_is_really_gained_is_not_far_from_what_is_reported() {
    for world in World::ALL {
        let score = play(Rule::Paired, world, Candidates::Mixed, SESSIONS);
        let (reported, truth) = (score.reported_gain(), score.true_gain());
        assert!(truth > 0.25, "{}: {truth}", world.name());
        assert!(
            reported - truth < 0.13,
            "{}: {reported} {truth}",
            world.name()
        );
    }
}

#[test]
fn one_reading_against_the_stored_best_keeps_luck_and_then_misses_gains() {
    let null = play(
        Rule::StoredBest,
        World::Gaussian,
        Candidates::Null,
        SESSIONS,
    );
    let per_session = f64::from(null.neutral.kept) / f64::from(SESSIONS);
    assert!((3.0..7.0).contains(&per_session), "{per_session}");
    assert!(null.reported_gain() > 0.08, "{}", null.reported_gain());
    let mixed = play(
        Rule::StoredBest,
        World::Gaussian,
        Candidates::Mixed,
        SESSIONS,
    );
    assert!(mixed.better.share() < 0.3, "{}", mixed.better.share());
}

#[test]
fn the_picture_of_the_handbook_is_what_the_rule_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/media/evidence.svg");
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == picture::svg(),
        "docs/media/evidence.svg is old; renew it: \
         cargo bench -p e2e --bench judge -- --svg > docs/media/evidence.svg"
    );
}
