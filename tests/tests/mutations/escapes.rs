//! Cases of the escape suite, played where what stops them is gone.
//!
//! The attacks are those of tests/tests/escapes, with that suite's own program. docs/escapes.md says
//! what each must come to: it must, with nothing removed, and must not with the line gone. So the
//! case fails in that suite, too.

use crate::play::{Player, Proof};
use crate::row::Row;

/// What the escape suite measured; its own test fails where that is no longer true.
const DOCUMENT: &str = include_str!("../../../docs/escapes.md");

/// An attack, and what must be gone for it to come to something else.
#[derive(Debug, Clone, Copy)]
pub struct Escape {
    pub gone: &'static [&'static str],
    pub row: Row,
    pub group: &'static str,
    /// Its name in that suite.
    pub case: &'static str,
    /// A function of that suite's program, and its argument here, see [`Outside::fill_in`].
    ///
    /// [`Outside::fill_in`]: crate::outside::Outside::fill_in
    pub attack: &'static str,
    pub argument: &'static str,
}

const fn escape(
    gone: &'static [&'static str],
    row: Row,
    [group, case, attack, argument]: [&'static str; 4],
) -> Escape {
    Escape {
        gone,
        row,
        group,
        case,
        attack,
        argument,
    }
}

const LOOPBACK: [&str; 4] = [
    "network",
    "the host's loopback",
    "connect_tcp",
    "127.0.0.1 {port}",
];
const MESSAGES: [&str; 4] = ["kernel", "System V messages", "messages", "{queue}"];
const USERS: [&str; 4] = ["kernel", "unshare: users", "unshare", "user"];
const BESIDE: [&str; 4] = [
    "filesystem",
    "write an immutable file beside mutable ones",
    "write_file",
    "mixed/keep.md",
];
const SHOWN: [&str; 4] = [
    "filesystem",
    "write a shown file that everybody may write",
    "write_file",
    "{view}/loose",
];

pub const ALL: &[Escape] = &[
    escape(
        &["namespace-pid"],
        Row::Sealed,
        ["processes", "kill", "kill", "{process}"],
    ),
    escape(&["namespace-ipc"], Row::Sealed, MESSAGES),
    escape(&["namespace-network"], Row::Sealed, LOOPBACK),
    escape(&["mount-bind-read-only"], Row::Sealed, SHOWN),
    escape(&["file-owner"], Row::Sealed, BESIDE),
    escape(&["seccomp"], Row::Sealed, USERS),
    escape(
        &["environment-helper", "environment-command"],
        Row::Sealed,
        [
            "environment",
            "GITHUB_TOKEN",
            "has_variable",
            "GITHUB_TOKEN",
        ],
    ),
    escape(
        &["landlock"],
        Row::SealedUser,
        [
            "filesystem",
            "write an immutable file",
            "write_file",
            "keep/write",
        ],
    ),
    escape(
        &["readable"],
        Row::Landlock,
        [
            "filesystem",
            "read a file outside",
            "read_file",
            "{outside}/canary",
        ],
    ),
    escape(
        &["descriptors-command"],
        Row::Landlock,
        [
            "environment",
            "a file left open to read",
            "has_descriptor",
            "9",
        ],
    ),
    escape(&["sockets"], Row::Landlock, LOOPBACK),
    escape(&["host-calls"], Row::Landlock, MESSAGES),
    escape(&["container-network"], Row::Docker, LOOPBACK),
    escape(&["container-ipc"], Row::Docker, MESSAGES),
    escape(&["container-read-only"], Row::Docker, SHOWN),
    escape(&["file-owner"], Row::Docker, BESIDE),
    escape(
        &["container-seccomp", "contained-filter"],
        Row::Docker,
        USERS,
    ),
    escape(
        &["contained-hidden"],
        Row::Docker,
        [
            "processes",
            "the helper's environment",
            "read_process",
            "helper environ",
        ],
    ),
    escape(
        &["container-user"],
        Row::Docker,
        ["kernel", "root's uid", "become_user", "0"],
    ),
];

impl Escape {
    /// Returns what docs/escapes.md says it comes to.
    pub fn documented(&self) -> &'static str {
        let column = match self.row {
            Row::Sealed => 0,
            Row::SealedUser => 1,
            Row::Landlock => 2,
            Row::LandlockUser => 3,
            Row::Docker => 4,
            Row::Podman => 5,
            other => panic!("docs/escapes.md has no column for {}", other.words()),
        };
        let group = format!("### {}\n", self.group);
        let group = DOCUMENT.split(&group).nth(1).unwrap();
        let start = format!("| {} | ", self.case);
        let mut lines = group.lines().take_while(|line| !line.starts_with('#'));
        let cells = lines.find_map(|line| line.strip_prefix(&start));
        let cells = cells.unwrap_or_else(|| panic!("docs/escapes.md has no case {}", self.case));
        cells
            .split(" | ")
            .nth(column)
            .unwrap()
            .trim_end_matches(" |")
    }

    fn line(&self, player: &Player) -> String {
        let argument = player.outside.fill_in(self.row, self.argument);
        format!("{}\t{}\t{argument}\n", self.case, self.attack)
    }
}

/// Says which cases on `row` do not come to what is documented with nothing removed.
pub fn control(player: &Player, row: Row) -> Vec<String> {
    let cases: Vec<&Escape> = ALL.iter().filter(|one| one.row == row).collect();
    if cases.is_empty() {
        return Vec::new();
    }
    let lines: String = cases.iter().map(|one| one.line(player)).collect();
    let played = player.attack(row, &[], Proof::On, &lines);
    let others = cases.into_iter().filter_map(|one| {
        let found = played
            .answers
            .get(one.case)
            .map_or("nothing", String::as_str);
        (found != one.documented()).then(|| {
            let (row, case, wanted) = (row.words(), one.case, one.documented());
            format!(
                "{row}: {case} is `{found}` and not `{wanted}`: {}",
                played.said
            )
        })
    });
    others.collect()
}

/// Says where a case comes to what is documented although what stops it is gone.
pub fn unnoticed(player: &Player, one: &Escape) -> Vec<String> {
    let played = player.attack(one.row, one.gone, Proof::Off, &one.line(player));
    let found = played.answers.get(one.case).map(String::as_str);
    if found.is_some_and(|found| found != one.documented()) {
        return Vec::new();
    }
    let (gone, row, case) = (one.gone, one.row.words(), one.case);
    vec![format!(
        "{case} on {row} is {found:?} without {gone:?}: {}",
        played.said
    )]
}
