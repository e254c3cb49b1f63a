//! The `.git` an agent gets: one commit of what it may see, in no way tied to the user's.

use std::collections::HashSet;
use std::env::temp_dir;
use std::fs;
use std::io;
use std::path::Path;

use autoclave_policies::RepoPath;
use git2::{Index, IndexEntry, IndexTime, Oid, Repository, Signature, Time, Tree};
use uuid::Uuid;

use super::candidate::{EMAIL, NAME};
use super::compare::Difference;
use super::error::{BoxError, Doing, RepoError};
use super::listing::TreeKind;
use super::open::Objects;
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

/// Objects of so many bytes go into one pack: what is held in memory at once.
const PACK_BYTES: usize = 8 << 20;

/// Makes the `.git` of agents: one commit of what they may see, for one base commit and those
/// that follow from it.
///
/// What is made for agents alone is kept in memory; nothing of it reaches the user's object
/// database.
pub struct AgentGit {
    objects: Objects,
    /// The user's objects, and the new ones in memory.
    memory: Repository,
    /// The base commit as the user has it.
    base: Oid,
    /// What agents see of the base commit.
    shown: Shown,
    /// What agents see of the commit that `index` is of.
    current: Oid,
    index: Index,
}

/// A tree of which only the wanted paths are left, and its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    tree: Oid,
    commit: Oid,
}

impl Repo {
    /// Starts with the wanted paths of `base`. Costs what `base` holds.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoSuchCommit`]; [`RepoError::GitsOwnPath`] for a tree no checkout may hold; else
    /// what git or the temporary folder says.
    pub fn agent_git(
        &self,
        base: &CommitId,
        want: &dyn Fn(&RepoPath) -> bool,
    ) -> Result<AgentGit, RepoError> {
        let memory = self.fresh_store()?;
        memory
            .odb()
            .and_then(|odb| odb.add_new_mempack_backend(1000).map(drop))
            .doing("keep new objects in memory")?;
        let all = find_tree(&memory, base)?;
        let tree = match edit::filter(&memory, &all, None, want)? {
            Some(id) => id,
            None => edit::empty_tree(&memory)?,
        };
        let base = all.id();
        drop(all);
        let shown = show(&memory, tree)?;
        // A name for each time the index is written; there is nothing at it in between.
        let path = temp_dir().join(format!("autoclave-index-{}", Uuid::new_v4()));
        let mut index = Index::open(&path.join("index")).doing("start an index")?;
        index
            .read_tree(&find(&memory, tree)?)
            .doing("fill an index")?;
        Ok(AgentGit {
            objects: self.objects(),
            memory,
            base,
            shown,
            current: tree,
            index,
        })
    }
}

impl AgentGit {
    /// Yields the files (`.git/...`) of a fresh repository whose one commit holds the wanted paths
    /// of the base commit; HEAD is on `main`, and with those paths checked out nothing is modified.
    ///
    /// # Errors
    ///
    /// Each entry: what git or the temporary folder says.
    pub fn files(&mut self) -> Result<Files<'_>, RepoError> {
        let plain = vec![
            file(".git/HEAD", "ref: refs/heads/main\n"),
            file(".git/config", CONFIG),
            file(".git/info/attributes", ATTRIBUTES),
            branch(self.shown.commit),
            file(".git/index", write_index(&mut self.index)?),
        ];
        let mut found = Found::default();
        found.tree(&self.memory, self.shown.tree)?;
        found.trees.push(self.shown.commit);
        // Taken from the end: in the order found, which is how they lie in the user's packs.
        found.blobs.reverse();
        Ok(Files {
            objects: &self.objects,
            memory: &mut self.memory,
            made: found.trees,
            blobs: found.blobs,
            ready: plain,
        })
    }

    /// Returns what has to be written over [`Self::files`] for it to be the repository of
    /// `commit`, with the same paths wanted: a pack of what is new, the branch and the index.
    /// Costs what differs from the base commit, but for writing the index.
    ///
    /// # Errors
    ///
    /// As for [`Repo::agent_git`].
    pub fn files_of(
        &mut self,
        commit: &CommitId,
        want: &dyn Fn(&RepoPath) -> bool,
    ) -> Result<Vec<SnapshotEntry>, RepoError> {
        let all = find_tree(&self.memory, commit)?;
        let changed = compare::compare(&self.memory, &find(&self.memory, self.base)?, &all)?;
        let edits = changed.differences.into_iter().filter_map(|difference| {
            let edit = match difference.new {
                Some((id, kind)) => edit::Edit::Put { id, kind },
                None => edit::Edit::Remove,
            };
            want(&difference.path).then_some((difference.path, edit))
        });
        let had = find(&self.memory, self.shown.tree)?;
        let tree = edit::apply(&self.memory, &had, edits)?;
        let shown = show(&self.memory, tree)?;
        let tree = find(&self.memory, tree)?;
        let mut entries = Vec::new();
        if shown != self.shown {
            let new = compare::compare(&self.memory, &had, &tree)?;
            let blobs = new.differences.iter().filter_map(|d| match d.new {
                Some((_, TreeKind::Submodule)) | None => None,
                Some((id, _)) => Some(id),
            });
            let objects = [shown.commit]
                .into_iter()
                .chain(new.new_trees.iter().copied())
                .chain(blobs);
            entries.extend(pack(&self.memory, objects)?);
        }
        let over = find(&self.memory, self.current)?;
        for difference in compare::compare(&self.memory, &over, &tree)?.differences {
            alter(&mut self.index, &difference)?;
        }
        self.current = tree.id();
        entries.push(branch(shown.commit));
        entries.push(file(".git/index", write_index(&mut self.index)?));
        Ok(entries)
    }
}

