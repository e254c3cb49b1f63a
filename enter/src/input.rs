//! Standard input: the description, the word to start, then the command's own input.

use std::io::{self, Read};
use std::os::fd::AsFd;

use autoclave_enter::START;
use serde::de::DeserializeOwned;

use crate::status::{During, Failure};

/// The largest description that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Standard input, not a byte further than asked for: the rest is the command's.
pub struct Input;

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(io::stdin().as_fd(), buffer)?)
    }
}

/// Reads a description: its length in eight bytes, little endian, then itself as JSON.
pub fn description<T: DeserializeOwned>() -> Result<T, Failure> {
    let mut length = [0; 8];
    Input.read_exact(&mut length).during("read the spec")?;
    let length = u64::from_le_bytes(length);
    if length > MAX_BYTES {
        return Err(Failure::new("read a spec of that size", 0));
    }
    let mut text = Vec::new();
    Input
        .take(length)
        .read_to_end(&mut text)
        .during("read the spec")?;
    serde_json::from_slice(&text).map_err(|_| Failure::new("read the spec", 0))
}

/// Waits until the runner has found the proof right. One that is gone, or refuses, says nothing.
pub fn wait_for_start() -> Result<(), Failure> {
    const STEP: &str = "start the command: the runner does not say so";
    let mut word = [0];
    Input.read_exact(&mut word).during(STEP)?;
    if word == [START] {
        Ok(())
    } else {
        Err(Failure::new(STEP, 0))
    }
}
