//! The same sandbox on lesser hosts, or none.

use super::*;

/// Runs the other tests of this file again as uid 1234, which has no privilege to start from.
#[test]
fn an_ordinary_user_gets_the_same_sandbox() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
    };
    open(folder.path());
    let tests = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    open(&tests);
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=1234", "--regid=1234", "--clear-groups"])
        .arg(&tests)
        .args([
            "sandbox::process",
            "--skip",
            "an_ordinary_user",
            "--test-threads=2",
        ])
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("true_runs_and_changes_nothing ... ok"),
        "{text}"
    );
}

/// Runs a test of this file again where no file in memory can be executed; see memfd_create(2).
#[test]
fn a_host_that_forbids_executable_memory_gets_the_same_sandbox() {
    let setting = std::path::Path::new("/proc/sys/vm/memfd_noexec");
    // A pid namespace has a setting of its own, which only root may change; kernels before 6.3
    // have none, and always allow it.
    if !nix::unistd::geteuid().is_root() || !setting.exists() {
        return;
    }
    let script = format!(
        r#"echo 2 > {} && exec "$0" true_runs_and_changes_nothing the_helper_runs_from_memory"#,
        setting.display()
    );
    let output = std::process::Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("true_runs_and_changes_nothing ... ok"),
        "{text}"
    );
    // The control: there it is really forbidden.
    assert!(
        text.contains("the_helper_runs_from_memory ... FAILED"),
        "{text}"
    );
}

/// Without namespaces the host's files and processes are there, and closed.
#[tokio::test(flavor = "current_thread")]
async fn without_namespaces_the_host_cannot_be_read_signalled_or_traced() {
    let bench = bench_without(&[Feature::Namespaces]).await;
    let outside = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(outside.path(), open).unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "s").unwrap();
    let name = format!("autoclave-{}", std::process::id());
    let address = <std::os::unix::net::SocketAddr as SocketAddrExt>::from_abstract_name(&name);
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    let own = std::process::id();
    for (code, expected) in [
        (format!("open(\"{}\")", secret.display()), "EACCES"),
        (
            format!("open(\"{}\", \"w\")", outside.path().join("x").display()),
            "EACCES",
        ),
        (
            format!("os.listdir(\"{}\")", outside.path().display()),
            "EACCES",
        ),
        ("os.listdir(\"/tmp\")".to_owned(), "EACCES"),
        ("os.listdir(\"/\")".to_owned(), "EACCES"),
        ("open(\"/etc/shadow\")".to_owned(), "EACCES"),
        (format!("open(\"/proc/{own}/environ\")"), "EACCES"),
        (format!("os.kill({own}, 0)"), "EPERM"),
        ("os.kill(os.getppid(), 0)".to_owned(), "ok"),
        ("open(\"/proc/self/environ\")".to_owned(), "ok"),
        ("open(\"/usr/bin/env\")".to_owned(), "ok"),
    ] {
        let (_, output) = bench.shell(&attempt(&code)).await;
        assert_eq!(output.trim(), expected, "{code}");
    }
    // Listed in SECURITY.md: what this level leaves open is known, not hoped away.
    let chmod = format!("os.chmod(\"{}\", 0o600)", secret.display());
    let (_, output) = bench.shell(&attempt(&chmod)).await;
    assert_eq!(output.trim(), if is_root { "EPERM" } else { "ok" });
    let mut output = Captured::default();
    let connect = format!("socket.socket(socket.AF_UNIX).connect(\"\\0{name}\")");
    let script = attempt(&connect);
    let mut execution = bench.execution(&["sh", "-c", &script]);
    execution.network = Network::Gateway {
        folder: outside.path().to_owned(),
    };
    let ran = bench.sandbox.execute(execution, &mut output).await.unwrap();
    assert_eq!(ran.exit, Exit::Code(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "EPERM");
}

#[tokio::test(flavor = "current_thread")]
async fn a_plan_of_another_level_is_refused() {
    let mut bench = bench().await;
    bench.plan.level = Level::Landlock;
    let execution = bench.execution(&["true"]);
    let mut output = Captured::default();
    let refused = bench.sandbox.execute(execution, &mut output);
    let error = refused.await.map(|finished| finished.exit).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot enforce level Landlock: this host reaches Sealed"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_level_that_is_reached_is_told_with_what_it_leaves_open() {
    let told = |bench: &Bench| {
        let enforcement = bench.sandbox.enforcement();
        let detail = |name: &str| {
            let layers = &enforcement.layers;
            let found = layers.iter().find(|layer| layer.name == name);
            found.unwrap().detail.clone()
        };
        (enforcement.level, detail("view"), detail("limits"))
    };
    let (level, view, _) = told(&bench_without(&[Feature::Overlay]).await);
    assert_eq!(level, Level::Sealed);
    assert!(
        view.contains("copy in memory (no overlay: switched off"),
        "{view}"
    );
    let (level, view, limits) = told(&bench_without(&[Feature::Namespaces, Feature::Cgroup]).await);
    assert_eq!(level, Level::Landlock);
    assert!(view.contains("no namespaces: switched off"), "{view}");
    assert!(limits.contains("memory for each process alone"), "{limits}");
}

#[test]
fn a_host_without_landlock_or_seccomp_runs_nothing() {
    let state = tempfile::tempdir().unwrap();
    for (without, expected) in [
        (
            vec![Feature::Landlock],
            "cannot enforce paths: the kernel's Landlock is 0, and 3 is needed",
        ),
        (
            vec![Feature::Landlock, Feature::Namespaces],
            "cannot enforce paths: the kernel's Landlock is 0, and 6 is needed where there are no \
             namespaces (switched off for this run)",
        ),
        (
            vec![Feature::Seccomp],
            "cannot enforce syscalls: no seccomp filter can be loaded: switched off for this run",
        ),
    ] {
        let options = ProcessOptions {
            state: state.path().to_owned(),
            run_label: "test".to_owned(),
            without,
        };
        let error = ProcessSandbox::new(&options).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
