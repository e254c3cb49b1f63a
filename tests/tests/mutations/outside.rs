//! What is outside of every sandbox of this suite: what must not be reached, and repositories.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use e2e::stage::Backend;

use crate::play::Effort;
use crate::program;
use crate::row::Row;

/// No account has it.
pub const USER: u32 = 64_801;

const CONFIG: &str = "markers:
  - name: tight
    description: Only files in one folder, some in another
    target: {mutable: ['src/**', 'mixed/*.txt'], immutable: []}
    metric: {command: 'true', extract: 'cat', direction: lower}
    sandbox: {backend: process, read: ['@VIEW@'], limits: {memory: 96M, cpus: 2, pids: 200, disk: 64M}}
  - name: mixed
    description: Files of the workspace's own folder
    target: {mutable: ['*.top'], immutable: ['keep.top']}
    metric: {command: 'true', extract: 'cat', direction: lower}
    sandbox: {backend: process, read: ['@VIEW@'], limits: {memory: 96M, cpus: 2, pids: 200, disk: 64M}}
  - name: slow
    description: With little of a processor
    target: {mutable: ['src/**', 'mixed/*.txt'], immutable: []}
    metric: {command: 'true', extract: 'cat', direction: lower}
    sandbox: {backend: process, read: ['@VIEW@'], limits: {memory: 96M, cpus: 0.05, pids: 200, disk: 64M}}
  - name: degraded
    description: Without namespaces
    target: {mutable: ['src/**', 'mixed/*.txt'], immutable: []}
    metric: {command: 'true', extract: 'cat', direction: lower}
    sandbox: {backend: process, allow_degraded: [landlock], read: ['@VIEW@'], limits: {memory: 96M, cpus: 2, pids: 200, disk: 64M}}
  - name: contained
    description: In containers
    target: {mutable: ['src/**', 'mixed/*.txt'], immutable: []}
    metric: {command: 'true', extract: 'cat', direction: lower}
    sandbox: {backend: container, image: '@IMAGE@', read: ['@VIEW@'], limits: {memory: 96M, cpus: 1.5, pids: 200, disk: 64M}}
";

/// What a command does to its files, each for one reason to drop it.
const CHANGES: &str = "
echo new >src/new; echo other >src/write; rm src/remove
ln -s new src/inner-link; ln -s ../keep/write src/outer-link; ln -s /etc/passwd src/absolute-link
mkfifo src/fifo; ln src/hard src/hard-too
cp /bin/true src/set-user; chmod 4755 src/set-user
mkdir -p src/nested/.git src/keep; echo x >src/nested/.git/config; echo x >src/conftest.py
echo x >mixed/new.txt; echo x >mixed/new.md
";

/// Everything outside, in one folder; gone when dropped.
pub struct Outside {
    folder: tempfile::TempDir,
    /// Shown read-only; sandboxes have a /var/tmp of their own.
    view: tempfile::TempDir,
    /// One of root, one of the user.
    processes: [Child; 2],
    listener: TcpListener,
    _abstract_listener: UnixListener,
    queue: Queue,
}

