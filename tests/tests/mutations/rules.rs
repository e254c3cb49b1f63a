//! For each rule about system calls, the call that it alone denies.

use std::collections::BTreeMap;

use autoclave_policies::{
    ArgOp, ArgTest, SyscallRule, denied_among_host_processes, denied_syscalls,
};

use crate::row::Row;

/// Which list a rule is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Everywhere,
    AmongHostProcesses,
}

/// One rule, with its number in the list and a call that meets it and no other.
pub struct Denied {
    pub list: List,
    pub number: usize,
    /// The name of its case: the call, and what its arguments are asked.
    pub case: String,
    pub name: &'static str,
    pub arguments: [u64; 3],
    pub errno: i32,
}

impl List {
    const ALL: [Self; 2] = [Self::Everywhere, Self::AmongHostProcesses];

    fn rules(self) -> &'static [SyscallRule] {
        match self {
            Self::Everywhere => denied_syscalls(),
            Self::AmongHostProcesses => denied_among_host_processes(),
        }
    }

    /// Says whether the filter alone answers for each call of the list. Where there are no
    /// namespaces, another rule denies all sockets before.
    fn answers_on(self, row: Row) -> bool {
        match self {
            Self::Everywhere => row.without() != "namespaces" && row != Row::Changes,
            Self::AmongHostProcesses => row.without() == "namespaces",
        }
    }

    /// Returns the rows on which each of its rules is removed.
    pub fn rows(self) -> &'static [Row] {
        match self {
            Self::Everywhere => &[Row::Sealed, Row::Docker, Row::Podman],
            Self::AmongHostProcesses => &[Row::Landlock],
        }
    }
}

impl Denied {
    /// Returns the name of its removal.
    pub fn mutation(&self) -> String {
        let list = match self.list {
            List::Everywhere => "call",
            List::AmongHostProcesses => "host-call",
        };
        format!("{list}-{}", self.number)
    }
}

/// Returns every rule that says something on this processor.
pub fn denied() -> Vec<Denied> {
    let all = List::ALL.into_iter().flat_map(|list| {
        let rules = list.rules().iter().enumerate();
        rules.map(move |(number, rule)| (list, number, rule))
    });
    all.filter(|(_, _, rule)| is_here(rule.name))
        .map(|(list, number, rule)| Denied {
            list,
            number,
            case: case(rule),
            name: rule.name,
            arguments: arguments(rule),
            errno: rule.errno,
        })
        .collect()
}

/// Returns the rules that answer on `row`.
pub fn denied_on(row: Row) -> Vec<Denied> {
    let mut all = denied();
    all.retain(|rule| rule.list.answers_on(row));
    all
}

/// Some calls exist on some processors only.
fn is_here(name: &str) -> bool {
    let only_x86 = ["modify_ldt", "iopl", "ioperm", "umount", "lookup_dcookie"];
    name != "umount" && (cfg!(target_arch = "x86_64") || !only_x86.contains(&name))
}

fn case(rule: &SyscallRule) -> String {
    let tests = rule.condition.map_or(&[][..], |condition| condition.all);
    let words: Vec<String> = tests
        .iter()
        .map(|test| match test.op {
            ArgOp::Equals(value) => format!("{}={value:#x}", test.index),
            ArgOp::Differs(value) => format!("{}!={value:#x}", test.index),
            ArgOp::Masked { mask, value } => format!("{}&{mask:#x}={value:#x}", test.index),
        })
        .collect();
    if words.is_empty() {
        rule.name.to_owned()
    } else {
        format!("{}[{}]", rule.name, words.join(","))
    }
}

/// Returns arguments that meet a rule.
fn arguments(rule: &SyscallRule) -> [u64; 3] {
    let tests = rule.condition.map_or(&[][..], |condition| condition.all);
    let mut by_index: BTreeMap<u8, Vec<&ArgTest>> = BTreeMap::new();
    for test in tests {
        by_index.entry(test.index).or_default().push(test);
    }
    let mut arguments = [0; 3];
    for (index, tests) in by_index {
        // Above all families of sockets that are let through, and no personality.
        let candidates = tests.iter().filter_map(|test| match test.op {
            ArgOp::Equals(value) | ArgOp::Masked { value, .. } => Some(value),
            ArgOp::Differs(_) => None,
        });
        arguments[usize::from(index)] = candidates
            .chain(40..100)
            .find(|value| tests.iter().all(|test| meets(test, *value)))
            .unwrap();
    }
    arguments
}

fn meets(test: &ArgTest, argument: u64) -> bool {
    match test.op {
        ArgOp::Equals(value) => argument == value,
        ArgOp::Differs(value) => argument != value,
        ArgOp::Masked { mask, value } => argument & mask == value,
    }
}

/// Returns the rules as the program reads them.
pub fn header() -> String {
    let mut text = "struct rule { const char *name; long number; long arguments[3]; };\n\
                    static const struct rule rules[] = {\n"
        .to_owned();
    for rule in denied() {
        // Since Linux 6.15, and not in the C library's headers yet.
        let number = match rule.name {
            "open_tree_attr" => "467".to_owned(),
            name => format!("SYS_{name}"),
        };
        let [a, b, c] = rule.arguments;
        text.push_str(&format!(
            "    {{\"{}\", {number}, {{{a}, {b}, {c}}}}},\n",
            rule.case
        ));
    }
    text.push_str("};\n");
    text
}

#[test]
fn each_rule_has_a_call_that_no_other_rule_denies() {
    for rule in denied() {
        let deniers: Vec<usize> = rule
            .list
            .rules()
            .iter()
            .enumerate()
            .filter(|(_, other)| other.name == rule.name)
            .filter(|(_, other)| {
                let tests = other.condition.map_or(&[][..], |condition| condition.all);
                let argument = |test: &ArgTest| rule.arguments[usize::from(test.index)];
                tests.iter().all(|test| meets(test, argument(test)))
            })
            .map(|(number, _)| number)
            .collect();
        assert_eq!(deniers, [rule.number], "{}", rule.case);
    }
}
