//! The toy repository of `autoclave demo`: shell only, so that it runs on any machine.

/// The files of the repository: path and text. Nothing is executable; all is started by `sh`.
pub const FILES: &[(&str, &str)] = &[
    (
        ".autoclave/config.yaml",
        include_str!("repo/.autoclave/config.yaml"),
    ),
    (".demo/agent.sh", include_str!("repo/.demo/agent.sh")),
    ("src/count.sh", include_str!("repo/src/count.sh")),
    ("tests/bench.sh", include_str!("repo/tests/bench.sh")),
    ("tests/guard.sh", include_str!("repo/tests/guard.sh")),
    ("tests/text.txt", include_str!("repo/tests/text.txt")),
];

/// The marker of the repository's configuration.
pub const MARKER: &str = "fewer-steps";

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    fn toy_repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in FILES {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn sh(folder: &Path, script: &str) -> (bool, String) {
        let output = Command::new("sh")
            .arg(script)
            .current_dir(folder)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    /// Plays the attempt that follows `done` experiments. Never 3: the escape needs a sandbox.
    fn attempt(folder: &Path, done: usize) {
        let brief = folder.join("brief");
        std::fs::write(&brief, "1. keep\n".repeat(done)).unwrap();
        let status = Command::new("sh")
            .arg(".demo/agent.sh")
            .current_dir(folder)
            .stdin(std::fs::File::open(&brief).unwrap())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[test]
    fn configuration_names_the_marker() {
        assert!(FILES[0].1.contains(&format!("- name: {MARKER}\n")));
    }

    #[test]
    fn base_is_right_and_its_metric_is_the_same_every_time() {
        let folder = toy_repository();
        assert!(sh(folder.path(), "tests/guard.sh").0);
        assert_eq!(sh(folder.path(), "tests/bench.sh").1, "steps=1701\n");
        assert_eq!(sh(folder.path(), "tests/bench.sh").1, "steps=1701\n");
    }

    #[test]
    fn attempts_are_a_gain_a_regression_a_guard_breaker_and_a_gain() {
        let folder = toy_repository();
        attempt(folder.path(), 0);
        assert!(sh(folder.path(), "tests/guard.sh").0);
        assert_eq!(sh(folder.path(), "tests/bench.sh").1, "steps=63\n");
        attempt(folder.path(), 1);
        assert!(sh(folder.path(), "tests/guard.sh").0);
        assert_eq!(sh(folder.path(), "tests/bench.sh").1, "steps=126\n");
        attempt(folder.path(), 2);
        assert!(!sh(folder.path(), "tests/guard.sh").0);
        attempt(folder.path(), 4);
        assert!(sh(folder.path(), "tests/guard.sh").0);
        assert_eq!(sh(folder.path(), "tests/bench.sh").1, "steps=26\n");
    }
}
