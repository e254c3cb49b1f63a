//! `autoclave init`.

use autoclave_runner::marker::{TemplateFacts, template};
use clap::Args;
use serde_json::json;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::project::{self, CONFIG};

/// Write a commented configuration to start from
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave init && $EDITOR .autoclave/config.yaml")]
pub struct InitArgs {
    /// Replace an existing configuration
    #[arg(long)]
    force: bool,
}

/// Writes the scaffold.
///
/// # Errors
///
/// [`Exit::Usage`] when there is a configuration already, [`Exit::RepositoryOrLedger`] when it
/// cannot be written.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a command takes its arguments"
)]
pub fn run(args: InitArgs, format: Format) -> Result<Exit, Failure> {
    let repo = project::open_repo()?;
    let path = repo.work_dir().join(CONFIG);
    if path.exists() && !args.force {
        return Err(
            Failure::new(Exit::Usage, format!("`{CONFIG}` exists already"))
                .hint("--force replaces it."),
        );
    }
    let facts = TemplateFacts {
        name: "my-goal".to_owned(),
        mutable: vec!["src/**".to_owned()],
        immutable: vec!["tests/**".to_owned()],
        scratch: vec!["target/".to_owned()],
        guard: None,
    };
    let written = std::fs::create_dir_all(path.with_file_name(""))
        .and_then(|()| std::fs::write(&path, template(&facts)));
    written.map_err(|cause| {
        Failure::new(
            Exit::RepositoryOrLedger,
            format!("could not write `{CONFIG}`: {cause}"),
        )
    })?;
    match format {
        Format::Json => output::print_json(&json!({"written": CONFIG}))?,
        Format::Text => output::print(&format!(
            "Wrote {CONFIG}. Say in it what may change and what to measure, then run `autoclave check`.\n"
        ))?,
    }
    Ok(Exit::Done)
}
