//! What Landlock does not grant.

use crate::mutation::Mutation;
use crate::row::Row;

const COMMAND: &str = "enter/src/command.rs";
const UNMOUNTED: &str = "runner/src/sandbox/process/unmounted.rs";

pub fn mutations() -> Vec<Mutation> {
    let granted = |right: &str, row| {
        Mutation::new(
            format!("landlock-{right}"),
            format!("the right {right} from what is not granted"),
            row,
        )
    };
    let tree = "AccessFs::from_all(abi) & !(AccessFs::MakeChar | AccessFs::MakeBlock) & !device";
    let scope = "ruleset = ruleset.scope(Scope::from_all(abi))?;";
    let user = Row::SealedUser;
    vec![
        Mutation::new("landlock", "Landlock, all of it", user)
            .raw(
                COMMAND,
                "let status = ruleset\n        .restrict_self()\n        .map_err(|error| Failure::new(&format!(\"enforce Landlock: {error}\"), 0))?;",
                "ruleset\n        .restrict_self()\n        .map_err(|error| Failure::new(&format!(\"enforce Landlock: {error}\"), 0))?",
                "if @ON { drop(ruleset); None } else { Some(@ORIGINAL) }",
            )
            .raw(
                COMMAND,
                "status.ruleset == RulesetStatus::FullyEnforced",
                "status.ruleset == RulesetStatus::FullyEnforced",
                "status.is_some_and(|status| @ORIGINAL)",
            )
            .proof("Landlock is not fully enforced")
            .caught_by(&["keep-write", "keep-make-file", "device-request"]),
        granted("WriteFile", user).caught_by(&["keep-write"]),
        granted("Truncate", user).caught_by(&["keep-truncate"]),
        granted("RemoveFile", user).caught_by(&["keep-remove"]),
        granted("RemoveDir", user).caught_by(&["keep-remove-folder"]),
        granted("MakeReg", user).caught_by(&["keep-make-file"]),
        granted("MakeDir", user).caught_by(&["keep-make-folder"]),
        granted("MakeSym", user).caught_by(&["keep-make-link"]),
        granted("MakeFifo", user).caught_by(&["keep-make-fifo"]),
        granted("MakeSock", user).caught_by(&["keep-make-socket"]),
        granted("MakeChar", user).caught_by(&["keep-make-character"]),
        granted("MakeBlock", user).caught_by(&["keep-make-block"]),
        granted("Refer", user).covered(
            "the right MakeReg, which link(2) needs, too",
            &["landlock-MakeReg"],
            &["keep-hard-link=ok"],
        ),
        granted("IoctlDev", user).caught_by(&["device-request"]),
        granted("Execute", Row::Landlock).covered(
            "the right ReadFile, which execve(2) needs, too",
            &["landlock-ReadFile"],
            &["execute-outside"],
        ),
        granted("ReadFile", Row::Landlock)
            .proof("reading a secret of the host")
            .caught_by(&["read-outside"]),
        granted("ReadDir", Row::Landlock).caught_by(&["list-outside"]),
        Mutation::new("tree-MakeChar", "character devices from what is mutable", user)
            .raw(
                COMMAND,
                tree,
                "AccessFs::MakeChar",
                "(if @ON { BitFlags::<AccessFs>::empty() } else { BitFlags::from(@ORIGINAL) })",
            )
            .caught_by(&["src-make-character"]),
        Mutation::new("tree-MakeBlock", "block devices from what is mutable", user)
            .raw(
                COMMAND,
                tree,
                "AccessFs::MakeBlock",
                "(if @ON { BitFlags::<AccessFs>::empty() } else { BitFlags::from(@ORIGINAL) })",
            )
            .caught_by(&["src-make-block"]),
        Mutation::new("scope-signals", "the scope of signals", Row::LandlockUser)
            .raw(COMMAND, scope, scope, "if autoclave_enter::mutant::is(\"scope-signals\") { ruleset = ruleset.scope(Scope::from_all(abi) & !Scope::Signal)?; } else if autoclave_enter::mutant::is(\"scope-sockets\") { ruleset = ruleset.scope(Scope::from_all(abi) & !Scope::AbstractUnixSocket)?; } else { @ORIGINAL }")
            .proof("a signal to the runner")
            .caught_by(&["outside-signal"]),
        Mutation::new("scope-sockets", "the scope of abstract sockets", Row::LandlockUser).covered(
            "the filter, which lets no socket be made",
            &["sockets"],
            &["outside-abstract-socket"],
        ),
        Mutation::new("tcp-connect", "the denial of TCP connections", Row::LandlockUser)
            .raw(
                COMMAND,
                "ruleset.handle_access(AccessNet::from_all(abi))?",
                "AccessNet::from_all(abi)",
                "if @ON { @ORIGINAL & !AccessNet::ConnectTcp } else if autoclave_enter::mutant::is(\"tcp-bind\") { @ORIGINAL & !AccessNet::BindTcp } else { @ORIGINAL }",
            )
            .covered("the filter, which lets no socket be made", &["sockets"], &["outside-port"]),
        Mutation::new("tcp-bind", "the denial of TCP ports", Row::LandlockUser).covered(
            "the filter, which lets no socket be made",
            &["sockets"],
            &["bind-port"],
        ),
        Mutation::new("readable", "the short list of what can be read", Row::Landlock)
            .raw(
                UNMOUNTED,
                ".chain([copy.clone(), tmp.clone()])",
                ".chain([copy.clone(), tmp.clone()])",
                "@ORIGINAL.chain(std::iter::once(PathBuf::from(\"/\")).filter(|_| @ON))",
            )
            .proof("reading a secret of the host")
            .caught_by(&["read-outside", "list-outside", "execute-outside"]),
        Mutation::new("shared-memory", "the host's /dev/shm kept closed", Row::Landlock)
            .raw(
                UNMOUNTED,
                "*path != Path::new(\"/dev/shm\")",
                "*path != Path::new(\"/dev/shm\")",
                "@ORIGINAL || @ON",
            )
            .caught_by(&["write-shm"]),
        Mutation::new("terminals", "the host's terminals kept closed", Row::Landlock)
            .raw(UNMOUNTED, "has_terminals: false", "false", "@ON")
            .caught_by(&["terminal"]),
    ]
}
