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

/// What is made: the path that tells of it, the attack, its argument, and what becomes of it.
pub const ATTACKS: &[(&str, &str, &str, Fate)] = &[
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
    steering("open/case/CONFTEST.PY"),
    steering("open/case/.GIT/config"),
    steering("open/case/makefile"),
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
    ("open/new\nline", "create", "open/new\\x0aline", Fate::Taken),
    ("open/\u{fffd}.txt", "create", "open/\\xff.txt", Fate::Taken),
    // What harms whoever reads the tree.
    ("open/fifo", "make_fifo", "open/fifo", Fate::Dropped),
    (
        "open/socket",
        "make_socket_node",
        "open/socket",
        Fate::Dropped,
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
    // More than the 10,000 changes of which a candidate may be made.
    ("open/many", "create_many", "11000 open/many", Fate::Beneath),
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
    /// Not even looked at.
    Unseen,
}

const fn steering(path: &'static str) -> (&'static str, &'static str, &'static str, Fate) {
    (path, "create_with_parents", path, Fate::Dropped)
}

const fn taken(path: &'static str) -> (&'static str, &'static str, &'static str, Fate) {
    (path, "create", path, Fate::Taken)
}

fn play(row: Row) {
    if row.setup().is_skipped() {
        return;
    }
    let scene = Scene::new(row, "name: none", &[]);
    let before = Checkout::of(&scene.stage.repo());
    let mut lines = String::new();
    for (number, (_, attack, argument, _)) in ATTACKS.iter().enumerate() {
        let argument = scene
            .place
            .fill_in(argument, &Surroundings::none(&scene.place));
        lines += &format!("{number}\t{attack}\t{argument}\n");
    }
    let (measured, report) = scene.exec(row, &lines);
    for (number, (path, attack, ..)) in ATTACKS.iter().enumerate() {
        let came_to = &measured[&number.to_string()];
        assert!(came_to.got_through(), "{attack} {path:?}: {came_to}");
    }

    let accepted = by_path(&report["changes"], "kind");
    let dropped = by_path(&report["dropped"], "why");
    let mut wrong = Vec::new();
    for (path, .., fate) in ATTACKS {
        let is_beneath = |known: &&String| known.starts_with(path);
        let (is_taken, is_dropped) = (accepted.contains_key(*path), dropped.contains_key(*path));
        let is_right = match fate {
            Fate::Taken => is_taken && !is_dropped,
            Fate::Dropped => {
                is_dropped && !is_taken
                    || !is_taken && dropped.keys().any(|known| known.starts_with(path))
            }
            Fate::Unreadable if AS_USER.contains(&row) => is_dropped,
            Fate::Unreadable => accepted.keys().any(|known| known.starts_with(path)),
            Fate::Beneath => dropped.keys().any(|known| is_beneath(&known)),
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
        "on {}:\n{}",
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

/// Returns the entries of a list of the report by their path.
fn by_path(list: &Value, key: &str) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| (text(&entry["path"]), text(&entry[key])))
        .collect()
}

crate::on_each_row!(play);
