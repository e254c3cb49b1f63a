//! The commands, one file each.

mod check;
mod clean;
mod completions;
mod demo;
mod exec;
mod finalize;
mod gateway;
mod init;
mod results;
mod run;
mod schema;
mod show;
mod status;
mod why;

use clap::Subcommand;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::output::Format;

/// What the user asks for.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::InitArgs),
    Check(check::CheckArgs),
    Why(why::WhyArgs),
    Run(run::RunArgs),
    Status(status::StatusArgs),
    Results(results::ResultsArgs),
    Show(show::ShowArgs),
    Finalize(finalize::FinalizeArgs),
    Exec(exec::ExecArgs),
    Gateway(gateway::GatewayArgs),
    Demo(demo::DemoArgs),
    Schema(schema::SchemaArgs),
    Clean(clean::CleanArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Does what the user asks for.
    ///
    /// # Errors
    ///
    /// As the command says.
    pub fn run(self, format: Format) -> Result<Exit, Failure> {
        match self {
            Self::Init(args) => init::run(&args, format),
            Self::Check(args) => check::run(args, format),
            Self::Why(args) => why::run(&args, format),
            Self::Run(args) => run::run(args, format),
            Self::Status(args) => status::run(&args, format),
            Self::Results(args) => results::run(args, format),
            Self::Show(args) => show::run(args, format),
            Self::Finalize(args) => finalize::run(args, format),
            Self::Exec(args) => exec::run(args, format),
            Self::Gateway(args) => gateway::run(args, format),
            Self::Demo(args) => demo::run(args, format),
            Self::Schema(args) => schema::run(&args),
            Self::Clean(args) => clean::run(args, format),
            Self::Completions(args) => completions::run(args),
        }
    }
}
