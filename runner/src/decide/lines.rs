//! Numbers of `METRIC name=value` lines, over several outputs of one command.

use std::collections::BTreeMap;

use super::extract::{NoNumber, metric_lines};
use super::noise::median_reading;
use crate::model::{Metric, Tracked};

/// The numbers that some outputs hold, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    readings: BTreeMap<String, Vec<Metric>>,
    /// Why a number is missing, for the first output where it is.
    missing: BTreeMap<String, NoNumber>,
}

impl Lines {
    /// Reads the numbers called `names` from one output.
    pub fn read<'n>(names: impl IntoIterator<Item = &'n str>, output: &[u8]) -> Self {
        let mut lines = Self::default();
        for name in names {
            match metric_lines(name, output) {
                Ok(value) => drop(lines.readings.insert(name.to_owned(), vec![value])),
                Err(why) => drop(lines.missing.insert(name.to_owned(), why)),
            }
        }
        lines
    }

    /// Adds what a later output holds.
    pub fn add(&mut self, later: Self) {
        for (name, readings) in later.readings {
            self.readings.entry(name).or_default().extend(readings);
        }
        for (name, why) in later.missing {
            self.missing.entry(name).or_insert(why);
        }
    }

    /// Returns the median of `name` over all outputs.
    ///
    /// # Errors
    ///
    /// Why one of the outputs has no such number; [`NoNumber::MissingLine`] when there was none.
    pub fn value(&self, name: &str) -> Result<Metric, NoNumber> {
        match (self.missing.get(name), self.readings.get(name)) {
            (None, Some(readings)) => Ok(median_reading(readings)),
            (Some(why), _) => Err(why.clone()),
            (None, None) => Err(NoNumber::MissingLine(name.to_owned())),
        }
    }

    /// Returns the medians of those of `names` that the outputs of any of `commands` hold, in the
    /// order of the names; where several commands print one, the first counts.
    pub fn tracked(names: &[String], commands: &[&Self]) -> Vec<Tracked> {
        let found = names.iter().filter_map(|name| {
            let readings = commands.iter().find_map(|lines| lines.readings.get(name));
            let value = median_reading(readings?);
            let name = name.clone();
            Some(Tracked { name, value })
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(value: f64) -> Metric {
        Metric::try_from(value).unwrap()
    }

    #[test]
    fn medians_are_taken_over_all_outputs() {
        let names = ["rss", "p99"];
        let mut lines = Lines::read(names, b"METRIC rss=3\nMETRIC p99=1\n");
        lines.add(Lines::read(names, b"METRIC rss=9\n"));
        lines.add(Lines::read(
            names,
            b"METRIC rss=4\nMETRIC p99=2\nMETRIC p99=2\n",
        ));
        assert_eq!(lines.value("rss"), Ok(metric(4.0)));
        // A number that decides must be in every output.
        assert_eq!(lines.value("p99"), Err(NoNumber::MissingLine("p99".into())));
        assert_eq!(lines.value("x"), Err(NoNumber::MissingLine("x".into())));
        let tracked = |name: &str, value| Tracked {
            name: name.into(),
            value: metric(value),
        };
        let names = ["p99", "x", "rss"].map(str::to_owned);
        let guard = Lines::read(["rss", "x"], b"METRIC rss=7\nMETRIC x=8\n");
        assert_eq!(
            Lines::tracked(&names, &[&lines, &guard]),
            [tracked("p99", 1.0), tracked("x", 8.0), tracked("rss", 4.0)]
        );
    }
}
