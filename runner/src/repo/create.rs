//! A new repository with one commit, for `autoclave demo`.

use std::fs;
use std::path::Path;

use git2::{Repository, RepositoryInitOptions, Signature};

use super::Repo;
use super::candidate::{EMAIL, NAME};
use super::error::{Doing, RepoError};

impl Repo {
    /// Creates a repository in the existing directory `path` that holds `files`, committed.
    ///
    /// # Errors
    ///
    /// [`RepoError::Io`] and [`RepoError::Git`] when the file system refuses.
    pub fn create<'a>(
        path: &Path,
        files: impl Iterator<Item = (&'a str, &'a [u8])>,
        message: &str,
    ) -> Result<Self, RepoError> {
        let mut options = RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        let doing = "create the repository";
        let created = Repository::init_opts(path, &options).doing(doing)?;
        let mut index = created.index().doing(doing)?;
        for (name, bytes) in files {
            let file = path.join(name);
            let written =
                fs::create_dir_all(file.with_file_name("")).and_then(|()| fs::write(&file, bytes));
            written.map_err(|cause| RepoError::Io {
                action: "write",
                path: file,
                cause,
            })?;
            index.add_path(Path::new(name)).doing(doing)?;
        }
        index.write().doing(doing)?;
        let tree = created
            .find_tree(index.write_tree().doing(doing)?)
            .doing(doing)?;
        let author = Signature::now(NAME, EMAIL).doing(doing)?;
        created
            .commit(Some("HEAD"), &author, &author, message, &tree, &[])
            .doing(doing)?;
        Self::discover(path)
    }
}
