//! What a run left: results, ledger, events, files.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::Stage;

impl Stage {
    /// Returns what `results --json` tells of the marker's latest run.
    #[track_caller]
    pub fn results(&self, marker: &str) -> Value {
        self.autoclave(&["results", "-m", marker, "--json"])
            .expect(0)
            .json()
    }

    /// Returns verdict and reason of each experiment, as `keep` or `discard worse`.
    #[track_caller]
    pub fn verdicts(&self, marker: &str) -> Vec<String> {
        let results = self.results(marker);
        let experiments = results["experiments"].as_array().expect("a list");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        experiments
            .iter()
            .map(|e| format!("{} {}", word(&e["verdict"]), word(&e["reason"])))
            .map(|words| words.trim_end().to_owned())
            .collect()
    }

    /// Returns the folder of the latest run.
    pub fn run_folder(&self) -> PathBuf {
        let runs = fs::read_dir(self.repo().join(".autoclave/runs")).expect("there was a run");
        let runs = runs.map(|run| run.expect("readable").path());
        runs.filter(|run| run.is_dir())
            .max()
            .expect("there was a run")
    }

    /// Returns the events of the latest run, in order.
    pub fn events(&self) -> Vec<Value> {
        self.lines("events.jsonl")
    }

    /// Returns the events called `name` of the latest run, in order.
    pub fn events_of(&self, name: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["event"] == name);
        events
    }

    /// Returns the ledger of the latest run.
    pub fn ledger(&self) -> Vec<Value> {
        self.lines("ledger.jsonl")
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.run_folder().join(name)).expect("the run wrote it");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }

    /// Returns what tools told the model until now, as one text.
    pub fn told(&self) -> String {
        let results = self.model().tool_results();
        let texts: Vec<&str> = results.iter().map(|result| result.text.as_str()).collect();
        texts.join("\n")
    }
}
