//! `autoclave completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output;

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example: autoclave completions bash > \
                        ~/.local/share/bash-completion/completions/autoclave")]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
///
/// When standard output cannot be written.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a command takes its arguments"
)]
pub fn run(args: CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut crate::Cli::command(),
        "autoclave",
        &mut script,
    );
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
