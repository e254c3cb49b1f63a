//! The policies that a marker can start from, by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Limits;

/// What a sandbox sees and may use beside the workspace, before a marker adds to it.
///
/// The workspace, a private home and /tmp, /proc and the named devices are not part of it: every
/// sandbox has these.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    pub name: &'static str,
    /// One line for lists of presets.
    pub about: &'static str,
    /// Host paths shown read-only at the same place where they exist; absolute, or beneath the
    /// user's home where they begin with `~/`.
    pub read: Vec<PathBuf>,
    /// The whole environment of the command; nothing of the user's own is passed on.
    pub env: BTreeMap<String, String>,
    /// Patterns of writable paths whose changes are thrown away.
    pub scratch: Vec<String>,
    pub limits: Limits,
}

/// A preset, as constants can write it.
struct Written {
    name: &'static str,
    about: &'static str,
    read: &'static [&'static [&'static str]],
    env: &'static [&'static [(&'static str, &'static str)]],
    scratch: &'static [&'static str],
    limits: Limits,
}

const GIB: u64 = 1 << 30;

/// What programs need to start: their code, libraries, certificates, time zones and user names.
const SYSTEM: &[&str] = &[
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

/// Where version managers put compilers and interpreters. Never their credential files.
const TOOLCHAINS: &[&str] = &[
    "/nix/store",
    "/opt",
    "~/.cargo/bin",
    "~/.cargo/registry",
    "~/.rustup/toolchains",
    "~/.rustup/settings.toml",
    "~/.nvm/versions",
    "~/.pyenv/versions",
    "~/.local/share/uv/python",
    "~/.sdkman/candidates",
    "~/go/pkg/mod",
];

const ENV: &[(&str, &str)] = &[
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("TERM", "dumb"),
    ("TZ", "UTC"),
];

/// Keeps tools from asking and from looking for updates: nobody answers, and nothing is reachable.
const QUIET_ENV: &[(&str, &str)] = &[
    ("CI", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("NO_COLOR", "1"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("npm_config_update_notifier", "false"),
];

const TOOLCHAIN_ENV: &[(&str, &str)] = &[
    ("CARGO_NET_OFFLINE", "true"),
    ("GOPROXY", "off"),
    ("npm_config_offline", "true"),
];

const PRESETS: &[Written] = &[
    Written {
        name: "default",
        about: "system programs, and room for a usual build",
        read: &[SYSTEM],
        env: &[ENV, QUIET_ENV],
        scratch: &["target/", "**/__pycache__/", "**/.pytest_cache/"],
        limits: Limits {
            memory_bytes: 4 * GIB,
            cpus: 2.0,
            pids: 512,
            disk_bytes: 4 * GIB,
        },
    },
    Written {
        name: "strict",
        about: "system programs, nothing but the marker's own paths writable, little of everything",
        read: &[SYSTEM],
        env: &[ENV, QUIET_ENV],
        scratch: &[],
        limits: Limits {
            memory_bytes: GIB,
            cpus: 1.0,
            pids: 128,
            disk_bytes: GIB,
        },
    },
    Written {
        name: "toolchains",
        about: "default, and the compilers and interpreters of version managers",
        read: &[SYSTEM, TOOLCHAINS],
        env: &[ENV, QUIET_ENV, TOOLCHAIN_ENV],
        scratch: &["target/", "**/__pycache__/", "**/.pytest_cache/"],
        limits: Limits {
            memory_bytes: 8 * GIB,
            cpus: 4.0,
            pids: 1024,
            disk_bytes: 16 * GIB,
        },
    },
];

impl Preset {
    /// Returns the preset of this name.
    pub fn named(name: &str) -> Option<Self> {
        PRESETS
            .iter()
            .find(|written| written.name == name)
            .map(Self::of)
    }

    /// Yields the names of all presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|written| written.name)
    }

    fn of(written: &Written) -> Self {
        let env = written.env.iter().copied().flatten();
        Self {
            name: written.name,
            about: written.about,
            read: written
                .read
                .iter()
                .copied()
                .flatten()
                .map(PathBuf::from)
                .collect(),
            env: env
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            scratch: written.scratch.iter().map(ToString::to_string).collect(),
            limits: written.limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Glob;

    #[test]
    fn all_presets_are_found_by_name_and_no_other() {
        let names: Vec<_> = Preset::names().collect();
        assert_eq!(names, ["default", "strict", "toolchains"]);
        for name in names {
            assert_eq!(Preset::named(name).unwrap().name, name);
        }
        assert_eq!(Preset::named("lax"), None);
    }

    #[test]
    fn no_preset_shows_a_home_or_a_place_of_secrets() {
        for preset in Preset::names().filter_map(Preset::named) {
            for path in &preset.read {
                let whole = [
                    "/", "/etc", "/etc/ssl", "/home", "/root", "/run", "/tmp", "/var", "~/",
                    "~/.cargo",
                ];
                assert!(
                    !whole.contains(&path.to_str().unwrap()),
                    "{}",
                    path.display()
                );
                assert!(
                    path.is_absolute() || path.starts_with("~"),
                    "{}",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn scratch_patterns_of_presets_are_valid() {
        for pattern in Preset::names()
            .filter_map(Preset::named)
            .flat_map(|p| p.scratch)
        {
            assert_eq!(Glob::parse(&pattern).unwrap().as_str(), pattern);
        }
    }

    #[test]
    fn strict_gives_less_than_default() {
        let (strict, default) = (
            Preset::named("strict").unwrap(),
            Preset::named("default").unwrap(),
        );
        assert!(strict.scratch.is_empty());
        assert!(strict.limits.memory_bytes < default.limits.memory_bytes);
        assert!(strict.read.iter().all(|path| default.read.contains(path)));
    }
}
