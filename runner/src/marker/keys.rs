//! The keys of the file, section by section.

use super::decode::Trouble;

/// The keys of one mapping.
pub(super) struct Section {
    /// Its name in the JSON Schema's `$defs`; empty for the file itself.
    pub name: &'static str,
    pub keys: &'static [&'static str],
    /// Those that the older tool's files have too.
    pub older: &'static [&'static str],
}

/// The file itself.
pub(super) const FILE: Section = Section {
    name: "",
    keys: &["markers"],
    older: &["markers"],
};
pub(super) const MARKER: Section = Section {
    name: "marker",
    keys: &[
        "name",
        "description",
        "status",
        "target",
        "prepare",
        "metric",
        "guard",
        "guards",
        "golden",
        "track",
        "loop",
        "agent",
        "sandbox",
    ],
    older: &[
        "name",
        "description",
        "status",
        "target",
        "metric",
        "guard",
        "loop",
        "agent",
    ],
};
pub(super) const TARGET: Section = Section {
    name: "target",
    keys: &["mutable", "immutable", "hidden", "scratch"],
    older: &["mutable", "immutable"],
};
pub(super) const PREPARE: Section = Section {
    name: "prepare",
    keys: &["command", "timeout"],
    older: &[],
};
pub(super) const METRIC: Section = Section {
    name: "metric",
    keys: &[
        "command",
        "harness",
        "extract",
        "name",
        "unit",
        "direction",
        "baseline",
        "build",
        "timeout",
        "min_effect",
        "design_effect",
        "alpha",
        "max_pairs",
        "target",
    ],
    older: &["command", "extract", "direction", "baseline"],
};
pub(super) const HARNESS: Section = Section {
    name: "harness",
    keys: &["input", "check"],
    older: &[],
};
pub(super) const GOLDEN: Section = Section {
    name: "golden",
    keys: &["command", "inputs", "generate", "count", "timeout"],
    older: &[],
};
pub(super) const GUARD: Section = Section {
    name: "guard",
    keys: &[
        "name",
        "command",
        "metric",
        "extract",
        "kind",
        "threshold",
        "direction",
        "tolerance",
        "tests",
        "hidden",
        "liveness",
        "rework_attempts",
        "timeout",
    ],
    older: &["command", "extract", "threshold", "rework_attempts"],
};
pub(super) const LOOP: Section = Section {
    name: "loop",
    keys: &[
        "model",
        "budget_per_experiment",
        "max_experiments",
        "max_cost_usd",
        "stop_after_no_gain",
        "refine_after",
        "pivot_after",
        "pivots_before_outside",
        "pivots_before_stop",
    ],
    older: &["model", "budget_per_experiment", "max_experiments"],
};
pub(super) const AGENT: Section = Section {
    name: "agent",
    keys: &[
        "name",
        "model",
        "permission_mode",
        "allowed_tools",
        "disallowed_tools",
        "command",
        "protocol",
        "max_turns",
        "from_host",
    ],
    older: &[
        "name",
        "model",
        "permission_mode",
        "allowed_tools",
        "disallowed_tools",
    ],
};
pub(super) const SANDBOX: Section = Section {
    name: "sandbox",
    keys: &[
        "backend",
        "image",
        "measure",
        "policy",
        "read",
        "env",
        "limits",
        "allow_degraded",
    ],
    older: &[],
};
pub(super) const LIMITS: Section = Section {
    name: "limits",
    keys: &["memory", "cpus", "pids", "disk"],
    older: &[],
};

/// A policy file's own.
pub(super) const POLICY: Section = Section {
    name: "policy",
    keys: &["extends", "read", "deny", "path", "env", "examples"],
    older: &[],
};
pub(super) const EXAMPLES: Section = Section {
    name: "examples",
    keys: &["allowed", "denied"],
    older: &[],
};

pub(super) const SECTIONS: [&Section; 14] = [
    &FILE, &MARKER, &TARGET, &PREPARE, &METRIC, &HARNESS, &GUARD, &GOLDEN, &LOOP, &AGENT, &SANDBOX,
    &LIMITS, &POLICY, &EXAMPLES,
];

/// Returns what to say about a key that `section` does not know.
pub(super) fn unknown(name: &str, section: &Section) -> Trouble {
    let trouble = Trouble::new(format!("unknown key `{name}`"));
    if name == "<<" {
        return trouble.hint("merge keys are not supported; write the keys out");
    }
    if let Some(near) = nearest(name, section.keys) {
        return trouble.hint(format!("did you mean `{near}`?"));
    }
    let home = SECTIONS
        .iter()
        .find(|other| !other.name.is_empty() && other.keys.contains(&name));
    match home {
        Some(home) => trouble.hint(format!("`{name}` belongs to `{}`", home.name)),
        None => trouble.hint(format!("known keys: {}", section.keys.join(", "))),
    }
}

/// Returns the word that `name` is most likely a slip for, if one is near enough.
pub(super) fn nearest<'w>(name: &str, words: &[&'w str]) -> Option<&'w str> {
    let folded = name.to_lowercase().replace('-', "_");
    let near = words
        .iter()
        .map(|word| (distance(&folded, &word.replace('-', "_")), *word))
        .min_by_key(|(distance, _)| *distance)?;
    let longest_slip = (name.chars().count() / 3).clamp(1, 3);
    (near.0 <= longest_slip).then_some(near.1)
}

/// Returns how many characters must be added, removed or replaced (Levenshtein, 1966).
///
/// Only the first 40 characters of `a` count.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(40).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_other_words_do_not() {
        assert_eq!(nearest("mutabel", TARGET.keys), Some("mutable"));
        assert_eq!(nearest("max-pairs", METRIC.keys), Some("max_pairs"));
        assert_eq!(nearest("colour", METRIC.keys), None);
    }

    #[test]
    fn a_key_of_another_section_is_sent_there() {
        let hint = unknown("memory", &SANDBOX).hint;
        assert_eq!(hint.as_deref(), Some("`memory` belongs to `limits`"));
    }
}
