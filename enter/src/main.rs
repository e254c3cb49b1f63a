//! Enters the process sandbox in three stages, each a child of the one before.
//!
//! `outside` makes the namespaces and mounts, `init` is pid 1 within, `command` puts every layer
//! in force, proves it, and becomes the command. Where there are no namespaces, `alone` stands
//! for the first two. In a container the engine has done all that, and `contained` is its first
//! process. `relay` is that of a container which leads to the gateway, where the engine is on another
//! machine.

mod alone;
mod command;
mod contained;
mod copies;
mod disk;
mod init;
mod input;
mod memory;
mod mounts;
mod outside;
mod relay;
mod stage;
mod status;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["outside"] => outside::run(),
        ["contained"] => contained::run(),
        ["relay", socket] => relay::run(socket),
        ["landlock-abi"] => ExitCode::from(command::landlock_abi()),
        ["seccomp"] => ExitCode::from(command::seccomp_errno()),
        _ => ExitCode::from(2),
    }
}
