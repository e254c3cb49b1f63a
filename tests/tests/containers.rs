//! The container backend against a real engine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use autoclave_policies::{Grant, Identity, Level, Limits, Plan, RepoPath};
use autoclave_runner::model::{FileKind, SnapshotEntry};
use autoclave_runner::sandbox::container::{ContainerOptions, ContainerSandbox, EngineAddress};
use autoclave_runner::sandbox::{
    ChangeLimits, Execution, Exit, Network, OutputSink, Sandbox, Snapshot, Stream,
};
use tokio_util::sync::CancellationToken;

#[derive(Default, Debug)]
struct Text {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl OutputSink for Text {
    fn write(&mut self, stream: Stream, chunk: &[u8]) {
        match stream {
            Stream::Stdout => self.out.extend_from_slice(chunk),
            Stream::Stderr => self.err.extend_from_slice(chunk),
        }
    }
}

fn path(text: &str) -> RepoPath {
    RepoPath::try_from(text).unwrap()
}

fn plan() -> Plan {
    Plan {
        version: 1,
        level: Level::Sealed,
        identity: Identity::SecondUid {
            uid: 4242,
            gid: 4242,
        },
        grants: vec![
            Grant::Open {
                path: Some(path("lib")),
            },
            Grant::File {
                path: path("lib/open"),
            },
            Grant::Tree {
                path: path("src"),
                created: false,
            },
        ],
        in_place: Vec::new(),
        views: Vec::new(),
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        limits: Limits {
            memory_bytes: 256 << 20,
            cpus: 1.0,
            pids: 64,
            disk_bytes: 64 << 20,
        },
    }
}

fn execution<'a>(snapshot: &'a Snapshot, plan: &'a Plan, script: &str) -> Execution<'a> {
    Execution {
        snapshot,
        plan,
        argv: ["sh", "-c", script].map(Into::into).to_vec(),
        env: BTreeMap::new(),
        stdin: b"input".to_vec(),
        network: Network::None,
        views: Vec::new(),
        timeout: Duration::from_secs(20),
        cancel: CancellationToken::new(),
    }
}

#[tokio::test]
async fn smoke() {
    let sandbox = ContainerSandbox::open(ContainerOptions {
        address: EngineAddress {
            host: std::env::var("AUTOCLAVE_TEST_ENGINE").unwrap(),
            certificates: None,
        },
        image: std::env::var("AUTOCLAVE_TEST_IMAGE").unwrap(),
        state: tempfile::tempdir().unwrap().keep(),
        run_label: "smoke".into(),
    })
    .await
    .unwrap();
    let file = |name: &str| {
        Ok(SnapshotEntry {
            path: path(name),
            kind: FileKind::File {
                bytes: b"x\n".to_vec(),
                executable: false,
            },
        })
    };
    let mut entries = [
        file("lib/open"),
        file("lib/shut"),
        file("src/a"),
        file("top"),
    ]
    .into_iter();
    let plan = plan();
    let t = std::time::Instant::now();
    let base = sandbox.import(&mut entries, &plan).await.unwrap();
    eprintln!("import {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let derived = sandbox
        .derive(
            &base,
            vec![file("src/b").unwrap()],
            vec![path("src/a")],
            &plan,
        )
        .await
        .unwrap();
    eprintln!("derive {:?}", t.elapsed());
    let mut text = Text::default();
    let t = std::time::Instant::now();
    let finished = sandbox.execute(execution(&derived, &plan, "cat; id; env; ls -lR; echo hi > lib/shut; rm lib/shut; echo y > src/n; echo z > lib/open; echo n > lib/new; cat /proc/1/environ; cat /proc/net/dev; ls /sys/fs/cgroup; exit 3"), &mut text).await.unwrap();
    eprintln!("execute {:?} wall {:?}", t.elapsed(), finished.wall);
    eprintln!(
        "{}\n---\n{}",
        String::from_utf8_lossy(&text.out),
        String::from_utf8_lossy(&text.err)
    );
    assert_eq!(finished.exit, Exit::Code(3));
    let t = std::time::Instant::now();
    let changes = finished
        .remains
        .changes(std::sync::Arc::new(|_: &_| true), ChangeLimits::default())
        .await
        .unwrap();
    eprintln!("changes {:?} {changes:?}", t.elapsed());
    let t = std::time::Instant::now();
    let next = finished.remains.into_snapshot().await.unwrap();
    eprintln!("keep {:?}", t.elapsed());
    for _ in 0..5 {
        let t = std::time::Instant::now();
        let f = sandbox
            .execute(execution(&next, &plan, "true"), &mut text)
            .await
            .unwrap();
        drop(f);
        eprintln!("true {:?}", t.elapsed());
    }
    drop((base, derived, next));
    sandbox.close().await;
}
