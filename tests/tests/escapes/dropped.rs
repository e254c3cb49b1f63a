//! What a command may make inside and nobody takes out: names that steer, and what harms readers.
//!
//! Each attack gets through, in a folder that is mutable as a whole. The assertion is on what comes
//! out: the report of `autoclave exec`, which is read as a run reads what its agent left.

use std::collections::BTreeMap;

use e2e::stage::Checkout;
use serde_json::Value;

use crate::place::Surroundings;
use crate::play::Scene;
use crate::row::{AS_USER, Row};

type Attack = (&'static str, &'static str, &'static str, Fate);

/// What is made: the path that tells of it, the attack, its argument, and what becomes of it.
pub const ATTACKS: &[Attack] = &[
    // What runs later, with more rights, when a person, an editor, git or CI meets it.
    steering("open/.claude/settings.json"),
    steering("open/.mcp.json"),
    steering("open/.envrc"),
    steering("open/conftest.py"),
    steering("open/sitecustomize.py"),
    steering("open/Makefile"),
    steering("open/build.rs"),
    steering("open/.cargo/config.toml"),
    steering("open/.vscode/tasks.json"),
    steering("open/pyvenv.cfg"),
    steering("open/.gitmodules"),
    steering("open/.gitattributes"),
    // The same for those whose file system does not tell letters' cases apart.
    steering("open/case/.Claude/settings.json"),
    steering("open/case/.GIT/config"),
    steering("open/case/makefile"),
    // What steers tests is read where the case of letters counts: this is another name.
    (
        "open/case/CONFTEST.PY",
        "create_with_parents",
        "open/case/CONFTEST.PY",
        Fate::Taken,
    ),
    // Git's own files: a repository within, a `.git` that is a file; and those of the workspace's
    // own repository, of which nothing is ever read.
    (
        "open/nested/.git",
        "create_with_parents",
        "open/nested/.git/config",
        Fate::Dropped,
    ),
    (
        "open/linked/.git",
        "create_with_parents",
        "open/linked/.git",
        Fate::Dropped,
    ),
    (
        "",
        "create_with_parents",
        ".git/hooks/post-checkout",
        Fate::Unseen,
    ),
    (
        "",
        "create_with_parents",
        ".git/objects/info/alternates",
        Fate::Unseen,
    ),
    (
        "",
        "create_with_parents",
        ".git/info/attributes",
        Fate::Unseen,
    ),
    (
        "",
        "create_with_parents",
        ".git/config.worktree",
        Fate::Unseen,
    ),
    ("", "create_with_parents", ".git/commondir", Fate::Unseen),
    // Odd names are names.
    taken("open/-rf"),
    taken("open/trailing. "),
    taken("open/cafe\u{301}.txt"),
    taken("open/caf\u{e9}.txt"),
    (
        "open/new\\x0aline",
        "create",
        "open/new\\x0aline",
        Fate::Taken,
    ),
    ("open/\\xff.txt", "create", "open/\\xff.txt", Fate::Taken),
    // What harms whoever reads the tree.
    ("open/fifo", "make_fifo", "open/fifo", Fate::Dropped),
    (
        "open/socket",
        "make_socket_node",
        "open/socket",
        Fate::Untaken,
    ),
    ("open/setuid", "set_setuid", "open/setuid", Fate::Dropped),
    (
        "open/hard.txt",
        "hard_link",
        "open/mine.txt open/hard.txt",
        Fate::Dropped,
    ),
    (
        "open/out",
        "symbolic_link",
        "/etc/passwd open/out",
        Fate::Dropped,
    ),
    (
        "open/up",
        "symbolic_link",
        "../../outside/canary open/up",
        Fate::Dropped,
    ),
    ("open/one", "make_loop", "open/one open/other", Fate::Taken),
    ("open/other", "symbolic_link", "one open/third", Fate::Taken),
    (
        "open/unreadable",
        "make_unreadable_directory",
        "open/unreadable",
        Fate::Unreadable,
    ),
    (
        "open/unreadable.txt",
        "make_unreadable_file",
        "open/unreadable.txt",
        Fate::Unreadable,
    ),
    ("open/deep", "make_deep", "40 open/deep", Fate::Beneath),
];

/// What becomes of what was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Taken,
    Dropped,
    /// Read by who has root's rights, as the command's own; dropped by name by who has not.
    Unreadable,
    /// Something beneath is dropped by name, and the run goes on.
    Beneath,
    /// Dropped; by name where the engine tells of it at all.
    Untaken,
    /// Not even looked at.
    Unseen,
}

