//! What is taken of what a command changed.

use crate::mutation::Mutation;
use crate::row::Row;

const INTAKE: &str = "runner/src/sandbox/intake.rs";
const UPPER: &str = "runner/src/sandbox/process/upper.rs";

pub fn mutations() -> Vec<Mutation> {
    vec![
        Mutation::new(
            "take-mutable",
            "only what is mutable is taken",
            Row::Changes,
        )
        .instead_near(
            INTAKE,
            "if !self.policy.is_mutable(path) {\n            Some(if",
            "!self.policy.is_mutable(path)",
            "false",
        )
        .caught_by(&["mixed/new.md"]),
        Mutation::new(
            "take-links",
            "links that leave the mutable set are dropped",
            Row::Changes,
        )
        .instead(
            INTAKE,
            "!resolve(&path, target).is_some_and(|target| self.policy.is_mutable(&target))",
            "false",
        )
        .caught_by(&["src/absolute-link", "src/outer-link"]),
        Mutation::new(
            "take-git",
            "nested `.git` folders are dropped",
            Row::Changes,
        )
        .instead(UPPER, "path.name() == b\".git\"", "false")
        .caught_by(&["src/nested/.git"]),
        Mutation::new(
            "take-special",
            "set-user-ID files are dropped",
            Row::Changes,
        )
        .instead(UPPER, "found.mode() & 0o6000 != 0", "false")
        .caught_by(&["src/set-user"]),
        Mutation::new(
            "take-hard-links",
            "files with several names are dropped",
            Row::Changes,
        )
        .instead(UPPER, "found.nlink() > 1", "false")
        .caught_by(&["src/hard-too"]),
        Mutation::new(
            "take-regular",
            "what is neither file nor link is dropped",
            Row::Changes,
        )
        .instead_near(
            UPPER,
            "} else if kind.is_fifo() {",
            "kind.is_fifo()",
            "false",
        )
        .caught_by(&["src/fifo"]),
    ]
}
