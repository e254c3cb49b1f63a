//! Where an agent's program is, on the host and inside the sandbox.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use autoclave_policies::View;

/// Where a program that the sandbox does not see anyway is mounted.
const MOUNT: &str = "/opt/agent";
/// What every sandbox sees read-only.
const ALWAYS_VISIBLE: &str = "/usr";

/// An agent's program that exists and can be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentProgram {
    /// Its file on the host, without links.
    pub host: PathBuf,
    /// What must be mounted for it; `None` where every sandbox sees it.
    pub view: Option<View>,
    /// Its path inside the sandbox.
    pub inside: PathBuf,
}

/// An agent's program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("no program `{0}` on the PATH")]
    NotFound(String),
    #[error("`{}` is a script, and only a single binary can be mounted into a container", .0.display())]
    NotOneFile(PathBuf),
    #[error("`{}` cannot be executed", .0.display())]
    NotExecutable(PathBuf),
    #[error("could not read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("could not run `{} --version`", path.display())]
    Run {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("`{} --version` did not end within {deadline:?}", path.display())]
    Hangs { path: PathBuf, deadline: Duration },
    #[error("`{} --version` failed ({status})", path.display())]
    Failed { path: PathBuf, status: ExitStatus },
}

/// Finds the program that `command0` names: a path, or a name that is looked up in `path_var`.
///
/// A binary is mounted alone, since what lies beside it is none of the agent's business; a
/// script at its own path, with the package (nearest folder with a `package.json`) it belongs to.
///
/// # Errors
///
/// There is no such file, or it cannot be executed or read.
pub fn locate(command0: &str, path_var: Option<&OsStr>) -> Result<AgentProgram, AgentError> {
    let found = if command0.contains('/') {
        PathBuf::from(command0)
    } else {
        let folders = path_var.map(env::split_paths).into_iter().flatten();
        let mut candidates = folders.map(|folder| folder.join(command0));
        let found = candidates.find(|file| is_executable(file));
        found.ok_or_else(|| AgentError::NotFound(command0.to_owned()))?
    };
    let host = fs::canonicalize(&found).map_err(|cause| AgentError::Read {
        path: found.clone(),
        cause,
    })?;
    if !is_executable(&host) {
        return Err(AgentError::NotExecutable(host));
    }
    let (view, inside) = placed(&host, &found)?;
    Ok(AgentProgram { host, view, inside })
}

/// Finds the agent on the host as [`locate`] does, for a sandbox that shows nothing else of the
/// host: it is always mounted.
///
/// # Errors
///
/// As [`locate`]; [`AgentError::NotOneFile`] for a script, whose interpreter would be missing.
pub fn mounted(command0: &str, path_var: Option<&OsStr>) -> Result<AgentProgram, AgentError> {
    let AgentProgram { host, .. } = locate(command0, path_var)?;
    if !is_binary(&host)? {
        return Err(AgentError::NotOneFile(host));
    }
    let name = Path::new(command0).file_name();
    let inside = Path::new(MOUNT).join(name.unwrap_or(OsStr::new("agent")));
    let view = Some(View {
        source: host.clone(),
        target: inside.clone(),
    });
    Ok(AgentProgram { host, view, inside })
}

fn placed(host: &Path, found: &Path) -> Result<(Option<View>, PathBuf), AgentError> {
    if host.starts_with(ALWAYS_VISIBLE) {
        return Ok((None, host.to_owned()));
    }
    if is_binary(host)? {
        // The name it is called by; a program can behave by it.
        let inside = Path::new(MOUNT).join(found.file_name().unwrap_or(OsStr::new("agent")));
        let view = View {
            source: host.to_owned(),
            target: inside.clone(),
        };
        return Ok((Some(view), inside));
    }
    let package = host
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("package.json").is_file());
    let source = package.unwrap_or(host).to_owned();
    let view = View {
        target: source.clone(),
        source,
    };
    Ok((Some(view), host.to_owned()))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn is_binary(file: &Path) -> Result<bool, AgentError> {
    let mut magic = Vec::new();
    File::open(file)
        .and_then(|file| file.take(4).read_to_end(&mut magic))
        .map_err(|cause| AgentError::Read {
            path: file.to_owned(),
            cause,
        })?;
    Ok(magic == b"\x7fELF")
}

