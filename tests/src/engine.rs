//! A container engine of a test's own, which it may kill, restart and fill.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::processes_with;
use crate::toy::wait_until;

/// The image of [`Engine::start`].
pub const IMAGE: &str = "autoclave/toy:1";
/// In all that is ours on an engine.
const LABEL: &str = "label=autoclave.state";

/// A running `dockerd` with an image made of busybox; it ends with all that is in it.
pub struct Engine {
    /// In /run, because a socket's path must be short.
    runtime: tempfile::TempDir,
    data: tempfile::TempDir,
    /// Shared with those who kill it in the middle of a request.
    daemon: Mutex<Option<Child>>,
}

impl Engine {
    pub fn start() -> Self {
        Self::on_disk(None)
    }

    /// As [`start`](Self::start), on a disk of `mib`.
    pub fn on_small_disk(mib: u32) -> Self {
        Self::on_disk(Some(mib))
    }

    fn on_disk(mib: Option<u32>) -> Self {
        let made = tempfile::Builder::new().prefix("acf").tempdir_in("/run");
        let engine = Self {
            runtime: made.unwrap(),
            data: tempfile::tempdir_in("/var/tmp").unwrap(),
            daemon: Mutex::new(None),
        };
        if let Some(mib) = mib {
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]);
            assert!(mount.arg(engine.data()).status().unwrap().success());
        }
        engine.go_on();
        engine.import(&["--change", "ENV PATH=/bin", "-", IMAGE]);
        engine
    }

    /// What `DOCKER_HOST` says.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.runtime.path().join("docker.sock")
    }

    /// Returns where another socket can be.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.runtime.path().join(name)
    }

    /// Returns the disk that everything of the engine is on.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Starts the daemon and waits until it answers.
    pub fn go_on(&self) {
        let mut daemon = self.daemon.lock().unwrap();
        assert!(daemon.is_none(), "it runs already");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.beside("log"))
            .unwrap();
        let child = Command::new("dockerd")
            .arg("--data-root")
            .arg(self.data().join("data"))
            .arg("--exec-root")
            .arg(self.beside("exec"))
            .arg("--pidfile")
            .arg(self.beside("pid"))
            .args(["--host", &self.host(), "--bridge", "none"])
            .args(["--iptables=false", "--ip6tables=false"])
            .args(["--ip-forward=false", "--ip-masq=false"])
            .arg("--userland-proxy=false")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *daemon = Some(child);
        drop(daemon);
        wait_until("the engine answers", || {
            self.try_docker(&["version"]).is_some()
        });
    }

    /// Kills the daemon as a crash would; containers are left as they are.
    pub fn crash(&self) {
        let mut child = self.daemon.lock().unwrap().take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // Containerd died with it. The next ones believe in a pid that is somebody's, if only of
        // a process that nobody has waited for.
        for pid in ["pid", "exec/containerd/containerd.pid"] {
            fs::remove_file(self.beside(pid)).unwrap();
        }
    }

    /// Runs the client; fails where it does.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes an image of a busybox; returns its id.
    pub fn import(&self, arguments: &[&str]) -> String {
        let mut import = self.client(&[&["import"], arguments].concat());
        let mut child = import
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&busybox()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Returns the containers that run.
    pub fn running(&self) -> Vec<String> {
        words(&self.docker(&["ps", "--quiet", "--no-trunc"]))
    }

    /// Returns what autoclave has on the engine; empty when all is well.
    pub fn ours(&self) -> Vec<String> {
        let containers = ["ps", "--all", "--quiet", "--filter", LABEL];
        [words(&self.docker(&containers)), self.our_images()].concat()
    }

    /// Returns autoclave's images alone.
    pub fn our_images(&self) -> Vec<String> {
        words(&self.docker(&["images", "--all", "--quiet", "--filter", LABEL]))
    }

    /// Removes an image as soon as no container stands on it, and those beneath it never.
    pub fn remove_image(&self, id: &str) {
        let remove = ["rmi", "--no-prune", id];
        wait_until("nothing stands on the image", || {
            self.try_docker(&remove).is_some()
        });
    }

    fn try_docker(&self, arguments: &[&str]) -> Option<String> {
        let output = self.client(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then_some(text)
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host()]).args(arguments);
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let daemon = self.daemon.lock().unwrap().take();
        if let Some(mut child) = daemon {
            // It ends its containers first.
            let pid = Pid::from_raw(child.id().cast_signed());
            kill(pid, Signal::SIGTERM).ok();
            child.wait().ok();
        }
        for place in [self.runtime.path(), self.data()] {
            let place = place.to_str().unwrap();
            for process in processes_with(place) {
                let pid = Pid::from_raw(process.pid.cast_signed());
                kill(pid, Signal::SIGKILL).ok();
            }
            let mounts = fs::read_to_string("/proc/mounts").unwrap();
            let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(1));
            let inside: Vec<&str> = mounted.filter(|path| path.starts_with(place)).collect();
            // What was mounted last is unmounted first.
            for path in inside.into_iter().rev() {
                Command::new("umount").arg(path).status().ok();
            }
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Returns the files of a small system: a static busybox under each of its names.
fn busybox() -> Vec<u8> {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let root = folder.path();
    for name in ["bin", "etc", "tmp", "usr"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    let installed = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = installed.into_iter().find(|path| path.exists());
    let busybox = busybox.expect("busybox-static is installed; tests/run does it");
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for name in [
        "cat", "dd", "echo", "env", "grep", "head", "ls", "mv", "printf", "rm", "sh", "sleep",
        "tail", "test", "touch", "true", "tr", "wc",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    let packed = Command::new("tar")
        .args(["--owner=0", "--group=0", "-C"])
        .arg(root)
        .args(["-c", "."])
        .output()
        .unwrap();
    assert!(packed.status.success(), "{packed:?}");
    packed.stdout
}
