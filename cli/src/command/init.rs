//! `autoclave init`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use autoclave_runner::marker::{TemplateFacts, template};
use autoclave_runner::repo::Repo;
use clap::Args;
use serde_json::json;

use crate::diagnostic::Failure;
use crate::ecosystem::{Ecosystem, Files};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, CONFIG, OLDER_CONFIG};

/// How many files of a repository without commits are looked at.
const LOOKED_AT: usize = 10_000;

/// Write a commented configuration that fits the repository
///
/// Looks at what is committed (Cargo.toml, pyproject.toml, package.json, go.mod, CMakeLists.txt,
/// Makefile) and asks nothing. Never overwrites.
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave init && $EDITOR .autoclave/config.yaml")]
pub struct InitArgs {}

/// Writes the scaffold.
///
/// # Errors
///
/// [`Exit::Usage`] when there is a configuration already, [`Exit::RepositoryOrLedger`] when it
/// cannot be written.
pub fn run(_args: &InitArgs, format: Format) -> Result<Exit, Failure> {
    let repo = project::open_repo()?;
    let root = repo.work_dir();
    if root.join(OLDER_CONFIG).exists() && !root.join(CONFIG).exists() {
        let message = format!("`{OLDER_CONFIG}` exists already, and is read");
        return Err(Failure::new(Exit::Usage, message).hint(format!(
            "Run `autoclave check`; to use more keys, move it to `{CONFIG}`."
        )));
    }
    let paths = paths(&repo);
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let files = Files {
        paths: &paths,
        read: &read,
    };
    let ecosystem = Ecosystem::of(&files);
    let facts = ecosystem.facts(&files);
    write(&root.join(CONFIG), &template(&facts))?;
    match format {
        Format::Json => output::print_json(&json!({
            "path": CONFIG,
            "ecosystem": ecosystem.word(),
            "marker": facts.name,
            "mutable": facts.mutable,
            "metric": facts.metric,
            "guard": facts.guard,
            "prepare": facts.prepare,
            "policy": facts.policy,
        }))?,
        Format::Text => output::print(&text(ecosystem, &facts))?,
    }
    Ok(Exit::Done)
}

fn text(ecosystem: Ecosystem, facts: &TemplateFacts) -> String {
    let kind = match ecosystem {
        Ecosystem::Other => "no known kind of project, so fill in what it says",
        other => other.word(),
    };
    format!(
        "Wrote {CONFIG} ({kind}), with the marker `{}`.\n\
         Look through it: what may change, what is measured, what must stay green.\n\
         Then: autoclave check\n",
        facts.name
    )
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = fs::create_dir_all(path.with_file_name("")).and_then(|()| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())
    });
    written.map_err(|cause| {
        if cause.kind() == io::ErrorKind::AlreadyExists {
            return Failure::new(Exit::Usage, format!("`{CONFIG}` exists already"))
                .hint("`autoclave check` tries it; move it away to have a new one written.");
        }
        Failure::new(Exit::RepositoryOrLedger, Unwritten(cause))
            .hint("The checkout must be writable and the disk not full.")
    })
}

#[derive(Debug, thiserror::Error)]
#[error("could not write `{CONFIG}`")]
struct Unwritten(#[source] io::Error);

/// Returns the committed files; those of the checkout where nothing is committed yet.
fn paths(repo: &Repo) -> Vec<String> {
    let committed = repo.resolve(None).and_then(|head| repo.tree(&head));
    if let Ok(entries) = committed {
        let paths = entries.iter().map(|(path, _)| path.as_bytes().to_vec());
        return paths
            .filter_map(|path| String::from_utf8(path).ok())
            .collect();
    }
    let mut found = Vec::new();
    collect(repo.work_dir(), "", &mut found);
    found
}

/// Adds the files beneath `folder`; what cannot be read is left out.
fn collect(folder: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !name.starts_with('.') => {
                collect(&entry.path(), &format!("{path}/"), found);
            }
            Ok(kind) if kind.is_file() => found.push(path),
            Ok(_) | Err(_) => {}
        }
        if found.len() >= LOOKED_AT {
            return;
        }
    }
}