/// Asks the program on the host for its version: the first line of `--version`.
///
/// It gets an empty environment but for PATH, and is killed at the deadline.
///
/// # Errors
///
/// It cannot be started, fails, or does not end in time.
pub async fn version(program: &AgentProgram, deadline: Duration) -> Result<String, AgentError> {
    let path = || program.host.clone();
    let output = tokio::process::Command::new(&program.host)
        .arg("--version")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(deadline, output)
        .await
        .map_err(|_elapsed| AgentError::Hangs {
            path: path(),
            deadline,
        })?
        .map_err(|cause| AgentError::Run {
            path: path(),
            cause,
        })?;
    if !output.status.success() {
        return Err(AgentError::Failed {
            path: path(),
            status: output.status,
        });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_binary_is_mounted_alone_under_the_name_it_is_called_by() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root.join("versions/2.1.197"), b"\x7fELF...", 0o755);
        fs::create_dir(root.join("bin")).unwrap();
        symlink("../versions/2.1.197", root.join("bin/claude")).unwrap();

        let program = locate("claude", Some(root.join("bin").as_os_str())).unwrap();
        assert_eq!(
            program,
            AgentProgram {
                host: root.join("versions/2.1.197"),
                view: Some(View {
                    source: root.join("versions/2.1.197"),
                    target: PathBuf::from("/opt/agent/claude"),
                }),
                inside: PathBuf::from("/opt/agent/claude"),
            }
        );
    }

    #[test]
    fn a_script_comes_with_its_package_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        write(&root.join("pkg/package.json"), b"{}", 0o644);
        write(&root.join("pkg/bin/agent.js"), b"#!/usr/bin/node\n", 0o755);
        write(&root.join("lone/agent"), b"#!/bin/sh\n", 0o755);

        let packaged = locate(root.join("pkg/bin/agent.js").to_str().unwrap(), None).unwrap();
        assert_eq!(packaged.view.unwrap().source, root.join("pkg"));
        assert_eq!(packaged.inside, root.join("pkg/bin/agent.js"));
        let lone = locate(root.join("lone/agent").to_str().unwrap(), None).unwrap();
        assert_eq!(lone.view.unwrap().target, root.join("lone/agent"));
    }

    #[test]
    fn what_every_sandbox_sees_needs_no_mount() {
        let program = locate("env", Some(OsStr::new("/nowhere:/usr/bin"))).unwrap();
        assert_eq!(
            (program.view, program.inside.starts_with("/usr")),
            (None, true)
        );
    }

    #[test]
    fn a_missing_or_plain_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("plain"), b"x", 0o644);
        let path = Some(folder.path().as_os_str());
        assert_eq!(
            locate("plain", path).unwrap_err().to_string(),
            "no program `plain` on the PATH"
        );
        let plain = folder.path().join("plain");
        assert!(matches!(
            locate(plain.to_str().unwrap(), None),
            Err(AgentError::NotExecutable(_))
        ));
    }

    #[tokio::test]
    async fn the_version_is_asked_without_the_users_environment_and_within_a_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let ask = async |script: &str, deadline| {
            let file = folder.path().join("agent");
            write(&file, script.as_bytes(), 0o755);
            version(&locate(file.to_str().unwrap(), None).unwrap(), deadline).await
        };
        let long = Duration::from_secs(60);
        let told = ask("#!/bin/sh\necho 2.1 home=$HOME\necho more\n", long).await;
        assert_eq!(told.unwrap(), "2.1 home=");
        assert!(matches!(
            ask("#!/bin/sh\nexit 3\n", long).await,
            Err(AgentError::Failed { .. })
        ));
        let hung = ask(
            "#!/bin/sh\nexec tail -f /dev/null\n",
            Duration::from_millis(100),
        )
        .await;
        assert!(matches!(hung, Err(AgentError::Hangs { .. })));
    }
}
