//! Whose the files of a workspace are.

use crate::mutation::Mutation;
use crate::row::Row;

const OWNERS: &str = "runner/src/sandbox/owners.rs";

pub fn mutations() -> Vec<Mutation> {
    let open = "return self.attributes(false, 0o1777);";
    let root = "self.attributes(false, if self.is_root_open { 0o1777 } else { 0o755 })";
    vec![
        Mutation::new(
            "file-owner",
            "files that are not mutable belong to root",
            Row::Sealed,
        )
        .instead_near(
            OWNERS,
            "self.files.contains(path) || self.is_in_tree(path), mode",
            "self.files.contains(path) || self.is_in_tree(path)",
            "true",
        )
        .also(Row::Docker)
        .caught_by(&["mixed-write", "mixed-remove"]),
        Mutation::new(
            "folder-owner",
            "folders that are not mutable belong to root",
            Row::Sealed,
        )
        .instead_near(
            OWNERS,
            "self.attributes(self.is_in_tree(path), 0o755)",
            "self.is_in_tree(path)",
            "true",
        )
        .also(Row::Docker)
        .caught_by(&["mixed-make-file"]),
        Mutation::new(
            "mixed-sticky",
            "the sticky bit of mixed folders",
            Row::Sealed,
        )
        .instead_near(OWNERS, open, "0o1777", "0o777")
        .also(Row::Docker)
        .caught_by(&["mixed-remove", "mixed-rename"]),
        Mutation::new("mixed-owner", "mixed folders belong to root", Row::Sealed)
            .instead_near(OWNERS, open, "false", "true")
            .also(Row::Docker)
            .caught_by(&["mixed-remove", "mixed-mode"]),
        Mutation::new(
            "top-sticky",
            "the sticky bit of a mixed workspace",
            Row::Mixed,
        )
        .instead_near(OWNERS, root, "0o1777", "0o777")
        .caught_by(&["top-remove"]),
        Mutation::new("top-owner", "a mixed workspace belongs to root", Row::Mixed)
            .instead_near(OWNERS, root, "false", "true")
            .caught_by(&["top-remove", "top-mode"]),
    ]
}
