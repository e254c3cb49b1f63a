//! 50,000 files, all of them mutable: put on the engine, changed, read back, derived from.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoclave_policies::{Policy, PolicyRules, RepoPath};
use autoclave_runner::model::ChangeKind;
use autoclave_runner::sandbox::{ChangeLimits, Sandbox};

use e2e::containers::{Outcome, Spans, Stage, file};

const FILES: usize = 50_000;
const FILES_PER_DIRECTORY: usize = 50;
/// How often the runtime's thread is asked for a turn.
const BEAT: Duration = Duration::from_millis(1);

/// Does each step once; prints what it took, and for how long nothing else could go on meanwhile.
pub fn follow(stage: &Stage, spans: &Spans) -> Outcome<()> {
    println!("{FILES} mutable files of about a kilobyte\n");
    println!(
        "{:<28}{:>9}{:>27}",
        "", "seconds", "thread busy at a time, ms"
    );
    let policy = Arc::new(policy()?);
    stage.runtime.block_on(async {
        let mut entries = (0..FILES).map(|n| file(&name(n), &text(n)));
        let snapshot = step("import", stage.sandbox.import(&mut entries, &stage.plan)).await?;
        let change =
            "cd src && echo x >d1/new.txt && echo y >d2/file-102.txt && rm d3/file-151.txt";
        let (first, _) = step("execute", stage.run(&snapshot, &["sh", "-c", change])).await?;
        let mut seen = Vec::new();
        for what in ["changes, the first time", "changes"] {
            let changes = first
                .remains
                .changes(Arc::clone(&policy), ChangeLimits::default());
            seen.push(step(what, changes).await?);
        }
        drop(first);
        let expected = [
            ("src/d1/new.txt", Some("x\n")),
            ("src/d2/file-102.txt", Some("y\n")),
            ("src/d3/file-151.txt", None),
        ];
        for changes in &seen {
            let accepted: Vec<_> = changes
                .accepted
                .iter()
                .map(|change| {
                    let text = match &change.kind {
                        ChangeKind::Write { bytes, .. } => std::str::from_utf8(bytes).ok(),
                        ChangeKind::Link { .. } | ChangeKind::Delete => None,
                    };
                    (change.path.to_string(), text)
                })
                .collect();
            assert_eq!(
                accepted,
                expected.map(|(path, text)| (path.to_owned(), text))
            );
            assert_eq!(changes.dropped, []);
        }
        let added = vec![
            file(&name(7), "written over\n")?,
            file("src/more.txt", "more\n")?,
        ];
        let removed = vec![RepoPath::try_from(name(8).as_str())?];
        let derived = stage.sandbox.derive(&snapshot, added, removed, &stage.plan);
        let derived = step("derive", derived).await?;
        let look = format!(
            "cat {} src/more.txt; ls {} 2>&1; find src -type f | wc -l",
            name(7),
            name(8)
        );
        let (second, printed) = step("execute", stage.run(&derived, &["sh", "-c", &look])).await?;
        let printed = String::from_utf8_lossy(&printed);
        let mut lines = printed.lines();
        assert_eq!(
            [lines.next(), lines.next()],
            [Some("written over"), Some("more")]
        );
        assert!(printed.contains("No such file"), "{printed}");
        assert_eq!(
            printed.trim_end().rsplit('\n').next(),
            Some(FILES.to_string().as_str())
        );
        let changes = second
            .remains
            .changes(Arc::clone(&policy), ChangeLimits::default());
        assert_eq!(
            step("changes", changes).await?,
            autoclave_runner::sandbox::Changes::default()
        );
        drop((second, derived, snapshot));
        step("remove", async { stage.take_out().await }).await
    })?;
    spans.take();
    println!();
    Ok(())
}

/// Prints how long `work` took, and the longest time that the runtime's thread was busy without a
/// turn for anything else.
async fn step<T, E>(what: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let longest = Cell::new(0);
    let before = Cell::new(busy_ns());
    let look = || {
        let now = busy_ns();
        longest.set(longest.get().max(now - before.replace(now)));
    };
    let heart = async {
        loop {
            tokio::time::sleep(BEAT).await;
            look();
        }
    };
    let start = Instant::now();
    let done = tokio::select! {
        done = work => done,
        () = heart => unreachable!("it beats for ever"),
    };
    let took = start.elapsed().as_secs_f64();
    look();
    println!("{what:<28}{took:>9.2}{:>27.1}", longest.get() as f64 / 1e6);
    done
}

/// Returns for how long this thread had a processor, in nanoseconds: what others took of it is not
/// counted. See the kernel's Documentation/scheduler/sched-stats.rst.
fn busy_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = stat.split_whitespace().next();
    first.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn policy() -> Outcome<Policy> {
    let rules = PolicyRules {
        mutable: vec!["src/**".to_owned()],
        ..PolicyRules::default()
    };
    Policy::new(&rules).map_err(|globs| format!("{globs:?}").into())
}

fn name(n: usize) -> String {
    format!("src/d{}/file-{n}.txt", n / FILES_PER_DIRECTORY)
}

fn text(n: usize) -> String {
    format!("line of file {n}\n").repeat(n % 100)
}
