//! The denied system calls as a seccomp profile of container engines.

use autoclave_policies::{ArgOp, ArgTest, ArgWidth, SyscallRule, denied_syscalls};
use serde_json::{Value, json};

/// Returns the profile in the engines' JSON form: everything is allowed but what the process
/// backend denies, too. Calls of other architectures (x32, i386) kill the process.
///
/// Form: the "seccomp" section of the OCI runtime specification, as Docker and Podman read it.
pub fn profile() -> String {
    let rules: Vec<Value> = denied_syscalls().iter().map(rule).collect();
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [architecture()],
        "syscalls": rules,
    })
    .to_string()
}

fn rule(rule: &SyscallRule) -> Value {
    let args: Vec<Value> = rule
        .condition
        .iter()
        .flat_map(|condition| condition.all)
        .map(test)
        .collect();
    json!({
        "names": [rule.name],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": rule.errno,
        "args": args,
    })
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
        let names: Vec<&str> = profile["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["names"][0].as_str().unwrap())
            .collect();
        let denied: Vec<&str> = denied_syscalls().iter().map(|rule| rule.name).collect();
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
}
