//! Files that a command may read and not write.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn immutable_files_cannot_be_written_removed_or_replaced() {
    for bench in benches().await {
        let is_root = nix::unistd::geteuid().is_root();
        for (code, errno) in [
            ("open(\"free/a.txt\", \"a\")", "ok"),
            ("open(\"mixed/mutable.txt\", \"a\")", "ok"),
            ("open(\"target/out\", \"w\")", "ok"),
            (
                "import tempfile; open(tempfile.gettempdir() + \"/x\", \"w\")",
                "ok",
            ),
            ("open(os.path.expanduser(\"~/x\"), \"w\")", "ok"),
            ("open(\"README.md\", \"a\")", "EACCES"),
            ("open(\"new.txt\", \"w\")", "EACCES"),
            ("open(\"mixed/immutable.txt\", \"a\")", "EACCES"),
            (
                "os.unlink(\"mixed/immutable.txt\")",
                if is_root { "EPERM" } else { "EACCES" },
            ),
            (
                "os.rename(\"mixed/mutable.txt\", \"mixed/immutable.txt\")",
                if is_root { "EPERM" } else { "EACCES" },
            ),
            ("os.rename(\"mixed\", \"gone\")", "EACCES"),
            (
                "open(\"/usr/x\", \"w\")",
                match bench.mode() {
                    Mode::Overlay | Mode::Copy => "EROFS",
                    Mode::Alone => "EACCES",
                },
            ),
            ("open(\"/etc/passwd\", \"a\")", "EACCES"),
        ] {
            let (_, output) = bench.shell(&attempt(code)).await;
            assert_eq!(output.trim(), errno, "{code}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_gateway_folder_and_views_are_read_only() {
    for mut bench in benches().await {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )
        .unwrap();
        let socket = folder.path().join("gateway.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        bench.plan.views.push(autoclave_policies::View {
            source: folder.path().to_owned(),
            target: "/opt/tool".into(),
        });
        let (read_only, network) = match bench.mode() {
            Mode::Overlay | Mode::Copy => ("EROFS", "ok"),
            Mode::Alone => ("EACCES", "EAFNOSUPPORT"),
        };
        for (code, expected) in [
            (
                "socket.socket(socket.AF_UNIX).connect(os.environ[\"GATE\"])",
                "ok",
            ),
            ("os.listdir(os.environ[\"TOOL\"])", "ok"),
            ("open(os.environ[\"GATE\"] + \"x\", \"w\")", read_only),
            ("open(os.environ[\"TOOL\"] + \"/x\", \"w\")", read_only),
            ("socket.socket(socket.AF_INET)", network),
        ] {
            let mut output = Captured::default();
            let script = attempt(code);
            let mut execution = bench.execution(&["sh", "-c", &script]);
            let names = [
                ("GATE", "/run/autoclave/gateway.sock"),
                ("TOOL", "/opt/tool"),
            ];
            execution.env = names.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
            execution.network = Network::Gateway {
                folder: folder.path().to_owned(),
            };
            let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
            assert_eq!(finished.exit, Exit::Code(0));
            let found = String::from_utf8(output.stdout).unwrap();
            assert_eq!(found.trim(), expected, "{code}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn views_are_seen_at_their_places_and_cannot_be_written() {
    let mut bench = bench().await;
    let host = tempfile::tempdir().unwrap();
    let place = |name: &str| host.path().join(name);
    std::fs::create_dir(place("folder")).unwrap();
    std::fs::write(place("folder/text"), "in a folder\n").unwrap();
    std::fs::write(place("file"), "a file\n").unwrap();
    for path in [
        host.path().to_owned(),
        place("folder"),
        place("folder/text"),
        place("file"),
    ] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).unwrap();
    }
    let view = |source: &std::path::Path, target: &str| autoclave_policies::View {
        source: source.to_owned(),
        target: target.into(),
    };
    let (folder, file) = (
        view(&place("folder"), "/opt/a/b"),
        view(&place("file"), "/opt/a/c"),
    );
    // Everywhere anyway: the system's, also past its links, and what is generated.
    let shown = ["/bin/sh", "/usr/bin/env", "/etc/passwd"].map(|path| view(path.as_ref(), path));
    bench.plan.views = vec![folder];
    bench.plan.views.extend(shown);
    let look = "cat /opt/a/b/text /opt/a/c; touch /opt/a/b/text; echo x >> /opt/a/c; grep -c host /etc/passwd";
    for round in 0..2 {
        let mut output = Captured::default();
        let mut execution = bench.execution(&["sh", "-c", look]);
        execution.views = vec![file.clone()];
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Code(1), "round {round}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(stdout, "in a folder\na file\n0\n");
        let stderr = String::from_utf8(output.stderr).unwrap();
        // The owner's own files: there the mount itself says no.
        let denied = if nix::unistd::geteuid().is_root() {
            "Permission denied"
        } else {
            "Read-only file system"
        };
        assert_eq!(stderr.matches(denied).count(), 2, "{stderr}");
    }
    // Another set of views, with the same skeleton beneath.
    let (_, output) = bench.shell("cat /opt/a/b/text; ls /opt/a").await;
    assert_eq!(output, "in a folder\nb\n");
    let grounds = std::fs::read_dir(bench.sandbox.shared.folder.path()).unwrap();
    let names = grounds.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("ground")).count(), 3);
}

/// What an experiment may leave at a mutable path must not keep the next sandbox from starting.
#[tokio::test]
async fn links_where_something_is_granted_keep_no_sandbox_from_starting() {
    for bench in benches().await {
        let links = [
            ("free/loop", "loop"),
            ("mixed/mutable.txt", "immutable.txt/x"),
            ("mixed/to", "immutable.txt"),
        ];
        let mut plan = bench.plan.clone();
        plan.grants
            .retain(|grant| grant.path() != Some(&path("free")));
        plan.grants
            .extend(links.map(|(at, _)| Grant::File { path: path(at) }));
        plan.grants.sort();
        plan.grants.dedup();
        let links = links.map(|(at, target)| SnapshotEntry {
            path: path(at),
            kind: FileKind::Symlink {
                target: target.as_bytes().to_vec(),
            },
        });
        let text = file("mixed/immutable.txt", "i\n");
        let mut entries = links.into_iter().chain([text]).map(Ok);
        let snapshot = bench.sandbox.import(&mut entries, &plan).await.unwrap();
        let argv = ["sh", "-c", "echo x >> mixed/to || cat mixed/to"]
            .map(Into::into)
            .to_vec();
        let execution = Execution::offline(&snapshot, &plan, argv, Duration::from_secs(60));
        let mut captured = Captured::default();
        let finished = bench
            .sandbox
            .execute(execution, &mut captured)
            .await
            .unwrap();
        assert_eq!(finished.exit, Exit::Code(0));
        assert_eq!(String::from_utf8(captured.stdout).unwrap(), "i\n");
    }
}
