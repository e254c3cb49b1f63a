//! Whether the kernel has killed something of this container for memory.

use std::fs;

/// The container's own cgroup as engines mount it, with either version of cgroups.
const COUNTERS: [&str; 2] = [
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
];

/// Says whether anything was killed; where nothing is mounted, the engine is the one to know.
pub fn has_run_out() -> bool {
    let texts = COUNTERS.iter().map(fs::read_to_string);
    texts.flatten().any(|text| counts_a_kill(&text))
}

/// Reads the line `oom_kill COUNT`, which both versions have; see cgroups(7).
fn counts_a_kill(text: &str) -> bool {
    let mut counts = text
        .lines()
        .filter_map(|line| line.strip_prefix("oom_kill "));
    counts.any(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
}

#[cfg(test)]
mod tests {
    use super::counts_a_kill;

    #[test]
    fn kills_are_counted_in_both_versions() {
        let second = "low 0\nhigh 0\nmax 73\noom 1\noom_kill 1\noom_group_kill 0\n";
        assert!(counts_a_kill(second));
        assert!(!counts_a_kill(&second.replace("oom_kill 1", "oom_kill 0")));
        let first = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        assert!(counts_a_kill(first));
        assert!(!counts_a_kill(
            "oom_kill_disable 1\nunder_oom 1\noom_kill 0\n"
        ));
    }
}