impl Outside {
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let view = tempfile::tempdir_in("/srv").unwrap();
        open_to_all(folder.path());
        open_to_all(view.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let name = format!("autoclave-mutations-{port}");
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let outside = Self {
            processes: [sleeper(0), sleeper(USER)],
            listener,
            _abstract_listener: UnixListener::bind_addr(&address).unwrap(),
            queue: Queue::new(),
            folder,
            view,
        };
        let view = outside.view.path();
        for name in ["canary", "script"] {
            fs::write(outside.at(name), "secret").unwrap();
            open_to_all(&outside.at(name));
        }
        for name in ["list", "root", "user"] {
            fs::create_dir(outside.at(name)).unwrap();
            open_to_all(&outside.at(name));
        }
        fs::write(view.join("loose"), "loose\n").unwrap();
        fs::set_permissions(view.join("loose"), Permissions::from_mode(0o666)).unwrap();
        let programs = [
            program::make(&outside.at("root")),
            program::make_attacks(&outside.at("root")),
        ];
        for (owner, uid) in [("root", 0), ("user", USER)] {
            outside.repository(owner, uid, &programs);
        }
        outside
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder_of(&self, row: Row) -> PathBuf {
        self.at(if row.is_users() { "user" } else { "root" })
    }

    /// Returns the command whose answers are compared.
    pub fn command(&self, row: Row, effort: Effort) -> Vec<String> {
        if row == Row::Changes {
            return ["sh", "-c", CHANGES].map(str::to_owned).to_vec();
        }
        let process = &self.processes[usize::from(row.is_users())];
        let text = |path: PathBuf| path.into_os_string().into_string().unwrap();
        vec![
            "tools/layers".to_owned(),
            process.id().to_string(),
            self.listener.local_addr().unwrap().port().to_string(),
            self.queue.key.to_string(),
            text(self.folder.path().to_owned()),
            text(self.view.path().to_owned()),
            match effort {
                Effort::Little => "little".to_owned(),
                Effort::Much => "much".to_owned(),
            },
        ]
    }

    /// Fills in what an attack needs to know of the outside.
    pub fn fill_in(&self, row: Row, argument: &str) -> String {
        let process = &self.processes[usize::from(row.is_users())];
        let port = self.listener.local_addr().unwrap().port();
        argument
            .replace("{process}", &process.id().to_string())
            .replace("{port}", &port.to_string())
            .replace("{queue}", &self.queue.key.to_string())
            .replace("{outside}", self.folder.path().to_str().unwrap())
            .replace("{view}", self.view.path().to_str().unwrap())
    }

    fn repository(&self, owner: &str, uid: u32, programs: &[PathBuf]) {
        let repo = self.at(owner).join("repo");
        let view = self.view.path();
        let has_engine = [Row::Docker, Row::Podman]
            .iter()
            .any(|row| !row.is_skipped());
        let image = has_engine.then(Backend::image).unwrap_or_default();
        let config = CONFIG
            .replace("@VIEW@", view.to_str().unwrap())
            .replace("@IMAGE@", &image);
        for path in [
            "src/write",
            "src/remove",
            "src/hard",
            "mixed/a.txt",
            "mixed/keep.md",
            "mixed/sub/old",
            "keep/write",
            "keep/truncate",
            "keep/remove",
            "keep/link",
            "keep/folder/old",
            "keep.top",
            "a.top",
        ] {
            write(&repo.join(path), b"old\n");
        }
        write(&repo.join(".autoclave/config.yaml"), config.as_bytes());
        for program in programs {
            let copy = repo.join("tools").join(program.file_name().unwrap());
            write(&copy, &fs::read(program).unwrap());
            open_to_all(&copy);
        }
        fs::create_dir(self.at(owner).join("home")).unwrap();
        give(&self.at(owner), uid);
        for arguments in [
            &["init", "-q"][..],
            &["add", "."],
            &["commit", "-qm", "base"],
        ] {
            let done = as_uid(uid)
                .arg("git")
                .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
                .args(arguments)
                .current_dir(&repo)
                .env("HOME", self.at(owner).join("home"))
                .status();
            assert!(done.unwrap().success());
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        for process in &mut self.processes {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// A message queue that everybody may use; it stays until it is removed.
struct Queue {
    id: String,
    key: u32,
}

impl Queue {
    fn new() -> Self {
        let made = Command::new("ipcmk")
            .args(["--queue", "--mode", "0666"])
            .output();
        let made = String::from_utf8(made.expect("util-linux").stdout).unwrap();
        let id = made.trim().rsplit(' ').next().unwrap().to_owned();
        let queues = fs::read_to_string("/proc/sysvipc/msg").unwrap();
        let fields = queues
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let own = fields.into_iter().find(|fields| fields[1] == id).unwrap();
        let key = own[0].parse::<i64>().unwrap();
        let key = u32::try_from(key & 0xffff_ffff).unwrap();
        Self { id, key }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        Command::new("ipcrm")
            .args(["--queue-id", &self.id])
            .status()
            .ok();
    }
}

fn sleeper(uid: u32) -> Child {
    let mut command = as_uid(uid);
    command
        .args(["sleep", "infinity"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// Returns a command that runs the words which are added to it as `uid`.
fn as_uid(uid: u32) -> Command {
    let mut command = Command::new("setpriv");
    let id = uid.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    command
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn give(path: &Path, uid: u32) {
    lchown(path, Some(uid), Some(uid)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), uid);
        }
    }
}
