//! The container engine of a journey, asked beside autoclave.

use std::ffi::OsString;
use std::fs;
use std::process::Command;

use super::Setup;

/// An engine, as its own command reaches it.
pub struct Engine {
    address: OsString,
}

impl Engine {
    /// Returns the engine that a setup's containers are on.
    pub fn of(setup: Setup) -> Self {
        let address = setup.engine();
        let address = address.expect("the journey is about containers");
        Self { address }
    }

    /// Asks for what must work; returns what the engine's command printed.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        let command = command.arg("--host").arg(&self.address).args(arguments);
        let output = command.output().expect("docker's command is installed");
        assert!(output.status.success(), "docker {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Builds an image from a Dockerfile that needs neither files nor a network.
    #[track_caller]
    pub fn build(&self, name: &str, dockerfile: &str) {
        let folder = tempfile::tempdir().expect("a disk to write to");
        fs::write(folder.path().join("Dockerfile"), dockerfile).expect("the folder is ours");
        let folder = folder
            .path()
            .to_str()
            .expect("temporary folders are named in UTF-8");
        self.ask(&["build", "--quiet", "--tag", name, folder]);
    }

    /// Says whether `kind` (`container`, `image`, `volume`) has one called `name`.
    pub fn has(&self, kind: &str, name: &str) -> bool {
        let mut command = Command::new("docker");
        let command = command.arg("--host").arg(&self.address);
        let output = command.args([kind, "inspect", name]).output();
        output
            .expect("docker's command is installed")
            .status
            .success()
    }
}