/// The files of a fresh repository, its packs made one by one.
pub struct Files<'a> {
    objects: &'a Objects,
    /// Borrowed for good: the iterator may move between threads, git's values may not be shared.
    memory: &'a mut Repository,
    /// The commit and its trees.
    made: Vec<Oid>,
    blobs: Vec<Oid>,
    ready: Vec<SnapshotEntry>,
}

impl Files<'_> {
    fn next_pack(&mut self) -> Result<Vec<SnapshotEntry>, RepoError> {
        if !self.made.is_empty() {
            let objects = next_objects(self.memory, &mut self.made)?;
            return pack(self.memory, objects);
        }
        // A store of its own for each pack: an open one keeps what it has read in memory.
        let store = self.objects.open()?;
        let objects = next_objects(&store, &mut self.blobs)?;
        pack(&store, objects)
    }
}

impl Iterator for Files<'_> {
    type Item = Result<SnapshotEntry, BoxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !(self.made.is_empty() && self.blobs.is_empty()) {
            match self.next_pack() {
                Ok(files) => self.ready = files,
                Err(error) => return Some(Err(error.into())),
            }
        }
        self.ready.pop().map(Ok)
    }
}

/// Takes objects of [`PACK_BYTES`] in all from the end, at least one.
fn next_objects(store: &Repository, unpacked: &mut Vec<Oid>) -> Result<Vec<Oid>, RepoError> {
    let odb = store.odb().doing("open the object database")?;
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while let Some(id) = unpacked.pop() {
        let (size, _) = odb.read_header(id).doing("look at an object")?;
        if !taken.is_empty() && bytes + size > PACK_BYTES {
            unpacked.push(id);
            break;
        }
        bytes += size;
        taken.push(id);
    }
    Ok(taken)
}

/// Trees and blobs, each once, in the order found.
#[derive(Default)]
struct Found {
    seen: HashSet<Oid>,
    trees: Vec<Oid>,
    blobs: Vec<Oid>,
}

impl Found {
    /// Adds a tree with all beneath.
    fn tree(&mut self, memory: &Repository, tree: Oid) -> Result<(), RepoError> {
        if !self.seen.insert(tree) {
            return Ok(());
        }
        self.trees.push(tree);
        for entry in &find(memory, tree)? {
            match TreeKind::of_mode(entry.filemode()) {
                None => self.tree(memory, entry.id())?,
                Some(TreeKind::Submodule) => {}
                Some(TreeKind::File { .. } | TreeKind::Symlink) => {
                    if self.seen.insert(entry.id()) {
                        self.blobs.push(entry.id());
                    }
                }
            }
        }
        Ok(())
    }
}

fn find(memory: &Repository, tree: Oid) -> Result<Tree<'_>, RepoError> {
    memory.find_tree(tree).doing("read a tree")
}

fn show(memory: &Repository, tree: Oid) -> Result<Shown, RepoError> {
    let who = Signature::new(NAME, EMAIL, &Time::new(WHEN, 0)).doing("name the committer")?;
    let message = "The workspace as it is given\n";
    let commit = memory
        .commit(None, &who, &who, message, &find(memory, tree)?, &[])
        .doing("write a commit")?;
    Ok(Shown { tree, commit })
}

/// Makes one pack and its index.
fn pack(
    memory: &Repository,
    objects: impl IntoIterator<Item = Oid>,
) -> Result<Vec<SnapshotEntry>, RepoError> {
    let folder = tempfile::tempdir().map_err(io_error("create a folder in", &temp_dir()))?;
    let mut pack = memory.packbuilder().doing("start a pack")?;
    for id in objects {
        pack.insert_object(id, None).doing("add to a pack")?;
    }
    pack.write(folder.path(), 0o644).doing("write a pack")?;
    drop(pack);
    let mut entries = Vec::new();
    for name in sorted_names(folder.path())? {
        let bytes = read(&folder.path().join(&name))?;
        entries.push(file(&format!(".git/objects/pack/{name}"), bytes));
    }
    Ok(entries)
}

/// Makes an index what it is after one more difference.
fn alter(index: &mut Index, difference: &Difference) -> Result<(), RepoError> {
    match difference.new {
        None => index
            .remove(difference.path.as_path(), 0)
            .doing("take from an index"),
        Some((id, kind)) => {
            let never = IndexTime::new(0, 0);
            let entry = IndexEntry {
                ctime: never,
                mtime: never,
                dev: 0,
                ino: 0,
                mode: kind.mode().unsigned_abs(),
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path: difference.path.as_bytes().to_vec(),
            };
            index.add(&entry).doing("add to an index")
        }
    }
}

/// Returns the bytes of an index, by way of the folder that its path names.
fn write_index(index: &mut Index) -> Result<Vec<u8>, RepoError> {
    let path = index.path().expect("opened with a path").to_path_buf();
    let folder = path.parent().expect("a file in a folder");
    let name = folder.file_name().expect("a folder in another");
    let _removed_after = tempfile::Builder::new()
        .prefix(name)
        .rand_bytes(0)
        .tempdir()
        .map_err(io_error("create", folder))?;
    index.write().doing("write an index")?;
    read(&path)
}

fn branch(commit: Oid) -> SnapshotEntry {
    file(".git/refs/heads/main", format!("{commit}\n"))
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
