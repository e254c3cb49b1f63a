//! What a user can do where no sandbox can be made.

use autoclave_runner::sandbox::SandboxError;
use autoclave_runner::sandbox::container::EngineError;

/// Says what can be done about `error`; a fragment.
pub fn hint(error: &SandboxError) -> Option<&'static str> {
    match error {
        SandboxError::NoEngine(error) => Some(engine_hint(error)),
        SandboxError::NoImage { .. } => Some(
            "build or pull it on that engine, or name another with `sandbox.image`; \
             `sandbox-images/build` makes the one that is meant where none is named",
        ),
        SandboxError::CannotEnforce { .. }
        | SandboxError::NotProven(_)
        | SandboxError::Io { .. }
        | SandboxError::Entries(_)
        | SandboxError::Engine { .. }
        | SandboxError::Backend(_) => None,
    }
}

fn engine_hint(error: &EngineError) -> &'static str {
    match error {
        EngineError::Address(_) => {
            "set DOCKER_HOST to something like unix:///var/run/docker.sock, tcp://HOST:2376 or \
             ssh://USER@HOST"
        }
        EngineError::SshPort(_) => {
            "write `Host engine` with HostName, Port and User into ~/.ssh/config and set \
             DOCKER_HOST=ssh://engine"
        }
        EngineError::Context { .. } => {
            "`docker context ls` lists those there are; DOCKER_HOST goes before any of them"
        }
        EngineError::ClientFile { .. } => {
            "repair it, or set DOCKER_HOST, which goes before what Docker's client has written down"
        }
        EngineError::NoCertificates(_) | EngineError::Certificate { .. } => {
            "DOCKER_CERT_PATH names the folder with ca.pem, cert.pem and key.pem; unset \
             DOCKER_TLS_VERIFY for an engine without TLS"
        }
        EngineError::Unreachable { address, .. } if address.starts_with("tcp://") => {
            "is the engine up, and does it want TLS (DOCKER_TLS_VERIFY=1, DOCKER_CERT_PATH)?"
        }
        EngineError::Unreachable { address, .. } if address.starts_with("ssh://") => {
            "does `ssh HOST docker version` work, without any question?"
        }
        EngineError::Unreachable { .. } => {
            "start it (`systemctl start docker`, or `systemctl start podman.socket`), name another \
             with DOCKER_HOST, or set `sandbox.backend: process`, which needs none"
        }
        EngineError::Forbidden { .. } => {
            "become a member of the group that the socket belongs to, which is as much as being \
             root there, or set `sandbox.backend: process`"
        }
        EngineError::TooOld { .. } => "Docker 20.10 or Podman 4, or newer",
    }
}

/// Makes a sentence of a fragment.
pub fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if fragment.ends_with('?') { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_about_a_silent_engine_depends_on_how_it_is_reached() {
        let hint_at = |address: &str| {
            let error = EngineError::Unreachable {
                address: address.into(),
                cause: "silence".into(),
            };
            hint(&error.into()).unwrap()
        };
        assert!(hint_at("unix:///run/docker.sock").contains("systemctl start docker"));
        assert!(hint_at("tcp://engine:2376").contains("DOCKER_TLS_VERIFY"));
        assert!(hint_at("ssh://engine").contains("ssh HOST docker version"));
    }

    #[test]
    fn a_fragment_becomes_a_sentence() {
        assert_eq!(sentence("start it"), "Start it.");
        assert_eq!(sentence("is it up?"), "Is it up?");
    }
}
