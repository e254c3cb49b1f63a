//! What a command is to the kernel: its exits, its input, its sight of others, its calls.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn exits_are_told_apart() {
    for bench in benches().await {
        assert_eq!(bench.shell("exit 7").await.0.exit, Exit::Code(7));
        assert_eq!(bench.shell("kill -9 $$").await.0.exit, Exit::Signal(9));
        let mut output = Captured::default();
        let missing = bench.execution(&["no-such-program"]);
        let finished = bench.sandbox.execute(missing, &mut output).await.unwrap();
        let errno = nix::libc::ENOENT;
        assert_eq!(finished.exit, Exit::NotStarted { errno });
    }
}

#[tokio::test(flavor = "current_thread")]
async fn standard_input_arrives_whole_and_ends() {
    for bench in benches().await {
        let mut output = Captured::default();
        let mut execution = bench.execution(&["sha256sum"]);
        execution.stdin = vec![b'x'; 1 << 20];
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Code(0));
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b  -\n"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn network_has_only_loopback_that_works() {
    for bench in sealed_benches().await {
        let (_, output) = bench.shell("tail -n +3 /proc/net/dev | cut -d: -f1").await;
        assert_eq!(output.trim(), "lo");
        let code = "s = socket.create_server((\"127.0.0.1\", 0)); socket.create_connection(s.getsockname())";
        assert_eq!(bench.shell(&attempt(code)).await.1.trim(), "ok");
        let code = "socket.create_connection((\"192.0.2.1\", 80), 1)";
        assert_eq!(bench.shell(&attempt(code)).await.1.trim(), "ENETUNREACH");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn only_own_processes_environment_and_no_privilege_are_seen() {
    for bench in benches().await {
        let is_alone = bench.mode() == Mode::Alone;
        if !is_alone {
            let (_, pids) = bench.shell("ls /proc | grep -c '^[0-9]'").await;
            let pids: u32 = pids.trim().parse().unwrap();
            assert!((2..=5).contains(&pids), "{pids} processes");
        }
        let mut output = Captured::default();
        let mut execution = bench.execution(&["env"]);
        execution.env.insert("EXTRA".to_owned(), "1".to_owned());
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Code(0));
        let mut env: Vec<_> = std::str::from_utf8(&output.stdout)
            .unwrap()
            .lines()
            .collect();
        env.sort_unstable();
        if is_alone {
            let own = bench.sandbox.shared.folder.path().to_str().unwrap();
            let (moved, kept): (Vec<_>, Vec<_>) = env.into_iter().partition(|v| v.contains(own));
            let names = moved.iter().filter_map(|v| v.split('=').next());
            assert_eq!(
                names.collect::<Vec<_>>(),
                [
                    "CLAUDE_CODE_TMPDIR",
                    "GIT_CONFIG_VALUE_0",
                    "HOME",
                    "TEMP",
                    "TMP",
                    "TMPDIR"
                ]
            );
            env = kept;
            env.insert(3, "GIT_CONFIG_VALUE_0=/workspace");
            env.insert(4, "HOME=/home/agent");
        }
        assert_eq!(
            env,
            [
                "EXTRA=1",
                "GIT_CONFIG_COUNT=1",
                "GIT_CONFIG_KEY_0=safe.directory",
                "GIT_CONFIG_VALUE_0=/workspace",
                "HOME=/home/agent",
                "PATH=/usr/local/bin:/usr/bin:/bin"
            ]
        );
        let (_, status) = bench
        .shell("egrep '^(CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\t' ' '; ls /proc/self/fd | wc -l")
        .await;
        assert_eq!(
            status,
            "CapInh: 0000000000000000\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n\
         CapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n4\n"
        );
        if is_alone {
            continue;
        }
        let (_, root) = bench.shell("ls /; ls /home /run; ls -A /tmp").await;
        for secret in ["root", "work", "srv", "mnt"] {
            assert!(!root.lines().any(|line| line == secret), "{root}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn forbidden_system_calls_fail_with_a_control() {
    for bench in benches().await {
        let none = "EAFNOSUPPORT";
        for (arguments, sealed, alone) in [
            ("AF_INET, socket.SOCK_STREAM", "ok", none),
            ("AF_UNIX, socket.SOCK_DGRAM", "ok", none),
            ("AF_NETLINK, socket.SOCK_RAW, 0", "ok", none),
            ("AF_INET, socket.SOCK_RAW, 1", "EPERM", none),
            ("AF_INET, socket.SOCK_STREAM, 262", "EPROTONOSUPPORT", none),
            ("AF_PACKET, socket.SOCK_DGRAM", none, none),
            ("AF_VSOCK, socket.SOCK_STREAM", none, none),
            ("AF_NETLINK, socket.SOCK_RAW, 9", "EPROTONOSUPPORT", none),
        ] {
            let expected = match bench.mode() {
                Mode::Overlay | Mode::Copy => sealed,
                Mode::Alone => alone,
            };
            let code = format!("socket.socket(socket.{arguments})");
            let (_, output) = bench.shell(&attempt(&code)).await;
            assert_eq!(output.trim(), expected, "{code}");
        }
        let (_, output) = bench.shell(&attempt("socket.socketpair()")).await;
        assert_eq!(output.trim(), "ok");
        // By number, because Python has no words for them: getpid is the control, then io_uring_setup,
        // keyctl, userfaultfd, bpf, perf_event_open, clone3.
        let code = "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for n in (39, 425, 250, 323, 321, 298, 435):
  print(ctypes.get_errno() if libc.syscall(n, 0, 0, 0, 0, 0) < 0 else 'ok', end=' ')";
        if cfg!(target_arch = "x86_64") {
            let mut output = Captured::default();
            let execution = bench.execution(&["python3", "-c", code]);
            let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
            assert_eq!(finished.exit, Exit::Code(0));
            let found = String::from_utf8(output.stdout).unwrap();
            assert_eq!(found, "ok 38 1 1 1 1 38 ");
        }
        let (_, output) = bench
            .shell("unshare -U true; unshare -m true; mount -t tmpfs x /tmp")
            .await;
        assert_eq!(output.matches("not permitted").count(), 2, "{output}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn pseudo_terminals_work_where_they_are_the_sandboxs_own() {
    for bench in sealed_benches().await {
        let (_, output) = bench.shell(&attempt("import pty; pty.openpty()")).await;
        assert_eq!(output.trim(), "ok");
    }
}
