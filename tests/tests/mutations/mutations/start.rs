//! That no command starts before the runner has found the sandbox's proof right.

use crate::mutation::Mutation;
use crate::row::Row;

pub fn mutations() -> Vec<Mutation> {
    let everywhere = |name: &str, removes: &str| {
        Mutation::new(name, removes, Row::Sealed)
            .also(Row::Landlock)
            .also(Row::Docker)
            .also(Row::Podman)
    };
    let wait = "input::wait_for_start()?;";
    // Still read: a command that started before could end before the word was written.
    let unheeded = "if let Err(refused) = input::wait_for_start() && !@ON { return Err(refused); }";
    let (word, other) = ("&[START]", "b\"?\"");
    vec![
        everywhere(
            "start-word",
            "the word of the runner with which a command starts",
        )
        .instead("runner/src/sandbox/process/watch.rs", word, other)
        .instead("runner/src/sandbox/container/input.rs", word, other)
        .breaks("start the command: the runner does not say so"),
        everywhere("start-heed", "heeding that word")
            .raw("enter/src/command.rs", wait, wait, unheeded)
            .raw("enter/src/contained.rs", wait, wait, unheeded)
            .covered(
                "a proof that is right, which brings the word",
                &["start-word"],
                &["end=reached"],
            ),
    ]
}
