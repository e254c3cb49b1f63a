//! `autoclave demo`.

use std::path::{Path, PathBuf};

use autoclave_runner::campaign::{self, FinalizeRequest, RunRequest, Shape};
use autoclave_runner::repo::Repo;
use clap::Args;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, Project};
use crate::{demo, reporter, runtime};

/// Play a whole run on a toy repository with a scripted agent: no key, no network
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave demo")]
pub struct DemoArgs {
    /// Keep the toy repository in this new folder instead of removing it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Makes the toy repository, runs its marker and finalizes it.
///
/// # Errors
///
/// As those of `run` and `finalize`.
pub fn run(args: DemoArgs, format: Format) -> Result<Exit, Failure> {
    let failure = |cause: std::io::Error| {
        Failure::new(
            Exit::Internal,
            format!("could not make the toy repository: {cause}"),
        )
    };
    let kept = match args.keep {
        Some(folder) => {
            std::fs::create_dir(&folder).map_err(failure)?;
            Folder::Kept(folder)
        }
        None => Folder::Temporary(tempfile::tempdir_in("/var/tmp").map_err(failure)?),
    };
    let files = demo::FILES
        .iter()
        .map(|(path, text)| (*path, text.as_bytes()));
    Repo::create(kept.path(), files, "A toy repository to improve")
        .map_err(|error| Failure::new(Exit::RepositoryOrLedger, error))?;
    std::env::set_current_dir(kept.path()).map_err(failure)?;
    let project = Project::open()?;
    let marker = project.active_marker(Some(demo::MARKER))?;
    let host = project::host_facts()?;
    let mut reporter = reporter::standard(format);
    let (outcome, finalized) = runtime::block_on(async |cancel| {
        let request = RunRequest {
            places: project.config.file.places_of(&marker.name),
            marker: marker.clone(),
            experiments: None,
            base: None,
            fresh: true,
            service: None,
            warnings: Vec::new(),
            host: host.clone(),
            cancel: cancel.clone(),
        };
        let outcome = campaign::run(project.repo, request, reporter.as_mut()).await?;
        let repo = project::open_repo()?;
        let request = FinalizeRequest {
            marker,
            branch: None,
            shape: Shape::Whole,
            squash: false,
            host,
            cancel,
        };
        let finalized = campaign::finalize(repo, request, reporter.as_mut()).await?;
        Ok((outcome, finalized))
    })?;
    if format == Format::Text {
        let experiments = &outcome.progress.experiments;
        let denied: u32 = experiments.iter().map(|e| e.denied).sum();
        let dropped: usize = experiments.iter().map(|e| e.dropped.len()).sum();
        output::print(&format!(
            "\n{}\n{} kept, {} not kept, {denied} actions denied, {dropped} changes dropped.\n",
            finalized.markdown,
            outcome.kept,
            outcome.progress.counted() - outcome.kept,
        ))?;
        if let Folder::Kept(folder) = &kept {
            output::print(&format!(
                "{} in {}.\n",
                super::finalize::named(&finalized.branches),
                folder.display()
            ))?;
        }
    }
    Ok(Exit::Done)
}

/// Where the toy repository is.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
