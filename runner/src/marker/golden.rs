//! The inputs whose output must stay what it is.

use super::decode::{Fields, Trouble};
use super::duration::duration;
use super::goal::MINUTE;
use super::keys;
use super::values::{count, filled, glob};
use super::{Generate, Golden};

const FEW: u32 = 8;
const MOST: u32 = 1000;

/// Returns what `golden` says; `None` where it is absent, or unfit and reported.
pub(super) fn golden(marker: &mut Fields<'_, '_>) -> Option<Golden> {
    let mut fields = marker.section("golden", &keys::GOLDEN)?;
    let hint = "write the shell command that turns an input on stdin into an output";
    let command = fields.required("command", hint, filled);
    let inputs = fields.list("inputs", glob);
    let inputs: Vec<String> = inputs.into_iter().map(|(glob, _)| glob).collect();
    let generate = fields.optional("generate", filled);
    let count = fields.optional("count", count(1..=MOST));
    if generate.is_none() && fields.node("count").is_some() {
        let trouble = Trouble::new("`count` means nothing without `generate`");
        let hint = "add the command that prints an input, or remove `count`";
        fields.problem("count", trouble.hint(hint));
    }
    let is_given = fields.node("inputs").is_some() || fields.node("generate").is_some();
    if !is_given {
        let trouble = Trouble::new("there is no input to compare outputs on");
        let hint = "list files such as `inputs: [tests/golden/*.in]`, or write `generate`";
        fields.problem("inputs", trouble.hint(hint));
    } else if inputs.is_empty() && fields.node("generate").is_none() {
        let trouble = Trouble::new("names no input").hint("list files, or write `generate`");
        fields.problem("inputs", trouble);
    }
    let timeout = fields.or("timeout", MINUTE, duration);
    Some(Golden {
        command: command?,
        inputs,
        generate: generate.map(|command| Generate {
            command,
            count: count.unwrap_or(FEW),
        }),
        timeout,
    })
}
