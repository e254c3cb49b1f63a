//! Versions of engines and runtimes from which containers are known to get out.

use super::engine::{EngineFacts, EngineKind, version_of};

/// Says which known escapes an engine is open to; fragments for people, one each.
///
/// Only what reaches a container that is run, or its files while they are copied, is named: holes
/// in building images are none of ours. Distributions patch older versions without changing their
/// numbers, which nobody can see from outside.
pub fn known_escapes(facts: &EngineFacts) -> Vec<String> {
    let runtime = runtime_escape(&facts.runtime);
    let runtime = runtime.map(|escape| format!("{} is open to {escape}", facts.runtime));
    let engine = (facts.kind == EngineKind::Docker && numbers(&facts.version) < vec![20, 10, 9])
        .then(|| {
            format!(
                "Docker {} is open to CVE-2021-41089 (copying into a container changes modes of the host's files)",
                facts.version
            )
        });
    runtime.into_iter().chain(engine).collect()
}

/// runc: a descriptor of the host leaks before 1.1.12 (CVE-2024-21626, GHSA-xr7r-f8xq-vfvv); before
/// 1.2.8 and 1.3.3 masked paths, the console and writes to /proc can be redirected while a container
/// starts (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881; the first releases of 1.4.0, too).
/// crun: a link in an image leads out of it before 0.10.5 (CVE-2019-18837).
fn runtime_escape(runtime: &str) -> Option<&'static str> {
    let (name, version) = runtime.split_once(' ')?;
    let found = numbers(version);
    match name {
        "runc" if found < vec![1, 1, 12] => Some("CVE-2024-21626 (a leaked descriptor)"),
        "runc"
            if found < vec![1, 2, 8]
                || (found >= vec![1, 3] && found < vec![1, 3, 3])
                || ["1.4.0-rc.1", "1.4.0-rc.2"].contains(&version) =>
        {
            Some("CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 (races while starting)")
        }
        "crun" if found < vec![0, 10, 5] => Some("CVE-2019-18837 (a link in the image)"),
        _ => None,
    }
}

/// Returns the numbers of a version without what a distribution adds.
fn numbers(version: &str) -> Vec<u32> {
    version_of(version.split(['+', '-', '~']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_with_a_known_escape_are_told_by_their_version() {
        let cases = [
            ("runc 1.1.5+ds1", Some("21626")),
            ("runc 1.1.11", Some("21626")),
            ("runc 1.1.12", Some("31133")),
            ("runc 1.2.6", Some("31133")),
            ("runc 1.2.8", None),
            ("runc 1.3.0", Some("31133")),
            ("runc 1.3.3", None),
            ("runc 1.4.0-rc.2", Some("31133")),
            ("runc 1.4.0", None),
            ("crun 0.10.4", Some("18837")),
            ("crun 1.8.1", None),
            // Nothing is claimed of what is not known.
            ("runsc 20240101", None),
            ("runc", None),
            ("", None),
        ];
        for (runtime, expected) in cases {
            let found = runtime_escape(runtime);
            match expected {
                None => assert_eq!(found, None, "{runtime}"),
                Some(number) => {
                    assert!(
                        found.is_some_and(|it| it.contains(number)),
                        "{runtime}: {found:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn an_engine_is_named_beside_its_runtime() {
        let facts = |kind, version: &str| EngineFacts {
            kind,
            version: version.into(),
            api: "1.41".into(),
            storage_driver: "overlay".into(),
            cgroup_version: "2".into(),
            is_rootless: false,
            has_limits: true,
            has_seccomp: true,
            runtime: "runc 1.1.5".into(),
            kernel: "6.1".into(),
        };
        let old = known_escapes(&facts(EngineKind::Docker, "20.10.5+dfsg1"));
        assert_eq!(
            old,
            [
                "runc 1.1.5 is open to CVE-2024-21626 (a leaked descriptor)",
                "Docker 20.10.5+dfsg1 is open to CVE-2021-41089 (copying into a container changes \
                 modes of the host's files)",
            ]
        );
        assert_eq!(
            known_escapes(&facts(EngineKind::Docker, "20.10.24")).len(),
            1
        );
        assert_eq!(known_escapes(&facts(EngineKind::Podman, "4.3.1")).len(), 1);
    }
}
