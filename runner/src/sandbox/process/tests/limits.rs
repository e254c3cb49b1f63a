//! Memory, processes, disk and time.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn memory_processes_and_disk_are_limited() {
    for bench in benches().await {
        let has_cgroup = bench.sandbox.shared.host.cgroup;
        let hog = "exec python3 -c 'b = [bytearray(1 << 24) for _ in range(200)]'";
        let (finished, output) = bench.shell(hog).await;
        if has_cgroup {
            assert_eq!(finished.exit, Exit::OutOfMemory);
        } else {
            assert_eq!(finished.exit, Exit::Code(1));
            assert!(output.contains("MemoryError"), "{output}");
        }
        let forks = "import os, sys
n = 0
try:
  while n < 900:
    if os.fork() == 0: os.read(os.pipe()[0], 1)
    n += 1
except OSError as e: print(e.errno, n <= int(sys.argv[1]))";
        let mut output = Captured::default();
        // By uid, what else the user runs (other tests here) comes and goes.
        let most = match bench.mode() {
            Mode::Alone if !has_cgroup => "400",
            Mode::Overlay | Mode::Copy | Mode::Alone => "100",
        };
        let execution = bench.execution(&["python3", "-c", forks, most]);
        let finished = bench.sandbox.execute(execution, &mut output).await.unwrap();
        assert_eq!(finished.exit, Exit::Code(0));
        assert_eq!(output.stdout, b"11 True\n");
        let (_, output) = bench
        .shell("head -c 80M /dev/zero > ${TMPDIR-/tmp}/a; rm ${TMPDIR-/tmp}/a; head -c 40M /dev/zero > free/b; head -c 40M /dev/zero > free/c")
        .await;
        // Without a tmpfs only single files are limited.
        let (full, too_large) = match bench.mode() {
            Mode::Overlay | Mode::Copy => (1, 1),
            Mode::Alone => (0, 1),
        };
        assert_eq!(output.matches("No space left").count(), full, "{output}");
        assert_eq!(
            output.matches("File size limit").count() + output.matches("too large").count(),
            too_large,
            "{output}"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn processor_time_is_counted_without_a_cgroup_too() {
    let burn = "python3 -c 'import time\nwhile time.process_time() < 0.3: pass'; true";
    for without in [
        &[][..],
        &[Feature::Cgroup],
        &[Feature::Cgroup, Feature::Namespaces],
    ] {
        let bench = bench_without(without).await;
        let (finished, _) = bench.shell(burn).await;
        let cpu = finished.cpu.unwrap();
        // Without a cgroup it is told in ticks of 10 ms, each of four figures rounded down.
        assert!(cpu >= Duration::from_millis(260), "{cpu:?} {without:?}");
        assert!(cpu < Duration::from_secs(2), "{cpu:?} {without:?}");
        let (finished, _) = bench.shell("sleep 0.3; true").await;
        let idle = finished.cpu.unwrap();
        assert!(idle < Duration::from_millis(200), "{idle:?} {without:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn out_of_memory_is_only_what_the_limit_killed() {
    let bench = bench().await;
    let hog = "python3 -c 'b = [bytearray(1 << 24) for _ in range(200)]'";
    if !bench.sandbox.shared.host.cgroup {
        // An rlimit kills nothing: the program is told, and ends as it likes.
        let (finished, output) = bench.shell(&format!("exec {hog}")).await;
        assert_eq!(finished.exit, Exit::Code(1), "{output}");
        return;
    }
    // The shell tells of its dead child as 137; one that goes on ends as it says.
    assert_eq!(
        bench.shell(&format!("{hog}; exit $?")).await.0.exit,
        Exit::OutOfMemory
    );
    assert_eq!(
        bench.shell(&format!("{hog}; exit 3")).await.0.exit,
        Exit::Code(3)
    );
    assert_eq!(bench.shell("kill -9 $$").await.0.exit, Exit::Signal(9));
}
