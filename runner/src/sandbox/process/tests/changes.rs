//! What an execution leaves, read as changes or kept.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn true_runs_and_changes_nothing() {
    for bench in benches().await {
        let (finished, output) = bench.shell("true").await;
        assert_eq!((finished.exit, output.as_str()), (Exit::Code(0), ""));
        assert_eq!(changes(&finished).await, Changes::default());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_write_to_a_mutable_file_is_a_change() {
    for bench in benches().await {
        let (finished, output) = bench.shell("echo new > free/a.txt").await;
        assert_eq!((finished.exit, output.as_str()), (Exit::Code(0), ""));
        assert_eq!(
            changes(&finished).await.accepted,
            [write("free/a.txt", "new\n")]
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn edits_creations_deletions_and_renames_are_changes() {
    for bench in benches().await {
        let script = "set -e; sed -i s/a/A/ free/a.txt; mkdir free/new; echo n > free/new/n.txt
        chmod +x free/new/n.txt; mv free/sub free/moved; touch README.unlisted 2>/dev/null || true
        ln -s a.txt free/link; ln -s /etc/passwd free/bad; mkfifo free/fifo
        sed -i s/m/M/ mixed/mutable.txt 2>/dev/null || echo M > mixed/mutable.txt";
        let (finished, output) = bench.shell(script).await;
        assert_eq!((finished.exit, output.as_str()), (Exit::Code(0), ""));
        let changes = changes(&finished).await;
        let script = ChangeKind::Write {
            bytes: b"n\n".to_vec(),
            executable: true,
        };
        let link = ChangeKind::Link {
            target: b"a.txt".to_vec(),
        };
        let change = |name, kind| Change {
            path: path(name),
            kind,
        };
        assert_eq!(
            changes.accepted,
            [
                write("free/a.txt", "A\n"),
                change("free/link", link),
                write("free/moved/b.txt", "b\n"),
                change("free/new/n.txt", script),
                change("free/sub/b.txt", ChangeKind::Delete),
                write("mixed/mutable.txt", "M\n"),
            ]
        );
        let dropped: Vec<_> = changes
            .dropped
            .iter()
            .map(|dropped| format!("{}: {}", dropped.path, dropped.why))
            .collect();
        assert_eq!(
            dropped,
            [
                "free/bad: a link that leaves the mutable set",
                "free/fifo: a fifo"
            ]
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_directory_made_anew_loses_what_it_held() {
    for bench in benches().await {
        let (finished, _) = bench
        .shell("rm -r free && mkdir free 2>/dev/null; rm -r free/sub; mkdir free/sub; echo c > free/sub/c")
        .await;
        assert_eq!(finished.exit, Exit::Code(0));
        let changes = changes(&finished).await;
        let delete = |name| Change {
            path: path(name),
            kind: ChangeKind::Delete,
        };
        assert_eq!(
            changes.accepted,
            [
                delete("free/a.txt"),
                delete("free/sub/b.txt"),
                write("free/sub/c", "c\n"),
            ]
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_kept_result_is_the_start_of_the_next_execution() {
    for mut bench in benches().await {
        let (finished, _) = bench
        .shell("echo k > free/kept; rm free/a.txt; rm -r free/sub; mkdir free/sub; echo h > ~/h; truncate -s 20M free/sparse")
        .await;
        assert_eq!(finished.exit, Exit::Code(0));
        bench.snapshot = finished.remains.into_snapshot().await.unwrap();
        let (finished, output) = bench
            .shell("cat free/kept ~/h; ls free free/sub; stat -c %u free/kept")
            .await;
        let uid = nix::unistd::geteuid();
        let uid = if uid.is_root() { UID } else { uid.as_raw() };
        assert_eq!(
            output,
            format!("k\nh\nfree:\nkept\nsparse\nsub\n\nfree/sub:\n{uid}\n")
        );
        assert_eq!(changes(&finished).await, Changes::default());
        let added = vec![file("free/a.txt", "again\n"), file("README.md", "r2\n")];
        let removed = vec![path("free/kept"), path("mixed/mutable.txt")];
        let derived = bench
            .sandbox
            .derive(&bench.snapshot, added, removed, &bench.plan)
            .await
            .unwrap();
        bench.snapshot = derived;
        let (finished, output) = bench
            .shell("cat README.md free/a.txt; ls free mixed; echo x >> free/a.txt")
            .await;
        assert_eq!(
            output,
            "r2\nagain\nfree:\na.txt\nsparse\nsub\n\nmixed:\nimmutable.txt\n"
        );
        assert_eq!(
            changes(&finished).await.accepted,
            [write("free/a.txt", "again\nx\n")]
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_a_plain_change_is_dropped_by_name() {
    for bench in benches().await {
        let has_sockets = bench.mode() != Mode::Alone;
        let mut script = "cd free; echo s > suid; chmod 4755 suid; echo l > hard1; ln hard1 hard2
        truncate -s 60M sparse; echo ok > ok; mkdir -p d/.git; echo x > d/.git/x; mkfifo fifo\n"
            .to_owned();
        if has_sockets {
            script += "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'";
        }
        let (finished, output) = bench.shell(&script).await;
        assert_eq!(output, "");
        let limits = ChangeLimits {
            entries: 10,
            total_bytes: 1000,
            path_bytes: 100,
        };
        let found = finished.remains.changes(policy(), limits);
        let found = found.await.unwrap();
        assert_eq!(found.accepted, [write("free/ok", "ok\n")]);
        let dropped: Vec<_> = found
            .dropped
            .iter()
            .map(|dropped| format!("{}: {}", dropped.path, dropped.why))
            .collect();
        let mut expected = vec![
            "free/d/.git: inside a `.git` folder",
            "free/fifo: a fifo",
            "free/hard1: a file with several hard links",
            "free/hard2: a file with several hard links",
            "free/sock: a socket",
            "free/sparse: larger than what is left of the allowed bytes",
            "free/suid: a set-user-ID or set-group-ID file",
        ];
        expected.retain(|line| has_sockets || !line.ends_with("a socket"));
        assert_eq!(dropped, expected);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn scratch_is_passed_over_in_silence_and_not_searched() {
    for bench in benches().await {
        let script = "mkdir -p target/a/.git; cd target; echo x > a/.git/x; echo x > .gitignore
            mkfifo pipe; echo x > x; chmod 4755 x; ln x y; ln -s / z; mkdir -m 0 closed
            echo new > ../free/a.txt";
        let (finished, output) = bench.shell(script).await;
        assert_eq!((finished.exit, output.as_str()), (Exit::Code(0), ""));
        let expected = Changes {
            accepted: vec![write("free/a.txt", "new\n")],
            dropped: Vec::new(),
        };
        assert_eq!(changes(&finished).await, expected);
    }
}

#[test]
fn changes_are_read_beside_the_runtimes_thread() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        let bench = bench().await;
        let (finished, _) = bench.shell("echo new > free/a.txt").await;
        // With the one thread for such work taken, what reads elsewhere can only wait.
        let (free, until_freed) = std::sync::mpsc::channel::<()>();
        let taken = tokio::task::spawn_blocking(move || until_freed.recv());
        let mut found = finished.remains.changes(policy(), ChangeLimits::default());
        assert!(futures::poll!(&mut found).is_pending());
        drop(free);
        assert!(taken.await.unwrap().is_err());
        let accepted = found.await.unwrap().accepted;
        assert_eq!(accepted, [write("free/a.txt", "new\n")]);
    });
}
