//! The denied system calls as a seccomp profile of container engines.

use std::fs;
use std::path::{Path, PathBuf};

use autoclave_policies::{ArgOp, ArgTest, ArgWidth, SyscallRule, denied_syscalls};
use serde_json::{Value, json};

use crate::sandbox::SandboxError;

/// Returns the profile in the engines' JSON form: everything is allowed but what the process
/// backend denies, too. Calls of other architectures (x32, i386) kill the process.
///
/// Form: the "seccomp" section of the OCI runtime specification, as Docker and Podman read it.
pub fn profile() -> String {
    let rules: Vec<Value> = denied_syscalls().iter().flat_map(rules).collect();
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [architecture()],
        "syscalls": rules,
    })
    .to_string()
}

/// Writes the profile into `folder` and returns where: Podman takes a file of its machine where
/// Docker takes the text.
pub fn file(folder: &Path) -> Result<PathBuf, SandboxError> {
    let path = folder.join("seccomp.json");
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, profile()));
    written.map_err(|cause| SandboxError::Io {
        action: "write",
        path: path.clone(),
        cause,
    })?;
    Ok(path)
}

/// Returns the rules for one denial: any of them denies.
fn rules(rule: &SyscallRule) -> Vec<Value> {
    let tests = rule.condition.map_or(&[][..], |condition| condition.all);
    alternatives(tests)
        .into_iter()
        .map(|args| {
            json!({
                "names": [rule.name],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": rule.errno,
                "args": args,
            })
        })
        .collect()
}

/// Returns lists of arguments, each of which meets all of `tests` and names no argument twice:
/// engines read several tests of one argument as alternatives.
fn alternatives(tests: &[ArgTest]) -> Vec<Vec<Value>> {
    let mut lists = vec![Vec::new()];
    for index in 0..6 {
        let of_one: Vec<&ArgTest> = tests.iter().filter(|test| test.index == index).collect();
        let choices = match of_one.as_slice() {
            [] => continue,
            [one] => vec![test(one)],
            several => others(index, several),
        };
        lists = lists
            .iter()
            .flat_map(|list| {
                choices.iter().map(move |choice| {
                    let mut list = list.clone();
                    list.push(choice.clone());
                    list
                })
            })
            .collect();
    }
    lists
}

/// Returns tests of which one meets every value that differs from all that `tests` name.
fn others(index: u8, tests: &[&ArgTest]) -> Vec<Value> {
    let lower_half = u64::from(u32::MAX);
    let named: Vec<u64> = tests
        .iter()
        .filter_map(|test| match test.op {
            ArgOp::Differs(value) => Some(value),
            ArgOp::Equals(_) | ArgOp::Masked { .. } => None,
        })
        .collect();
    let masked = |mask: u64, value: u64| json!({"index": index, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value});
    let mut sorted = named.clone();
    sorted.sort_unstable();
    if named.len() == tests.len() && sorted == [0, lower_half] {
        // Neither no bit nor every bit: somewhere, going round, a set one follows a clear one.
        return (0..32_u32)
            .map(|bit| {
                let (set, clear) = (1 << bit, 1 << ((bit + 1) % 32));
                masked(set | clear, set)
            })
            .collect();
    }
    let most = sorted.last().copied().unwrap_or_default();
    if named.len() == tests.len() && most < 64 {
        let between = (0..most).filter(|value| !named.contains(value));
        let mut choices: Vec<Value> = between.map(|value| masked(lower_half, value)).collect();
        choices.push(json!({"index": index, "op": "SCMP_CMP_GT", "value": most, "valueTwo": 0}));
        return choices;
    }
    // Nothing else is expressible: the call is denied whatever this argument is.
    vec![json!({"index": index, "op": "SCMP_CMP_GE", "value": 0, "valueTwo": 0})]
}

