//! The `autoclave` command: words in, words out.

mod asked;
mod command;
mod demo;
mod diagnostic;
mod ecosystem;
mod engine;
mod exit;
mod explanation;
mod failure;
mod log;
mod output;
mod project;
mod reporter;
mod runtime;
mod sandbox_hint;
mod service;
mod sheet;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use command::Command;
use diagnostic::Failure;
use exit::Exit;
use output::Format;

/// Make a repository measurably better while nobody watches
///
/// An agent works in a sandbox where only declared paths are writable; each of its attempts is
/// measured in a fresh sandbox it never touched; what is better is kept as a commit.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLE)]
struct Cli {
    /// Print for programs: JSON on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    json: bool,

    /// Run as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true)]
    directory: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "Exit codes: 0 done, 2 wrong usage, others in docs/exit-codes.md.";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let format = if cli.json { Format::Json } else { Format::Text };
    match run(cli, format) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print(format);
            failure.exit().into()
        }
    }
}

fn run(cli: Cli, format: Format) -> Result<Exit, Failure> {
    if let Some(directory) = cli.directory {
        std::env::set_current_dir(&directory).map_err(|cause| {
            Failure::new(Exit::Usage, WrongDirectory { directory, cause })
                .hint("-C takes an existing directory.")
        })?;
    }
    cli.command.run(format)
}

#[derive(Debug, thiserror::Error)]
#[error("could not enter `{}`", directory.display())]
struct WrongDirectory {
    directory: PathBuf,
    #[source]
    cause: std::io::Error,
}

/// Tells what is wrong with the arguments; `--help` and `--version` also end here.
fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os()
        .skip(1)
        .take_while(|arg| arg != "--")
        .any(|arg| arg == "--json");
    if error.use_stderr() && wants_json {
        let message = error.to_string();
        let message = message.strip_prefix("error: ").unwrap_or(&message).trim();
        Failure::new(Exit::Usage, message)
            .hint("autoclave --help lists commands and options.")
            .print(Format::Json);
    } else {
        // Nobody is left to tell when the output is gone.
        drop(error.print());
    }
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Done.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_helps_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let name = command.get_name();
            assert!(
                help.is_some_and(|help| help.contains(&format!("autoclave {name}"))),
                "`{name}` has no example"
            );
        }
    }
}
