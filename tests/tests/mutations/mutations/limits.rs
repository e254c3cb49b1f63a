//! How much a command may take.

use crate::mutation::Mutation;
use crate::row::Row;

const COMMAND: &str = "enter/src/command.rs";
const CGROUP: &str = "runner/src/sandbox/process/cgroup.rs";
const MOUNTS: &str = "enter/src/mounts.rs";

pub fn mutations() -> Vec<Mutation> {
    vec![
        Mutation::new("limit-cores", "the limit of core dumps", Row::Sealed)
            .instead_near(COMMAND, "(Resource::RLIMIT_CORE, 0)", "0", "u64::MAX")
            .caught_by(&["core-size"]),
        Mutation::new("limit-file", "the limit of a file's size", Row::Sealed)
            .instead_near(
                COMMAND,
                "(Resource::RLIMIT_FSIZE, rlimits.file_bytes)",
                "rlimits.file_bytes",
                "u64::MAX",
            )
            .caught_by(&["file-size"]),
        Mutation::new("limit-open-files", "the limit of open files", Row::Sealed)
            .also(Row::Landlock)
            .instead_near(
                COMMAND,
                "(Resource::RLIMIT_NOFILE, rlimits.open_files)",
                "rlimits.open_files",
                "u64::MAX",
            )
            .caught_by(&["open-files"]),
        Mutation::new("limit-data", "the limit of memory without cgroups", Row::NoCgroup)
            .without(
                COMMAND,
                "limits.extend(rlimits.memory_bytes.map(|n| (Resource::RLIMIT_DATA, n)));",
            )
            .caught_by(&["data-size", "memory"]),
        Mutation::new("limit-processes", "the limit of processes without cgroups", Row::NoCgroup)
            .without(
                COMMAND,
                "limits.extend(rlimits.processes.map(|n| (Resource::RLIMIT_NPROC, n)));",
            )
            .caught_by(&["processes-of-user", "processes"]),
        Mutation::new("cgroup-memory", "the limit of memory", Row::Sealed)
            .instead_near(
                CGROUP,
                "vec![(\"memory.limit_in_bytes\", limits.memory_bytes.to_string())]",
                "limits.memory_bytes.to_string()",
                "\"-1\".to_owned()",
            )
            .instead_near(
                CGROUP,
                "fs::write(swap, limits.memory_bytes.to_string()).ok()?;",
                "limits.memory_bytes.to_string()",
                "\"-1\".to_owned()",
            )
            .instead_near(
                CGROUP,
                "(\"memory.max\", limits.memory_bytes.to_string())",
                "limits.memory_bytes.to_string()",
                "\"max\".to_owned()",
            )
            .caught_by(&["memory"]),
        Mutation::new("cgroup-processes", "the limit of processes", Row::Sealed)
            .instead_near(
                CGROUP,
                "vec![(\n                    \"pids.max\",\n                    limits.pids.saturating_add(OWN_PROCESSES).to_string(),",
                "limits.pids.saturating_add(OWN_PROCESSES).to_string()",
                "\"max\".to_owned()",
            )
            .instead_near(
                CGROUP,
                "            (\n                \"pids.max\",\n                limits.pids.saturating_add(OWN_PROCESSES).to_string(),\n            ),\n            (\n                \"cpu.max\"",
                "limits.pids.saturating_add(OWN_PROCESSES).to_string()",
                "\"max\".to_owned()",
            )
            .caught_by(&["processes"]),
        Mutation::new("cgroup-processor", "the limit of processor time", Row::Slow)
            .instead_near(
                CGROUP,
                "((limits.cpus * f64::from(PERIOD_MICROSECONDS)) as u64)",
                "limits.cpus",
                "2.0",
            )
            .caught_by(&["processor"]),
        Mutation::new("cgroup-joined", "the joining of cgroups", Row::Sealed)
            .raw(
                "enter/src/outside.rs",
                "for file in &spec.cgroup_joins {",
                "&spec.cgroup_joins",
                "spec.cgroup_joins.iter().filter(|_| !@ON)",
            )
            .caught_by(&["memory", "processes"]),
        Mutation::new("disk", "the limit of the disk", Row::Sealed)
            .instead_near(
                MOUNTS,
                "let options = format!(\"size={},mode=0755\", spec.disk_bytes);",
                "spec.disk_bytes",
                "1_u64 << 40",
            )
            .caught_by(&["disk-size"]),
    ]
}
