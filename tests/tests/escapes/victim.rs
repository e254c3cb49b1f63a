//! Somebody outside, whom attacks on processes and IPC are after.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::place::{Place, Surroundings, nonce_of};

/// Starts a process of the caller's that has a secret everywhere a process can have one.
///
/// Words: `victim` (its pid), `memory` (an address), `descriptor`, `key` (System V), `queue` (POSIX),
/// `argument` and `secret` (in its arguments and its environment).
pub fn victim(place: &Place) -> Surroundings {
    let nonce = nonce_of(place.folder());
    // Not the whole of it: whoever has that is taken for what an attack has left.
    let word = nonce.rsplit('.').next().unwrap();
    let (argument, secret) = (format!("told-to-{word}"), format!("hidden-in-{word}"));
    let mut child = place
        .caller
        .command(&place.workspace.join("attack"))
        .args(["--victim", &argument])
        .env("TOKEN", &secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut facts = String::new();
    said.read_line(&mut facts).unwrap();
    let facts: Vec<&str> = facts.split_whitespace().collect();
    let [pid, memory, descriptor, key, queue] = facts[..] else {
        panic!("the victim said {facts:?}");
    };
    let words = [
        ("victim", pid),
        ("memory", memory),
        ("descriptor", descriptor),
        ("key", key),
        ("queue", queue),
        ("argument", argument.as_str()),
        ("secret", secret.as_str()),
    ];
    Surroundings {
        words: words.map(|(word, is)| (word, is.to_owned())).to_vec(),
        env: Vec::new(),
        harm: Box::new(move || {
            // The end of its input ends it.
            drop(child.stdin.take());
            let mut harm = String::new();
            said.read_to_string(&mut harm).unwrap();
            let status = child.wait().unwrap();
            let mut harm: Vec<String> = harm.lines().map(str::to_owned).collect();
            if !status.success() {
                harm.push(format!("the victim ended with {status}"));
            }
            harm
        }),
    }
}
