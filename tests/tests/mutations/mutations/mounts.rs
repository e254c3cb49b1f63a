//! What of the host's files is seen, and how.

use crate::mutation::Mutation;
use crate::row::Row;

const MOUNTS: &str = "enter/src/mounts.rs";
const INIT: &str = "enter/src/init.rs";
const NONE: &str = "MsFlags::empty()";

pub fn mutations() -> Vec<Mutation> {
    let flag = |name: &str, what: &str, file, near, original| {
        Mutation::new(format!("mount-{name}"), what, Row::Sealed)
            .instead_near(file, near, original, NONE)
    };
    let scratch =
        "let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;\n    mount(\n        Some(\"tmpfs\"),";
    let overlay = "let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;\n    mount(\n        Some(\"overlay\"),";
    let pts =
        "let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;\n    let options = \"newinstance";
    let binds =
        "| MsFlags::MS_RDONLY\n            | MsFlags::MS_NOSUID\n            | MsFlags::MS_NODEV";
    let proc = "let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;";
    let (nosuid, nodev, noexec) = (
        "MsFlags::MS_NOSUID",
        "MsFlags::MS_NODEV",
        "MsFlags::MS_NOEXEC",
    );
    vec![
        Mutation::new("mount-private", "private mounts", Row::Sealed)
            .without(
                MOUNTS,
                "mount(\n        NO_TYPE,\n        \"/\",\n        NO_TYPE,\n        MsFlags::MS_REC | MsFlags::MS_PRIVATE,\n        NO_OPTIONS,\n    )\n    .during(\"make mounts private\")?;",
            )
            .breaks("could not change the root"),
        Mutation::new("own-proc", "a /proc of its own: the host's instead", Row::Sealed)
            .raw(
                INIT,
                "mount(\n        Some(\"proc\"),\n        &root.join(\"proc\"),\n        Some(\"proc\"),\n        flags,\n        None::<&str>,\n    )",
                "mount(\n        Some(\"proc\"),\n        &root.join(\"proc\"),\n        Some(\"proc\"),\n        flags,\n        None::<&str>,\n    )",
                "(if @ON { mount(Some(\"/proc\"), &root.join(\"proc\"), None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>) } else { @ORIGINAL })",
            )
            .caught_by(&["outside-process"]),
        Mutation::new("pivot-root", "the change of the root", Row::SealedUser)
            .without(INIT, "pivot_root(\".\", \".\").during(\"change the root\")?;")
            .breaks("reading a secret of the host succeeded"),
        Mutation::new("detach-root", "the detaching of the host's files", Row::Sealed)
            .without(INIT, "umount2(\".\", MntFlags::MNT_DETACH).during(\"detach the host's files\")?;")
            .caught_by(&["old-root"]),
        flag("proc-nosuid", "nosuid of /proc", INIT, proc, nosuid).caught_by(&["mount-proc"]),
        flag("proc-nodev", "nodev of /proc", INIT, proc, nodev).caught_by(&["mount-proc"]),
        flag("proc-noexec", "noexec of /proc", INIT, proc, noexec).caught_by(&["mount-proc"]),
        flag("tmp-nosuid", "nosuid of /tmp", MOUNTS, scratch, nosuid).caught_by(&["mount-tmp"]),
        flag("tmp-nodev", "nodev of /tmp", MOUNTS, scratch, nodev).caught_by(&["mount-tmp"]),
        flag("root-nosuid", "nosuid of the workspace", MOUNTS, overlay, nosuid)
            .caught_by(&["mount-root"]),
        flag("root-nodev", "nodev of the workspace", MOUNTS, overlay, nodev)
            .caught_by(&["mount-root"]),
        flag("pts-nosuid", "nosuid of terminals", MOUNTS, pts, nosuid).caught_by(&["mount-pts"]),
        flag("pts-noexec", "noexec of terminals", MOUNTS, pts, noexec).caught_by(&["mount-pts"]),
        flag("bind-read-only", "read-only system and views", MOUNTS, binds, "MsFlags::MS_RDONLY")
            .caught_by(&["mount-usr", "mount-view", "write-usr", "write-view"]),
        flag("bind-nosuid", "nosuid of system and views", MOUNTS, binds, nosuid)
            .caught_by(&["mount-usr", "mount-view"]),
        flag("bind-nodev", "nodev of system and views", MOUNTS, binds, nodev)
            .caught_by(&["mount-usr", "mount-view"]),
        Mutation::new("etc-private", "what only some may read of the host's /etc left out", Row::Sealed)
            .instead_near(
                "runner/src/sandbox/process/etc.rs",
                "found.is_dir() && has(ENTERABLE)",
                "has(ENTERABLE)",
                "true",
            )
            .caught_by(&["private-etc"]),
    ]
}
