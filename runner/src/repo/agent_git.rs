//! The `.git` an agent gets: one commit of what it may see, in no way tied to the user's.

use std::fs;
use std::io;
use std::path::Path;

use autoclave_policies::RepoPath;
use git2::{Index, Oid, Repository, Signature, Time, Tree};

use super::candidate::{EMAIL, NAME};
use super::error::{Doing, RepoError};
use super::{Repo, compare, edit, find_tree};
use crate::model::{CommitId, FileKind, SnapshotEntry};

/// Configuration of the agent's repository; no collection in the background.
const CONFIG: &str = "[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
[user]
\tname = autoclave
\temail = autoclave@localhost
[gc]
\tauto = 0
[maintenance]
\tauto = false
";

/// The workspace holds blobs byte for byte; with this git compares them so, whatever the
/// attributes in the tree say.
const ATTRIBUTES: &str = "* -text -filter -ident -working-tree-encoding\n";

/// 2001-01-01, so that the same tree always makes the same commit.
const WHEN: i64 = 978_307_200;

/// A tree of which only the wanted paths are left, and its commit.
struct Shown<'r> {
    tree: Tree<'r>,
    commit: Oid,
}

impl Repo {
    /// Returns the files (`.git/...`) of a fresh repository whose one commit holds the wanted
    /// paths of `commit`; HEAD is on `main`, and with those paths checked out nothing is modified.
    ///
    /// With `have`, returns only what has to be written over the result for that earlier commit
    /// with the same `want`: a pack of what is new, the branch and the index.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; [`RepoError::GitsOwnPath`] for a tree no checkout may hold; else
    /// what git or the temporary folder says.
    pub fn agent_git(
        &self,
        commit: &CommitId,
        want: &dyn Fn(&RepoPath) -> bool,
        have: Option<&CommitId>,
    ) -> Result<Vec<SnapshotEntry>, RepoError> {
        let memory = self.fresh_store()?;
        let odb = memory.odb().doing("open the object database")?;
        // What is made for the agent alone never reaches the user's object database.
        let _in_memory = odb
            .add_new_mempack_backend(1000)
            .doing("keep new objects in memory")?;
        let shown = show(&memory, commit, want)?;
        let had = have.map(|have| show(&memory, have, want)).transpose()?;

        let folder =
            tempfile::tempdir().map_err(io_error("create a folder in", &std::env::temp_dir()))?;
        let mut entries = Vec::new();
        if had.is_none() {
            entries.push(file(".git/HEAD", "ref: refs/heads/main\n"));
            entries.push(file(".git/config", CONFIG));
            entries.push(file(".git/info/attributes", ATTRIBUTES));
        }
        if had.as_ref().is_none_or(|had| had.commit != shown.commit) {
            write_pack(&memory, &shown, had.as_ref(), folder.path())?;
        }
        let packs = sorted_names(folder.path())?;
        for name in packs {
            let bytes = read(&folder.path().join(&name))?;
            entries.push(file(&format!(".git/objects/pack/{name}"), bytes));
        }
        entries.push(file(".git/refs/heads/main", format!("{}\n", shown.commit)));
        entries.push(file(".git/index", index_of(&shown.tree, folder.path())?));
        Ok(entries)
    }
}

fn show<'r>(
    memory: &'r Repository,
    commit: &CommitId,
    want: &dyn Fn(&RepoPath) -> bool,
) -> Result<Shown<'r>, RepoError> {
    let all = find_tree(memory, commit)?;
    let id = match edit::filter(memory, &all, None, want)? {
        Some(id) => id,
        None => edit::empty_tree(memory)?,
    };
    let tree = memory.find_tree(id).doing("read a tree")?;
    let who = Signature::new(NAME, EMAIL, &Time::new(WHEN, 0)).doing("name the committer")?;
    let commit = memory
        .commit(
            None,
            &who,
            &who,
            "The workspace as it is given\n",
            &tree,
            &[],
        )
        .doing("write a commit")?;
    Ok(Shown { tree, commit })
}

/// Writes a pack and its index into `folder`.
fn write_pack(
    memory: &Repository,
    shown: &Shown<'_>,
    had: Option<&Shown<'_>>,
    folder: &Path,
) -> Result<(), RepoError> {
    let mut pack = memory.packbuilder().doing("start a pack")?;
    pack.insert_object(shown.commit, None)
        .doing("add to a pack")?;
    match had {
        None => pack.insert_tree(shown.tree.id()).doing("add to a pack")?,
        Some(had) => {
            let found = compare::compare(memory, &had.tree, &shown.tree)?;
            let blobs = found.differences.iter().filter_map(|d| match d.new {
                Some((_, super::TreeKind::Submodule)) | None => None,
                Some((id, _)) => Some(id),
            });
            for id in found.new_trees.iter().copied().chain(blobs) {
                pack.insert_object(id, None).doing("add to a pack")?;
            }
        }
    }
    pack.write(folder, 0o644).doing("write a pack")
}

fn index_of(tree: &Tree<'_>, folder: &Path) -> Result<Vec<u8>, RepoError> {
    let path = folder.join("index");
    let mut index = Index::open(&path).doing("start an index")?;
    index.read_tree(tree).doing("fill an index")?;
    index.write().doing("write an index")?;
    read(&path)
}

fn sorted_names(folder: &Path) -> Result<Vec<String>, RepoError> {
    let mut names = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(io_error("read", folder))?;
    names.sort();
    Ok(names)
}

fn file(path: &str, bytes: impl Into<Vec<u8>>) -> SnapshotEntry {
    SnapshotEntry {
        path: RepoPath::try_from(path).expect("a plain relative path"),
        kind: FileKind::File {
            bytes: bytes.into(),
            executable: false,
        },
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RepoError> {
    fs::read(path).map_err(io_error("read", path))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RepoError {
    let path = path.to_path_buf();
    move |cause| RepoError::Io {
        action,
        path,
        cause,
    }
}
