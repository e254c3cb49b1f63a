//! A run's experiments as a table for spreadsheets.

use std::fmt::Write;

use autoclave_policies::steers_terminal;

use crate::decide::progress::Progress;

/// Returns `results.tsv`: a header, then a line an experiment; what is not known is empty. Columns
/// `track:NAME` come last, for what was tracked on the base.
pub fn results_tsv(progress: &Progress) -> String {
    let mut table =
        String::from("experiment\tcommit\tmetric\tverdict\treason\tgain\tpairs\tcost_usd\tsummary");
    let baseline = progress.baseline.as_ref();
    let tracks = baseline.map_or(&[][..], |baseline| &baseline.tracks);
    for track in tracks {
        table.push_str(&format!("\ttrack:{}", one_cell(&track.name)));
    }
    table.push('\n');
    for experiment in &progress.experiments {
        let commit = experiment.commit.as_ref().map_or("", |id| id.as_str());
        let value = experiment.value.map_or_else(String::new, |v| v.to_string());
        let gain = experiment
            .gain
            .map_or_else(String::new, |g| format!("{g:.6}"));
        write!(
            table,
            "{}\t{commit}\t{value}\t{}\t{}\t{gain}\t{}\t{:.6}\t{}",
            experiment.n,
            experiment.verdict.word(),
            experiment.verdict.reason().unwrap_or_default(),
            experiment.pairs,
            experiment.usage.cost_usd.dollars(),
            one_cell(&experiment.summary),
        )
        .expect("writing to a string cannot fail");
        for track in tracks {
            let found = experiment.tracks.iter().find(|one| one.name == track.name);
            let value = found.map_or_else(String::new, |one| one.value.to_string());
            table.push_str(&format!("\t{value}"));
        }
        table.push('\n');
    }
    table
}

/// Returns `text` without what would end its cell or line.
fn one_cell(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || steers_terminal(c))
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::record::Record;
    use crate::decide::samples::{baseline, experiment, kept, opened, started};
    use crate::model::{Verdict, VoidReason};

    #[test]
    fn an_experiment_is_one_line_whatever_its_summary_holds() {
        let mut void = experiment(2, Verdict::Void(VoidReason::Cancelled));
        void.summary = "two\tcells\nand\r\nlines\u{1b}[0m".into();
        let records = [
            opened(),
            baseline(),
            started(1, 'b'),
            Record::ExperimentDecided(kept(1)),
            started(2, '1'),
            Record::ExperimentDecided(void),
        ];
        let progress = Progress::fold(records.into_iter()).unwrap().unwrap();
        assert_eq!(
            results_tsv(&progress),
            "experiment\tcommit\tmetric\tverdict\treason\tgain\tpairs\tcost_usd\tsummary\ttrack:rss\n\
             1\t1111111111111111111111111111111111111111\t92\tkeep\t\t0.080000\t7\t0.250000\tUse the built-in sort\t7.25\n\
             2\t\t\tvoid\tcancelled\t\t3\t0.500000\ttwo cells and lines [0m\t\n"
        );
    }
}
