//! What a container's engine is asked for, and what its first process does.

use crate::mutation::Mutation;
use crate::row::Row;

const DESCRIBE: &str = "runner/src/sandbox/container/describe.rs";
const CONTAINED: &str = "enter/src/contained.rs";

pub fn mutations() -> Vec<Mutation> {
    let mut all = options();
    all.extend(first_process());
    // Podman asks for its own limits where it is asked for none, which not every machine lets it
    // set; and where there are both versions of cgroups, its runtime gives no namespace of them.
    let dockers = ["ulimit-nofile", "ulimit-nproc", "container-cgroups"];
    let is_dockers = |one: &Mutation| dockers.contains(&one.name.as_str());
    all.into_iter()
        .map(|one| {
            if is_dockers(&one) {
                one
            } else {
                one.also(Row::Podman)
            }
        })
        .collect()
}

/// What the engine is asked for.
fn options() -> Vec<Mutation> {
    let option =
        |name: &str, what: &str| Mutation::new(format!("container-{name}"), what, Row::Docker);
    let none = "None";
    vec![
        option("user", "the user that is not root")
            .instead(DESCRIBE, "format!(\"{uid}:{gid}\")", "\"0:0\".to_owned()")
            .proof("the user is")
            .caught_by(&["uid", "gid"]),
        option("capabilities", "no capabilities")
            .instead_near(
                DESCRIBE,
                "cap_drop: Some(vec![\"ALL\".to_owned()])",
                "Some(vec![\"ALL\".to_owned()])",
                none,
            )
            .proof("bounding capabilities are")
            .caught_by(&["bounding-capabilities"]),
        option("privileges", "no new privileges")
            .instead(
                DESCRIBE,
                "\"no-new-privileges\".to_owned()",
                "\"label=disable\".to_owned()",
            )
            .proof("no_new_privs is")
            .covered(
                "the library that loads the filter, which sets it itself",
                &["contained-filter"],
                &["no-new-privileges"],
            ),
        option("seccomp", "the seccomp profile")
            .instead(
                DESCRIBE,
                "format!(\"seccomp={}\", shared.seccomp)",
                "\"seccomp=unconfined\".to_owned()",
            )
            .proof("seccomp is")
            .caught_by(&["seccomp-filters", "x32-calls"]),
        option("network", "no network")
            .instead_near(
                DESCRIBE,
                "Network::None | Network::Gateway { .. } => \"none\"",
                "\"none\"",
                "\"host\"",
            )
            .proof("a connection out")
            .caught_by(&["outside-port", "outside-abstract-socket"]),
        option("ipc", "IPC of its own")
            .instead_near(
                DESCRIBE,
                "ipc_mode: Some(\"private\".to_owned())",
                "\"private\"",
                "\"host\"",
            )
            .caught_by(&["outside-queue"]),
        option("cgroups", "a cgroup namespace")
            .instead(
                DESCRIBE,
                "HostConfigCgroupnsModeEnum::PRIVATE",
                "HostConfigCgroupnsModeEnum::HOST",
            )
            .caught_by(&["cgroup-names"]),
        option("memory", "the limit of memory")
            .instead_near(DESCRIBE, "memory: Some(memory),", "Some(memory)", none)
            .raw(
                DESCRIBE,
                "memory_swap: Some(memory),",
                "Some(memory)",
                "(if @ON || autoclave_enter::mutant::is(\"container-swap\") { None } else { @ORIGINAL })",
            )
            .caught_by(&["memory-group", "memory"]),
        option("swap", "the limit of swap").caught_by(&["swap-group"]),
        option("processor", "the limit of processor time")
            .instead_near(DESCRIBE, "nano_cpus: Some(nano_cpus)", "Some(nano_cpus)", none)
            .caught_by(&["processor-group"]),
        option("processes", "the limit of processes")
            .instead(DESCRIBE, "Some(i64::from(limits.pids))", none)
            .caught_by(&["processes-group", "processes"]),
        Mutation::new("tmpfs-nosuid", "nosuid of /tmp", Row::Docker).caught_by(&["mount-tmp"]),
        Mutation::new("tmpfs-nodev", "nodev of /tmp", Row::Docker).caught_by(&["mount-tmp"]),
        Mutation::new("tmpfs-size", "the size of /tmp", Row::Docker).caught_by(&["disk-size"]),
        Mutation::new("ulimit-core", "the engine's limit of core dumps", Row::Docker).covered(
            "the first process, which sets it, too",
            &["contained-cores"],
            &["core-size"],
        ),
        Mutation::new("ulimit-nofile", "the limit of open files", Row::Docker)
            .caught_by(&["open-files"]),
        Mutation::new("ulimit-nproc", "the limit of the user's processes", Row::Docker)
            .caught_by(&["processes-of-user"]),
        option("read-only", "read-only views")
            .instead_near(DESCRIBE, "read_only: Some(true)", "true", "false")
            .caught_by(&["mount-view", "write-view"]),
    ]
}

/// What the helper does as the first process of a container.
fn first_process() -> Vec<Mutation> {
    let own =
        |name: &str, what: &str| Mutation::new(format!("contained-{name}"), what, Row::Docker);
    vec![
        own("hidden", "the first process closed to the command")
            .without(CONTAINED, "prctl::set_dumpable(false).during(\"become undumpable\")?;")
            .caught_by(&["first-process"]),
        own("filter", "the filter of the process backend beside the profile")
            .without(CONTAINED, "command::filter(&spec.seccomp)?;")
            .caught_by(&["seccomp-filters"]),
        own("cores", "the first process's limit of core dumps")
            .without(
                CONTAINED,
                "setrlimit(Resource::RLIMIT_CORE, 0, 0).during(\"forbid core dumps\")?;",
            )
            .covered("the engine, which sets it, too", &["ulimit-core"], &["core-size"]),
        own("file", "the limit of a file's size")
            .without(
                CONTAINED,
                "setrlimit(Resource::RLIMIT_FSIZE, spec.disk_bytes, spec.disk_bytes)\n        .during(\"limit the size of files\")?;",
            )
            .caught_by(&["file-size"]),
        own("environment", "the command's own environment")
            .raw(
                CONTAINED,
                ".env_clear()",
                ".env_clear()",
                "@ORIGINAL.envs(std::env::vars_os().filter(|_| @ON))",
            )
            .caught_by(&["engine-variable"]),
    ]
}
