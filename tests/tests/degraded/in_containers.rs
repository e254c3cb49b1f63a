//! Autoclave inside containers that it did not make, as in jobs of continuous integration.

use std::process::Command;

use e2e::stage::{Backend, Caller, Ended, Setup, Stage, autoclave, processes_with};

use crate::toy::{self, Accepts};

/// A container that autoclave runs in.
struct Inside {
    name: &'static str,
    caller: Caller,
    /// How it is started, beside what all are.
    options: &'static [&'static str],
    outcome: Outcome,
}

enum Outcome {
    Sealed,
    /// Only where that is accepted; else the refusal says this.
    Landlock(&'static str),
    /// Whatever is accepted.
    Refused(&'static str),
}

const NO_NAMESPACES: &str =
    "no new namespaces (could not make namespaces: EPERM: Operation not permitted)";
const CONTAINERS: &[Inside] = &[
    Inside {
        name: "root, as Docker starts it",
        caller: Caller::Tester,
        options: &[],
        outcome: Outcome::Landlock(NO_NAMESPACES),
    },
    Inside {
        name: "an ordinary user, as Docker starts it",
        caller: Caller::OrdinaryUser,
        options: &[],
        outcome: Outcome::Landlock(NO_NAMESPACES),
    },
    Inside {
        name: "an ordinary user without any capability or new privilege",
        caller: Caller::OrdinaryUser,
        options: &["--cap-drop=ALL", "--security-opt=no-new-privileges"],
        outcome: Outcome::Landlock(NO_NAMESPACES),
    },
    Inside {
        name: "an ordinary user who may make namespaces, but not mount /proc",
        caller: Caller::OrdinaryUser,
        options: &["--security-opt=seccomp=unconfined"],
        outcome: Outcome::Landlock("no new namespaces (could not mount /proc: EPERM"),
    },
    Inside {
        name: "an ordinary user who may do both",
        caller: Caller::OrdinaryUser,
        options: &[
            "--security-opt=seccomp=unconfined",
            "--security-opt=systempaths=unconfined",
        ],
        outcome: Outcome::Sealed,
    },
    Inside {
        name: "root with CAP_SYS_ADMIN",
        caller: Caller::Tester,
        options: &["--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined"],
        outcome: Outcome::Sealed,
    },
    Inside {
        name: "root without any capability",
        caller: Caller::Tester,
        options: &["--cap-drop=ALL"],
        outcome: Outcome::Refused(
            "cannot enforce identity: this process is root, but without CAP_CHOWN, \
             CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL, CAP_SETGID, CAP_SETUID",
        ),
    },
];

#[test]
fn the_level_inside_a_container_is_what_its_options_allow() {
    let engine = Setup {
        backend: Backend::Container,
        measured_in: Backend::Container,
        caller: Caller::Tester,
    };
    if engine.is_skipped() {
        return;
    }
    for (at, inside) in CONTAINERS.iter().enumerate() {
        for accepts in inside.outcome.depends_on() {
            let mark = format!("{at}6543.{}", std::process::id());
            let stage = toy::shelled(inside.caller, *accepts, &mark);
            let ended = inside.run(engine, &stage);
            match inside.outcome.of(*accepts) {
                Ok(level) => {
                    assert_eq!(ended.code, Some(0), "{}: {ended}", inside.name);
                    assert_eq!(toy::level(&stage), level, "{}", inside.name);
                    toy::assert_contained(&stage);
                }
                Err(why) => {
                    assert_eq!(ended.code, Some(5), "{}: {ended}", inside.name);
                    ended.says(why);
                }
            }
            let left = processes_with(&mark);
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

impl Outcome {
    /// Returns what has to be tried: where nothing can change the outcome, only what might.
    fn depends_on(&self) -> &'static [Accepts] {
        match self {
            Self::Sealed => &[Accepts::Nothing],
            Self::Landlock(_) => &[Accepts::Nothing, Accepts::Landlock],
            Self::Refused(_) => &[Accepts::Landlock],
        }
    }

    /// Returns the level, or what the refusal says.
    fn of(&self, accepts: Accepts) -> Result<&'static str, &'static str> {
        match (self, accepts) {
            (Self::Sealed, _) => Ok("sealed"),
            (Self::Landlock(_), Accepts::Landlock) => Ok("landlock"),
            (Self::Landlock(why), Accepts::Nothing) | (Self::Refused(why), _) => Err(why),
        }
    }
}

impl Inside {
    /// Runs the marker in a container of the tests' image that sees the stage and nothing else.
    fn run(&self, engine: Setup, stage: &Stage) -> Ended {
        let inside = stage.command(&[]);
        // A link would lead out of what the container sees.
        let binary = stage.outside("bin/inside");
        std::fs::copy(autoclave(), &binary).unwrap();
        let folder = stage.outside("");
        let folder = folder.to_str().unwrap().trim_end_matches('/');
        let owner = std::os::unix::fs::MetadataExt::uid(&stage.repo().metadata().unwrap());
        let mut command = Command::new("docker");
        command
            .args(["--host", &engine.address(), "run", "--rm", "--network=none"])
            .args(["--volume", &format!("{folder}:{folder}")])
            .arg(format!("--user={owner}:{owner}"))
            .arg(format!("--workdir={}", stage.repo().display()))
            .args(self.options);
        for (name, value) in inside.get_envs() {
            let (name, value) = (name.to_str().unwrap(), value.unwrap().to_str().unwrap());
            command.arg(format!("--env={name}={value}"));
        }
        command
            .arg(Backend::image())
            .arg(&binary)
            .args(["run", "-m", "smaller"]);
        Ended::new(command.output().unwrap())
    }
}
