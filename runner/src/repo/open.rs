//! Finding and opening the user's repository.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use git2::{Config, ErrorCode, Odb, Repository, RepositoryOpenFlags};

use super::Repo;
use super::error::{Doing, RepoError};

impl Repo {
    /// Opens the repository whose work tree holds `from`, searching upwards. Ignores `GIT_DIR`.
    ///
    /// # Errors
    ///
    /// [`RepoError::NoRepository`], [`RepoError::Bare`], [`RepoError::NotOwned`],
    /// [`RepoError::Format`], or [`RepoError::Open`] for anything else.
    pub fn discover(from: &Path) -> Result<Self, RepoError> {
        // Trees are read once or twice: keeping them costs more memory than it saves time.
        git2::opts::enable_caching(false);
        let none: [&Path; 0] = [];
        let git = Repository::open_ext(from, RepositoryOpenFlags::CROSS_FS, none)
            .map_err(|cause| explain(from, cause))?;
        let Some(work_dir) = git.workdir().map(Path::to_path_buf) else {
            return Err(RepoError::Bare {
                path: git.path().to_path_buf(),
            });
        };
        let store = objects_only(&git)?;
        Ok(Self {
            git,
            store,
            work_dir,
        })
    }

    /// Creates the folder for runs, with a `.gitignore` that hides all of it.
    ///
    /// # Errors
    ///
    /// [`RepoError::Io`] when the folder or the file cannot be written.
    pub fn ignore_runs(&self) -> Result<(), RepoError> {
        let runs = self.runs_dir();
        let io_error = |action, path: &Path| {
            let path = path.to_path_buf();
            move |cause| RepoError::Io {
                action,
                path,
                cause,
            }
        };
        fs::create_dir_all(&runs).map_err(io_error("create", &runs))?;
        let ignore = runs.join(".gitignore");
        match File::create_new(&ignore) {
            Ok(mut file) => file.write_all(b"*\n").map_err(io_error("write", &ignore)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(io_error("create", &ignore)(e)),
        }
    }

    /// Opens the objects once more, for a value that lives and moves on its own.
    pub(super) fn fresh_store(&self) -> Result<Repository, RepoError> {
        self.objects().open()
    }

    pub(super) fn objects(&self) -> Objects {
        Objects {
            git: self.git.path().to_path_buf(),
            // libgit2 shares open packs by path. With another spelling these are closed, and what
            // was mapped and cached of them freed, when their reader is.
            folder: self.git.commondir().join("objects").join("."),
        }
    }
}

/// Where the objects are.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    git: PathBuf,
    folder: PathBuf,
}

impl Objects {
    pub fn open(&self) -> Result<Repository, RepoError> {
        let Some(folder) = self.folder.to_str() else {
            // Only a repository can be opened by any path, and then shares its packs.
            let none: [&Path; 0] = [];
            let git = Repository::open_ext(&self.git, RepositoryOpenFlags::NO_SEARCH, none)
                .map_err(|cause| explain(&self.git, cause))?;
            return objects_only(&git);
        };
        Odb::new()
            .and_then(|odb| {
                odb.add_disk_alternate(folder)?;
                Repository::from_odb(odb)
            })
            .doing("open the object database")
    }
}

fn objects_only(git: &Repository) -> Result<Repository, RepoError> {
    git.odb()
        .and_then(Repository::from_odb)
        .doing("open the object database")
}

/// Says why a repository could not be opened, looking at it once more where git is terse.
fn explain(from: &Path, cause: git2::Error) -> RepoError {
    let found = Repository::discover_path(from, &[] as &[&Path]).ok();
    let path = found.clone().unwrap_or_else(|| from.to_path_buf());
    match cause.code() {
        ErrorCode::NotFound if found.is_none() => RepoError::NoRepository {
            from: from.to_path_buf(),
        },
        ErrorCode::Owner => RepoError::NotOwned { path },
        _ => match unsupported_format(&path) {
            Some((what, format)) => RepoError::Format { path, what, format },
            None => RepoError::Open {
                path,
                cause: cause.into(),
            },
        },
    }
}

/// Reads from the repository's own configuration what libgit2 refuses.
fn unsupported_format(git_dir: &Path) -> Option<(&'static str, String)> {
    // A linked work tree's folder names the shared one in `commondir`.
    let shared = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(relative) => git_dir.join(relative.trim_end()),
        Err(_) => git_dir.to_path_buf(),
    };
    let config = Config::open(&shared.join("config")).ok()?;
    let differs = |key, usual| config.get_string(key).ok().filter(|found| found != usual);
    differs("extensions.objectformat", "sha1")
        .map(|format| ("object format", format))
        .or_else(|| differs("extensions.refstorage", "files").map(|format| ("ref storage", format)))
}