/// The library behind the profiles compares whole registers. Where the kernel reads the lower
/// half, equality is asked of that half alone, and inequality of the whole: a call with a dirty
/// upper half is denied rather than let through.
fn test(test: &ArgTest) -> Value {
    let lower_half = u64::from(u32::MAX);
    let (op, value, second) = match (test.op, test.width) {
        (ArgOp::Equals(value), ArgWidth::U32) => ("SCMP_CMP_MASKED_EQ", lower_half, value),
        (ArgOp::Equals(value), ArgWidth::U64) => ("SCMP_CMP_EQ", value, 0),
        (ArgOp::Differs(value), ArgWidth::U32 | ArgWidth::U64) => ("SCMP_CMP_NE", value, 0),
        (ArgOp::Masked { mask, value }, ArgWidth::U32 | ArgWidth::U64) => {
            ("SCMP_CMP_MASKED_EQ", mask, value)
        }
    };
    json!({"index": test.index, "op": op, "value": value, "valueTwo": second})
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "SCMP_ARCH_AARCH64"
    } else {
        "SCMP_ARCH_X86_64"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_of(name: &str) -> Vec<Value> {
        let profile: Value = serde_json::from_str(&profile()).unwrap();
        let rules = profile["syscalls"].as_array().unwrap();
        let named = |rule: &&Value| rule["names"] == json!([name]);
        rules.iter().filter(named).cloned().collect()
    }

    #[test]
    fn every_denial_of_the_process_backend_is_in_the_profile() {
        let profile: Value = serde_json::from_str(&profile()).unwrap();
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ALLOW");
        let mut names: Vec<&str> = profile["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["names"][0].as_str().unwrap())
            .collect();
        names.dedup();
        let mut denied: Vec<&str> = denied_syscalls().iter().map(|rule| rule.name).collect();
        denied.dedup();
        assert_eq!(names, denied);
    }

    #[test]
    fn a_call_that_libc_can_do_without_is_answered_as_missing() {
        assert_eq!(
            rules_of("clone3"),
            [json!({
                "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "args": [],
            })]
        );
    }

    #[test]
    fn a_terminal_request_is_denied_whatever_the_upper_half_of_the_register() {
        let args: Vec<Value> = rules_of("ioctl")
            .into_iter()
            .map(|r| r["args"].clone())
            .collect();
        assert!(args.contains(&json!([{
            "index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 0xffff_ffff_u64, "valueTwo": 0x5412,
        }])));
    }

    /// Says whether the profile denies a call, as libseccomp reads it.
    fn is_denied(name: &str, arguments: [u64; 3]) -> bool {
        let number = |test: &Value, key: &str| test[key].as_u64().unwrap();
        rules_of(name).iter().any(|rule| {
            rule["args"].as_array().unwrap().iter().all(|test| {
                let argument = arguments[usize::try_from(number(test, "index")).unwrap()];
                let value = number(test, "value");
                match test["op"].as_str().unwrap() {
                    "SCMP_CMP_EQ" => argument == value,
                    "SCMP_CMP_NE" => argument != value,
                    "SCMP_CMP_GT" => argument > value,
                    "SCMP_CMP_GE" => argument >= value,
                    "SCMP_CMP_MASKED_EQ" => argument & value == number(test, "valueTwo"),
                    other => panic!("{other}"),
                }
            })
        })
    }

    #[test]
    fn no_rule_tests_an_argument_twice() {
        let profile: Value = serde_json::from_str(&profile()).unwrap();
        for rule in profile["syscalls"].as_array().unwrap() {
            let mut indices: Vec<u64> = rule["args"]
                .as_array()
                .unwrap()
                .iter()
                .map(|test| test["index"].as_u64().unwrap())
                .collect();
            let all = indices.len();
            indices.dedup();
            assert_eq!(indices.len(), all, "{rule}");
        }
    }

    #[test]
    fn only_the_needed_families_of_sockets_are_let_through() {
        for family in [1, 2, 10, 16] {
            assert!(!is_denied("socket", [family, 1, 0]), "{family}");
        }
        for family in (0..64).filter(|family| ![1, 2, 10, 16].contains(family)) {
            assert!(is_denied("socket", [family, 1, 0]), "{family}");
            assert!(
                is_denied("socket", [family | 1 << 40, 1, 0]),
                "dirty {family}"
            );
        }
    }

    #[test]
    fn a_personality_may_be_asked_for_and_not_changed() {
        for same in [0, 0xffff_ffff] {
            assert!(!is_denied("personality", [same, 0, 0]), "{same:x}");
        }
        for other in [1, 0x0004_0000, 0x0040_0000, 0x8000_0000, 0x7fff_ffff] {
            assert!(is_denied("personality", [other, 0, 0]), "{other:x}");
        }
    }
}
