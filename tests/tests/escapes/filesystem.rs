//! Files that the command may not write, in every way to write them.

use crate::case::Outcome::Denied;
use crate::case::{Case, Group};
use crate::place::Surroundings;
use crate::row::{LANDLOCK, Row};

crate::on_each_row!(crate::filesystem::GROUP);

pub const GROUP: Group = Group {
    name: "filesystem",
    cases: CASES,
    surroundings: Surroundings::none,
};

const CASES: &[Case] = &[
    Case::denied("write a file", "write_file", "{outside}/canary", "ENOENT")
        .granted("open/file.txt")
        .on(LANDLOCK, Denied("EACCES")),
    Case::denied(
        "write a shown file",
        "write_file",
        "{shown}/canary",
        "EACCES",
    )
    .on(&[Row::SealedAsUser], Denied("EROFS")),
    Case::denied(
        "write an immutable file",
        "write_file",
        "fixed/file.txt",
        "EACCES",
    ),
    Case::harmless(
        "write a file with another name outside",
        "write_file",
        "open/linked.txt",
        "the workspace is made of what was committed: a link of the checkout is not in it",
    ),
];
