//! A second Docker engine, on what is as good as another machine.
//!
//! It has a network namespace of its own, reached by an address of its own over TLS, and a mount
//! namespace in which the tests' folders are not. It ends, and leaves nothing, when dropped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

use crate::stage::autoclave;

const PORT: u16 = 2376;
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// A running engine.
pub struct RemoteEngine {
    /// In the build's folder: the engine does not see the one that stages are in.
    folder: tempfile::TempDir,
    /// In /run, because a socket's path must be short.
    runtime: tempfile::TempDir,
    namespace: String,
    address: String,
    dockerd: Child,
}

impl RemoteEngine {
    /// Starts an engine that has the image `image` of the engine at `source`.
    pub fn start(source: &str, image: &str) -> Self {
        let beside = autoclave();
        let folder = tempfile::tempdir_in(beside.parent().unwrap()).unwrap();
        let runtime = tempfile::tempdir_in("/run").unwrap();
        let pid = std::process::id();
        let namespace = format!("autoclave-{pid}");
        // Of 198.18.0.0/15, which is for tests between networks (RFC 2544); 4 addresses each.
        let [_, _, high, low] = (pid << 2).to_be_bytes();
        let (ours, address) = (
            format!("198.18.{high}.{}", low + 1),
            format!("198.18.{high}.{}", low + 2),
        );
        let (here, there) = (format!("ac{pid}h"), format!("ac{pid}t"));
        for command in [
            format!("netns add {namespace}"),
            format!("link add {here} type veth peer name {there} netns {namespace}"),
            format!("addr add {ours}/30 dev {here}"),
            format!("link set {here} up"),
            format!("-n {namespace} addr add {address}/30 dev {there}"),
            format!("-n {namespace} link set {there} up"),
            format!("-n {namespace} link set lo up"),
        ] {
            run(Command::new("ip").args(command.split(' ')));
        }
        let authority = authority();
        certificates(&folder.path().join("server"), &authority, &address);
        certificates(&folder.path().join("client"), &authority, &address);
        certificates(
            &folder.path().join("stranger"),
            &self::authority(),
            &address,
        );
        fs::copy(
            folder.path().join("client/ca.pem"),
            folder.path().join("stranger/ca.pem"),
        )
        .unwrap();
        let dockerd = dockerd(folder.path(), runtime.path(), &namespace, &address);
        let engine = Self {
            folder,
            runtime,
            namespace,
            address,
            dockerd,
        };
        engine.wait_until_it_answers();
        let load = format!(
            "set -o pipefail; docker --host '{source}' save '{image}' | docker --host '{}' load",
            engine.socket()
        );
        run(Command::new("bash").args(["-c", &load]));
        engine
    }

    /// Returns its address for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("tcp://{}:{PORT}", self.address)
    }

    /// Returns the folder with the certificates of `who`: `client`, or a `stranger` to the engine.
    pub fn certificates(&self, who: &str) -> PathBuf {
        self.folder.path().join(who)
    }

    /// Calls docker on it, by a socket that only this test uses; returns what it prints.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        run(command.args(["--host", &self.socket()]).args(arguments))
    }

    /// Returns the files of the engine that hold `text`: layers, volumes, descriptions.
    pub fn files_with(&self, text: &str) -> Vec<String> {
        let folders = [self.folder.path().join("data"), self.runtime.path().into()];
        let grep = Command::new("grep")
            .args(["-rlsaF", "--devices=skip", text])
            .args(folders)
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&grep.stdout);
        found.lines().map(str::to_owned).collect()
    }

    fn socket(&self) -> String {
        format!("unix://{}/docker.sock", self.runtime.path().display())
    }

    fn wait_until_it_answers(&self) {
        let start = Instant::now();
        let answers = || {
            let mut command = Command::new("docker");
            command.args(["--host", &self.socket(), "version"]);
            let output = command.output().unwrap();
            output.status.success() && TcpStream::connect((&*self.address, PORT)).is_ok()
        };
        while !answers() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(start.elapsed() < STARTS_WITHIN, "no engine: {}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for RemoteEngine {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.dockerd.id().cast_signed());
        // What fails here is left to be seen; another test's failure is not hidden by it.
        let _gone = kill(pid, Signal::SIGTERM);
        drop(self.dockerd.wait());
        let mut ip = Command::new("ip");
        drop(ip.args(["netns", "delete", &self.namespace]).status());
    }
}

fn dockerd(folder: &Path, runtime: &Path, namespace: &str, address: &str) -> Child {
    let server = folder.join("server");
    let path = |folder: &Path, name: &str| folder.join(name).display().to_string();
    let log = File::create(folder.join("log")).unwrap();
    // Not `ip netns exec`, whose own /sys has no cgroups.
    Command::new("nsenter")
        .arg(format!("--net=/run/netns/{namespace}"))
        .args(["unshare", "--mount", "--propagation", "private", "sh", "-c"])
        .arg("mount -t tmpfs none /var/tmp && exec dockerd \"$@\"")
        .args(["dockerd", "--data-root", &path(folder, "data")])
        .args(["--exec-root", &path(runtime, "exec")])
        .args(["--pidfile", &path(runtime, "pid")])
        .args([
            "--host",
            &format!("unix://{}", path(runtime, "docker.sock")),
        ])
        .args(["--host", &format!("tcp://{address}:{PORT}")])
        .args(["--tlsverify", "--tlscacert", &path(&server, "ca.pem")])
        .args(["--tlscert", &path(&server, "cert.pem")])
        .args(["--tlskey", &path(&server, "key.pem")])
        .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
        .args([
            "--ip-forward=false",
            "--ip-masq=false",
            "--userland-proxy=false",
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes what DOCKER_CERT_PATH names: a certificate for both sides, its key, its authority.
fn certificates(folder: &Path, authority: &CertifiedIssuer<'_, KeyPair>, address: &str) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([address.to_owned()]).unwrap();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let certificate = params.signed_by(&key, authority).unwrap();
    fs::create_dir(folder).unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
