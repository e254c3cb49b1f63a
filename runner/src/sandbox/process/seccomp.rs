//! The system calls that no sandboxed command may make, as a program for the kernel.

mod numbers;

use std::collections::BTreeMap;

use autoclave_enter::Instruction;
use autoclave_policies::{ArgOp, ArgTest, ArgWidth, SyscallRule, denied_syscalls};
use nix::libc;

// Classic BPF: 32-bit loads, and, jumps and returns; see seccomp(2).
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

// Places in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Numbers from here on are those of the x32 interface, which rules do not name.
#[cfg(target_arch = "x86_64")]
const X32: Option<u32> = Some(0x4000_0000);
#[cfg(not(target_arch = "x86_64"))]
const X32: Option<u32> = None;

/// Returns the programs to load, in order. `first` are lists of rules that come before those which
/// hold everywhere.
///
/// # Errors
///
/// A fragment for people, where this processor is not supported.
pub fn programs(first: &[&[SyscallRule]]) -> Result<Vec<Vec<Instruction>>, String> {
    let rules = first.iter().copied().flatten().chain(denied_syscalls());
    Ok(vec![program(rules)?])
}

/// Denies what `rules` name and allows the rest.
///
/// The kernel runs a new program once for every number there is, so calls are found by halving.
fn program<'a>(rules: impl Iterator<Item = &'a SyscallRule>) -> Result<Vec<Instruction>, String> {
    let mut by_number: BTreeMap<u32, Vec<&SyscallRule>> = BTreeMap::new();
    for rule in rules {
        let tests = rule
            .condition
            .map_or(&[] as &[_], |condition| condition.all);
        if !tests.iter().all(needs_low_half_only) {
            return Err(format!("a rule of {} tests an upper half", rule.name));
        }
        let number = numbers::number(rule.name).and_then(|number| u32::try_from(number).ok());
        if let Some(number) = number {
            by_number.entry(number).or_default().push(rule);
        }
    }
    let calls: Vec<_> = by_number.into_iter().collect();
    let mut program = vec![
        instruction(LOAD, 0, 0, ARCHITECTURE),
        instruction(JUMP_EQUAL, 1, 0, architecture()?),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(LOAD, 0, 0, NUMBER),
    ];
    if let Some(x32) = X32 {
        program.push(instruction(JUMP_GREATER_EQUAL, 0, 1, x32));
        program.push(deny(libc::EPERM));
    }
    program.extend(halve(&calls));
    Ok(program)
}

/// Finds the loaded number among `calls`, which are sorted.
fn halve(calls: &[(u32, Vec<&SyscallRule>)]) -> Vec<Instruction> {
    let mut program = Vec::new();
    if calls.len() > 3 {
        let (low, high) = calls.split_at(calls.len() / 2);
        let below = halve(low);
        program.push(instruction(JUMP_GREATER_EQUAL, 0, 1, high[0].0));
        program.push(skip(below.len()));
        program.extend(below);
        program.extend(halve(high));
        return program;
    }
    for (number, rules) in calls {
        let answer = answer(rules);
        match u8::try_from(answer.len()) {
            Ok(length) => program.push(instruction(JUMP_EQUAL, 0, length, *number)),
            Err(_) => {
                program.push(instruction(JUMP_EQUAL, 1, 0, *number));
                program.push(skip(answer.len()));
            }
        }
        program.extend(answer);
    }
    program.push(allow());
    program
}

/// Answers a call by the first of its rules that meets.
fn answer(rules: &[&SyscallRule]) -> Vec<Instruction> {
    let mut program = Vec::new();
    for rule in rules {
        let Some(condition) = rule.condition else {
            program.push(deny(rule.errno));
            return program;
        };
        let tests: Vec<_> = condition.all.iter().map(test).collect();
        let mut left: usize = tests.iter().map(|test| test.len() + 1).sum();
        for test in tests {
            left -= test.len() + 1;
            program.extend(test);
            // Where the test fails: past the other tests and the denial.
            program.push(skip(left + 1));
        }
        program.push(deny(rule.errno));
    }
    program.push(allow());
    program
}

/// Skips one instruction where `test` holds, and goes on with that one where it does not.
fn test(test: &ArgTest) -> Vec<Instruction> {
    let mut program = vec![instruction(
        LOAD,
        0,
        0,
        ARGUMENTS + 8 * u32::from(test.index),
    )];
    let (value, when_equal, when_other) = match test.op {
        ArgOp::Equals(value) => (value, 1, 0),
        ArgOp::Differs(value) => (value, 0, 1),
        ArgOp::Masked { mask, value } => {
            program.push(instruction(AND, 0, 0, low_half(mask)));
            (value, 1, 0)
        }
    };
    program.push(instruction(
        JUMP_EQUAL,
        when_equal,
        when_other,
        low_half(value),
    ));
    program
}

/// Says whether the lower half of an argument decides `test`.
fn needs_low_half_only(test: &ArgTest) -> bool {
    let fits = |value: u64| u32::try_from(value).is_ok();
    match (test.width, test.op) {
        (_, ArgOp::Masked { mask, value }) => fits(mask) && fits(value),
        (ArgWidth::U32, ArgOp::Equals(value) | ArgOp::Differs(value)) => fits(value),
        (ArgWidth::U64, ArgOp::Equals(_) | ArgOp::Differs(_)) => false,
    }
}

/// The lower half; the upper one is known to be empty, see [`needs_low_half_only`].
fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// The kernel's name for this processor; see `linux/audit.h`.
fn architecture() -> Result<u32, String> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(0xc000_003e),
        "aarch64" => Ok(0xc000_00b7),
        other => Err(format!("no seccomp filter is known for {other}")),
    }
}

fn allow() -> Instruction {
    instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW)
}

fn deny(errno: i32) -> Instruction {
    instruction(
        RETURN,
        0,
        0,
        libc::SECCOMP_RET_ERRNO | errno.cast_unsigned(),
    )
}

fn skip(count: usize) -> Instruction {
    // A program has at most 4096 instructions; the kernel refuses a jump beyond its end.
    instruction(JUMP, 0, 0, u32::try_from(count).unwrap_or(u32::MAX))
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

#[cfg(test)]
mod tests;
