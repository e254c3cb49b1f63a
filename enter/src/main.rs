//! Enters the process sandbox in three stages, each a re-run of this binary.
//!
//! `outside` makes the namespaces and mounts, `init` is pid 1 within, `command` puts every layer
//! in force, proves it, and becomes the command. In a container the engine has done all that, and
//! `contained` is its first process.

mod command;
mod contained;
mod init;
mod mounts;
mod outside;
mod status;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["outside", spec] => outside::run(spec),
        ["init", spec, channel, parent] => init::run(spec, channel, parent),
        ["command", spec, channel] => command::run(spec, channel),
        ["contained"] => contained::run(),
        ["landlock-abi"] => ExitCode::from(command::landlock_abi()),
        _ => ExitCode::from(2),
    }
}
