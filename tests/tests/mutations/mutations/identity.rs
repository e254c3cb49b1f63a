//! Who the command is, and what it takes along.

use crate::mutation::Mutation;
use crate::row::Row;

const COMMAND: &str = "enter/src/command.rs";
const INIT: &str = "enter/src/init.rs";
const ALONE: &str = "enter/src/alone.rs";

pub fn mutations() -> Vec<Mutation> {
    let execve =
        "execve(2) gives a program of an ordinary uid no capabilities, whatever its process had";
    vec![
        Mutation::new("uid", "the uid of its own", Row::Sealed)
            .without(COMMAND, "setresuid(uid, uid, uid).during(\"change the user\")?;")
            .proof("the user is")
            .caught_by(&["uid"]),
        Mutation::new("gid", "the group of its own", Row::Sealed)
            .without(COMMAND, "setresgid(gid, gid, gid).during(\"change the group\")?;")
            .proof("the group is")
            .caught_by(&["gid"]),
        Mutation::new("groups", "the dropping of other groups", Row::Sealed)
            .without(COMMAND, "setgroups(&[]).during(\"drop groups\")?;")
            .proof("the other groups are")
            .caught_by(&["other-groups"]),
        Mutation::new("capabilities-Bounding", "the empty bounding set", Row::Sealed)
            .without(
                COMMAND,
                "caps::clear(None, caps::CapSet::Bounding).map_err(lost(\"drop bounding capabilities\"))?;",
            )
            .proof("bounding capabilities are")
            .caught_by(&["bounding-capabilities"]),
        Mutation::new("capabilities-Inheritable", "the empty inheritable set", Row::Sealed)
            .caught_by(&["inheritable-capabilities"]),
        Mutation::new("capabilities-Permitted", "the empty permitted and effective sets", Row::SealedUser)
            .only_by_the_proof("effective capabilities are", execve),
        Mutation::new("no-new-privileges", "no_new_privs", Row::Sealed)
            .without(COMMAND, "prctl::set_no_new_privs().during(\"give up new privileges\")?;")
            .covered(
                "the libraries that load Landlock's and seccomp's rules, which set it themselves",
                &["landlock", "seccomp"],
                &["no-new-privileges"],
            ),
        Mutation::new("descriptors-command", "the closing of descriptors before the command", Row::Landlock)
            .without(COMMAND, "stage::close_all_but(channel.file())?;")
            .caught_by(&["descriptors"]),
        Mutation::new("descriptors-init", "the closing of descriptors in pid 1", Row::Sealed)
            .without(INIT, "stage::close_all_but(channel.file())?;")
            .covered("the closing before the command", &["descriptors-command"], &["descriptors"]),
        Mutation::new("environment-helper", "the helper's empty environment", Row::Sealed)
            .raw(
                "runner/src/sandbox/process/launch.rs",
                ".env_clear()",
                ".env_clear()",
                "@ORIGINAL.envs(std::env::vars_os().filter(|_| @ON))",
            )
            .covered(
                "the command's own empty environment",
                &["environment-command"],
                &["outside-variable"],
            ),
        Mutation::new("environment-command", "the command's own environment", Row::Sealed)
            .raw(
                COMMAND,
                ".env_clear()",
                ".env_clear()",
                "@ORIGINAL.envs(std::env::vars_os().filter(|_| @ON))",
            )
            .covered("the helper's empty environment", &["environment-helper"], &["outside-variable"]),
        Mutation::new("session", "a session of its own", Row::Sealed)
            .without(COMMAND, "setsid().during(\"start a session\")?;")
            .caught_by(&["session"]),
        Mutation::new("out-of-memory-score", "going first when memory is out", Row::Sealed)
            .without(
                COMMAND,
                "fs::write(\"/proc/self/oom_score_adj\", \"1000\").during(\"volunteer for the memory killer\")?;",
            )
            .caught_by(&["out-of-memory-score"]),
        Mutation::new("hidden-init", "pid 1 closed to the command", Row::SealedUser)
            .without(INIT, "prctl::set_dumpable(false).during(\"hide init\")?;")
            .caught_by(&["first-process"]),
        Mutation::new("hidden-outer", "the stage outside closed to the command", Row::LandlockUser)
            .instead(
                ALONE,
                "prctl::set_dumpable(false).during(\"hide the outer stage\")",
                "Ok(())",
            )
            .caught_by(&["parent"]),
    ]
}