const fn steering(path: &'static str) -> Attack {
    (path, "create_with_parents", path, Fate::Dropped)
}

const fn taken(path: &'static str) -> Attack {
    (path, "create", path, Fate::Taken)
}

fn play(row: Row) {
    if row.setup().is_skipped() {
        return;
    }
    let scene = Scene::new(row, "name: none", &[]);
    let before = Checkout::of(&scene.stage.repo());
    let mut lines = String::new();
    for (number, (_, attack, argument, _)) in attacks(row) {
        let argument = scene
            .place
            .fill_in(argument, &Surroundings::none(&scene.place));
        lines += &format!("{number}\t{attack}\t{argument}\n");
    }
    let (measured, report) = scene.exec(row, &lines);
    for (number, (path, attack, ..)) in attacks(row) {
        let came_to = &measured[&number.to_string()];
        assert!(came_to.got_through(), "{attack} {path:?}: {came_to}");
    }

    let accepted = by_path(&report["changes"], "kind");
    let dropped = by_path(&report["dropped"], "why");
    let mut wrong = Vec::new();
    for (_, (path, .., fate)) in attacks(row) {
        let is_beneath = |known: &&String| known.starts_with(path);
        let (is_taken, is_dropped) = (accepted.contains_key(*path), dropped.contains_key(*path));
        let is_right = match fate {
            Fate::Taken => is_taken && !is_dropped,
            Fate::Dropped => !is_taken && dropped.keys().any(|known| known.starts_with(path)),
            Fate::Unreadable if AS_USER.contains(&row) => is_dropped,
            Fate::Unreadable => accepted.keys().any(|known| known.starts_with(path)),
            // An engine tells nothing of paths that it cannot even name.
            Fate::Beneath if row.is_container() => !accepted.keys().any(|known| is_beneath(&known)),
            Fate::Beneath => dropped.keys().any(|known| is_beneath(&known)),
            Fate::Untaken => !is_taken && (is_dropped || row.is_container()),
            Fate::Unseen => true,
        };
        if !is_right {
            let near = |list: &BTreeMap<String, String>| {
                let near = list.iter().filter(|(known, _)| known.starts_with(path));
                near.take(3)
                    .map(|(k, v)| format!("{k}: {v}"))
                    .collect::<Vec<_>>()
            };
            wrong.push(format!(
                "{path:?} is not {fate:?}: accepted {:?}, dropped {:?}",
                near(&accepted),
                near(&dropped)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "on {}:\n{}\n{report}",
        row.words(),
        wrong.join("\n")
    );
    assert!(
        accepted.keys().all(|path| path.starts_with("open/")),
        "{accepted:?}"
    );
    assert!(accepted.len() <= 10_000, "{}", accepted.len());
    before.assert_unchanged(&scene.stage.repo());
}

/// Returns what is played on `row`, numbered. Podman's archive ends where a path is longer than its
/// kernel names in one call, as if nothing followed: what does counts as deleted, which the command
/// could have done as well. The other attacks are to be seen.
fn attacks(row: Row) -> impl Iterator<Item = (usize, &'static Attack)> {
    let is_seen = move |attack: &Attack| row != Row::Podman || attack.3 != Fate::Beneath;
    let numbered = ATTACKS.iter().enumerate();
    numbered.filter(move |(_, attack)| is_seen(attack))
}

/// What is more than a candidate may be made of is dropped, with the names of as many as anybody
/// reads, and takes no more than its time.
fn flood(row: Row) {
    if row.setup().is_skipped() {
        return;
    }
    let scene = Scene::new(row, "name: none", &[]);
    let (measured, report) = scene.exec(row, &format!("flood\tcreate_many\t{FLOOD} open/many\n"));
    assert!(measured["flood"].got_through(), "{measured:?}");
    assert_eq!(report["changes"].as_array().unwrap().len(), TAKEN);
    let dropped = report["dropped"].as_array().unwrap();
    assert_eq!(dropped.len(), NAMED);
    let last = dropped.last().unwrap()["why"].as_str().unwrap();
    let more = format!("and {} more", FLOOD - TAKEN - NAMED);
    assert!(last.ends_with(&more), "{last}");
}

const FLOOD: usize = 20_000;
/// Of one candidate.
const TAKEN: usize = 10_000;
const NAMED: usize = 1000;

/// Returns the entries of a list of the report by their path.
fn by_path(list: &Value, key: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| (text(&entry["path"]), text(&entry[key])))
        .collect()
}

mod names {
    use super::play;
    crate::on_each_row!(play);
}

mod floods {
    use super::flood;
    crate::on_each_row!(flood);
}
