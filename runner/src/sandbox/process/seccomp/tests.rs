//! The program answers as the rules say, by running it as the kernel would.

use autoclave_policies::{Sockets, denied_among_host_processes, denied_without_network_namespace};

use super::*;

/// Returns what the program says of one call: `Ok` allows, `Err` is an errno or 0 for a kill.
fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 6]) -> Result<(), u32> {
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let branch = |holds: bool| usize::from(if holds { jt } else { jf });
        match code {
            LOAD => {
                accumulator = match k {
                    NUMBER => number,
                    ARCHITECTURE => arch,
                    place => {
                        let place = place - ARGUMENTS;
                        let argument = arguments[usize::try_from(place / 8).unwrap()];
                        u32::try_from(argument >> (place % 8 * 8) & 0xffff_ffff).unwrap()
                    }
                }
            }
            AND => accumulator &= k,
            JUMP => at += usize::try_from(k).unwrap(),
            JUMP_EQUAL => at += branch(accumulator == k),
            JUMP_GREATER_EQUAL => at += branch(accumulator >= k),
            RETURN => {
                return match k {
                    libc::SECCOMP_RET_ALLOW => Ok(()),
                    libc::SECCOMP_RET_KILL_PROCESS => Err(0),
                    errno => Err(errno & 0xffff),
                };
            }
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// What the rules say, told without the program.
fn expected(rules: &[&SyscallRule], arguments: [u64; 6]) -> Result<(), u32> {
    let holds = |test: &ArgTest| {
        let argument = arguments[usize::from(test.index)] & 0xffff_ffff;
        match test.op {
            ArgOp::Equals(value) => argument == value,
            ArgOp::Differs(value) => argument != value,
            ArgOp::Masked { mask, value } => argument & mask == value,
        }
    };
    let found = rules
        .iter()
        .find(|rule| rule.condition.is_none_or(|c| c.all.iter().all(holds)));
    found.map_or(Ok(()), |rule| Err(rule.errno.cast_unsigned()))
}

#[test]
fn every_call_is_answered_as_the_rules_say() {
    let values = [
        0,
        1,
        2,
        3,
        4,
        9,
        10,
        16,
        17,
        40,
        262,
        0x5412,
        0x541c,
        0x5423,
        0x1000_0000,
        0x2_0000,
        0x3d_0f00,
        0x4000,
        0xffff_ffff,
        0x1_0000_5412,
        0x8_0003,
    ];
    let lists: [&[&[SyscallRule]]; 4] = [
        &[],
        &[denied_among_host_processes()],
        &[denied_without_network_namespace(Sockets::Pairs)],
        &[
            denied_among_host_processes(),
            denied_without_network_namespace(Sockets::Unix),
        ],
    ];
    for first in lists {
        let rules: Vec<_> = first
            .iter()
            .copied()
            .flatten()
            .chain(denied_syscalls())
            .collect();
        let program = &programs(first).unwrap()[0];
        let arch = architecture().unwrap();
        for number in 0..600 {
            let of_call = |rule: &&&SyscallRule| numbers::number(rule.name) == Some(number.into());
            let rules: Vec<_> = rules.iter().filter(of_call).copied().collect();
            // Without a condition one call says it all.
            let is_simple = rules.iter().all(|rule| rule.condition.is_none());
            let values = if is_simple { &values[..1] } else { &values[..] };
            for (a, b) in values.iter().flat_map(|a| values.iter().map(|b| (*a, *b))) {
                let arguments = [a, b, if a == 16 { b } else { a }, 0, 0, 0];
                assert_eq!(
                    run(program, arch, number, arguments),
                    expected(&rules, arguments),
                    "call {number} with {arguments:x?}"
                );
            }
        }
    }
}

#[test]
fn other_interfaces_of_the_kernel_are_closed() {
    let program = &programs(&[]).unwrap()[0];
    let arch = architecture().unwrap();
    let (i386, getpid) = (0x4000_0003, 39);
    assert_eq!(run(program, arch, getpid, [0; 6]), Ok(()));
    assert_eq!(run(program, i386, getpid, [0; 6]), Err(0));
    if let Some(x32) = X32 {
        let eperm = libc::EPERM.cast_unsigned();
        assert_eq!(run(program, arch, x32 | getpid, [0; 6]), Err(eperm));
    }
}

#[test]
fn no_call_costs_more_than_a_few_comparisons_to_find() {
    let program = &programs(&[]).unwrap()[0];
    assert!(program.len() < 400, "{} instructions", program.len());
}
