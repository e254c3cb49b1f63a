//! What kind of repository it is, and so what a first configuration says.

use autoclave_runner::marker::TemplateFacts;

/// What a repository is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ecosystem {
    Rust,
    Python,
    Node,
    Go,
    /// CMake or a makefile.
    Make,
    Other,
}

/// The files of a repository: paths relative to its root, and how one is read.
pub struct Files<'a> {
    /// In any order.
    pub paths: &'a [String],
    /// Returns the text of a file, or nothing where it cannot be read.
    pub read: &'a dyn Fn(&str) -> String,
}

impl Ecosystem {
    /// Returns the ecosystem whose files lie in the root; the first that fits.
    pub fn of(files: &Files<'_>) -> Self {
        let signs: [(Self, &[&str]); 5] = [
            (Self::Rust, &["Cargo.toml"]),
            (
                Self::Python,
                &[
                    "pyproject.toml",
                    "setup.py",
                    "setup.cfg",
                    "pytest.ini",
                    "tox.ini",
                    "requirements.txt",
                ],
            ),
            (Self::Node, &["package.json"]),
            (Self::Go, &["go.mod"]),
            (
                Self::Make,
                &["CMakeLists.txt", "Makefile", "makefile", "GNUmakefile"],
            ),
        ];
        let found = signs
            .iter()
            .find(|(_, names)| names.iter().any(|name| files.has(name)));
        match found {
            Some((ecosystem, _)) => *ecosystem,
            None if files.any(|path| !path.contains('/') && has_extension(path, "py")) => {
                Self::Python
            }
            None => Self::Other,
        }
    }

    /// Returns its name in the output for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Node => "node",
            Self::Go => "go",
            Self::Make => "make",
            Self::Other => "other",
        }
    }

    /// Returns what the first configuration of such a repository says.
    pub fn facts(self, files: &Files<'_>) -> TemplateFacts {
        let guard = self.guard(files);
        let (metric, extract) = match files.benchmark() {
            Some(command) => (command, "regex:([0-9]+(?:[.][0-9]+)?)"),
            None => (
                timed(guard.as_deref().unwrap_or("./bench.sh")),
                "regex:ms=([0-9]+)",
            ),
        };
        let is_timed = files.benchmark().is_none();
        TemplateFacts {
            name: "speed".to_owned(),
            mutable: self.mutable(files),
            immutable: self.immutable(files),
            scratch: self.scratch(files),
            prepare: self.prepare(files),
            metric,
            extract: extract.to_owned(),
            build: match self {
                // Else what is timed would be the compiler.
                Self::Rust if is_timed => Some("cargo test --no-run".to_owned()),
                Self::Rust => Some("cargo build --release".to_owned()),
                Self::Make if files.has("CMakeLists.txt") => {
                    Some("cmake -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build".into())
                }
                Self::Make => Some("make".to_owned()),
                Self::Python | Self::Node | Self::Go | Self::Other => None,
            },
            guard,
            policy: match self {
                Self::Rust | Self::Python | Self::Node | Self::Go => "toolchains",
                Self::Make | Self::Other => "default",
            }
            .to_owned(),
        }
    }

    fn mutable(self, files: &Files<'_>) -> Vec<String> {
        let candidates: &[&str] = match self {
            Self::Rust => &["src/**/*.rs", "*/src/**/*.rs", "crates/*/src/**/*.rs"],
            Self::Python => &["src/**/*.py"],
            Self::Node => &["src/**", "lib/**", "*.js", "*.mjs", "*.ts"],
            Self::Go => &["**/*.go"],
            Self::Make => &[
                "src/**",
                "lib/**",
                "include/**",
                "*.c",
                "*.cc",
                "*.cpp",
                "*.h",
            ],
            Self::Other => &["src/**", "lib/**"],
        };
        let mut globs: Vec<String> = candidates
            .iter()
            .filter(|glob| files.matches(glob))
            .map(ToString::to_string)
            .collect();
        if globs.is_empty() && self == Self::Python {
            let packages = files.paths.iter().filter_map(|path| {
                let package = path.strip_suffix("/__init__.py")?;
                let is_code = !package.contains('/') && !matches!(package, "tests" | "test");
                is_code.then(|| format!("{package}/**/*.py"))
            });
            globs.extend(packages);
            globs.sort();
        }
        if globs.is_empty() && self == Self::Python && files.matches("*.py") {
            globs.push("*.py".to_owned());
        }
        if globs.is_empty() {
            globs.push("src/**".to_owned());
        }
        globs
    }

    fn immutable(self, files: &Files<'_>) -> Vec<String> {
        let own: &[&str] = match self {
            Self::Rust => &["build.rs"],
            Self::Python => &["**/conftest.py", "**/test_*.py", "setup.py"],
            Self::Node => &["**/*.test.*", "**/*.spec.*", "**/__tests__/"],
            Self::Go => &["**/*_test.go", "**/testdata/"],
            Self::Make | Self::Other => &[],
        };
        let common = [
            "tests/**",
            "test/**",
            "spec/**",
            "benches/**",
            "bench/**",
            "benchmarks/**",
        ];
        let globs = common.iter().chain(own);
        globs
            .filter(|glob| files.matches(glob))
            .map(ToString::to_string)
            .collect()
    }

    fn scratch(self, files: &Files<'_>) -> Vec<String> {
        let scratch: &[&str] = match self {
            Self::Rust => &["target/"],
            Self::Python => &["**/__pycache__/", ".pytest_cache/"],
            Self::Node => &["node_modules/", "dist/", "coverage/"],
            Self::Make => &["build/"],
            Self::Go | Self::Other => &[],
        };
        // What is committed is no scratch.
        let scratch = scratch.iter().filter(|glob| !files.matches(glob));
        scratch.map(ToString::to_string).collect()
    }

    fn prepare(self, files: &Files<'_>) -> Option<String> {
        let command = match self {
            Self::Rust if files.has("Cargo.lock") => "cargo fetch --locked",
            Self::Rust => "cargo fetch",
            Self::Node if files.has("package-lock.json") => "npm ci",
            Self::Node if files.has("pnpm-lock.yaml") => "pnpm install --frozen-lockfile",
            Self::Node if files.has("yarn.lock") => "yarn install --frozen-lockfile",
            Self::Go if files.has("go.sum") => "go mod download",
            Self::Python if files.has("requirements.txt") => {
                "python3 -m pip install --user --break-system-packages -r requirements.txt"
            }
            Self::Python | Self::Node | Self::Go | Self::Make | Self::Other => return None,
        };
        Some(command.to_owned())
    }

    fn guard(self, files: &Files<'_>) -> Option<String> {
        let command = match self {
            Self::Rust => "cargo test",
            Self::Python if files.uses_pytest() => "python3 -m pytest -q -p no:cacheprovider",
            Self::Python if files.matches("**/test*.py") => "python3 -m unittest",
            Self::Node if files.has_npm_test() => "npm test",
            Self::Go if files.matches("**/*_test.go") => "go test -count=1 -v ./...",
            Self::Go => "go build ./...",
            Self::Make if files.has("CMakeLists.txt") => {
                "cmake -B build && cmake --build build && ctest --test-dir build"
            }
            Self::Make => match files.make_target() {
                Some("check") => "make check",
                Some(_) => "make test",
                None => return None,
            },
            Self::Python | Self::Node | Self::Other => return None,
        };
        Some(command.to_owned())
    }
}

impl Files<'_> {
    fn has(&self, path: &str) -> bool {
        self.paths.iter().any(|other| other == path)
    }

    fn any(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.paths.iter().any(|path| holds(path))
    }

    fn matches(&self, glob: &str) -> bool {
        use autoclave_policies::{Glob, RepoPath};
        let Ok(glob) = Glob::parse(glob) else {
            return false;
        };
        self.any(|path| RepoPath::try_from(path).is_ok_and(|path| glob.matches(&path)))
    }

    fn uses_pytest(&self) -> bool {
        self.any(|path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            matches!(name, "pytest.ini" | "conftest.py")
        }) || ["pyproject.toml", "setup.cfg", "tox.ini", "requirements.txt"]
            .iter()
            .any(|file| self.has(file) && (self.read)(file).contains("pytest"))
    }

    fn has_npm_test(&self) -> bool {
        let package: serde_json::Value =
            serde_json::from_str(&(self.read)("package.json")).unwrap_or_default();
        let test = package["scripts"]["test"].as_str();
        test.is_some_and(|test| !test.contains("no test specified"))
    }

    /// Returns the target of the makefile that tests.
    fn make_target(&self) -> Option<&'static str> {
        let makefiles = ["GNUmakefile", "makefile", "Makefile"];
        let makefile = makefiles.iter().find(|file| self.has(file))?;
        let text = (self.read)(makefile);
        ["test", "check"].into_iter().find(|target| {
            text.lines()
                .any(|line| line.starts_with(&format!("{target}:")))
        })
    }

    /// Returns the command that runs what looks like a benchmark.
    fn benchmark(&self) -> Option<String> {
        let mut found: Vec<String> = self
            .paths
            .iter()
            .filter_map(|path| {
                let name = path.rsplit('/').next().unwrap_or(path);
                let (stem, extension) = name.rsplit_once('.')?;
                let interpreter = match extension {
                    "py" => "python3",
                    "sh" => "sh",
                    "js" | "mjs" => "node",
                    _ => return None,
                };
                let is_plain = path
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
                let is_benchmark = ["bench", "benchmark", "measure"].contains(&stem);
                (is_plain && is_benchmark && !path.starts_with('-'))
                    .then(|| format!("{interpreter} {path}"))
            })
            .collect();
        found.sort_by_key(|command| (command.matches('/').count(), command.clone()));
        found.into_iter().next()
    }
}

fn has_extension(path: &str, wanted: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == wanted)
}

/// Returns a command that prints how long `command` takes.
fn timed(command: &str) -> String {
    format!(
        "start=$(date +%s%N); {{ {command}; }} >&2 || exit 1; \
         echo ms=$(( ($(date +%s%N) - start) / 1000000 ))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoclave_runner::marker::{Dialect, parse_config, template};

    fn with<T>(files: &[(&str, &str)], look: impl Fn(&Files<'_>) -> T) -> T {
        let paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
        let read = |wanted: &str| {
            let found = files.iter().find(|(path, _)| *path == wanted);
            found.map_or(String::new(), |(_, text)| (*text).to_owned())
        };
        look(&Files {
            paths: &paths,
            read: &read,
        })
    }

    const REPOSITORIES: [&[(&str, &str)]; 9] = [
        &[
            ("Cargo.toml", ""),
            ("Cargo.lock", ""),
            ("src/main.rs", ""),
            ("crates/a/src/lib.rs", ""),
            ("tests/all.rs", ""),
        ],
        &[
            ("pyproject.toml", "[tool.pytest]"),
            ("sorting/__init__.py", ""),
            ("tests/test_sorting.py", ""),
            ("bench.py", ""),
        ],
        &[("setup.py", ""), ("src/a.py", ""), ("test_a.py", "")],
        &[("solve.py", "")],
        &[
            ("package.json", r#"{"scripts": {"test": "node --test"}}"#),
            ("package-lock.json", ""),
            ("lib/index.js", ""),
            ("lib/index.test.js", ""),
        ],
        &[
            ("go.mod", ""),
            ("go.sum", ""),
            ("sort.go", ""),
            ("sort_test.go", ""),
        ],
        &[("CMakeLists.txt", ""), ("src/main.c", "")],
        &[("Makefile", "all:\n\tcc a.c\ncheck: all\n"), ("a.c", "")],
        &[("notes.txt", "")],
    ];

    #[test]
    fn repositories_are_told_apart_by_the_files_in_their_root() {
        let words = REPOSITORIES.map(|files| with(files, |files| Ecosystem::of(files).word()));
        let expected = [
            "rust", "python", "python", "python", "node", "go", "make", "make", "other",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn what_is_scaffolded_fits_the_repository() {
        let text: Vec<String> = REPOSITORIES
            .iter()
            .map(|files| {
                let facts = with(files, |files| Ecosystem::of(files).facts(files));
                format!("{facts:#?}")
            })
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn every_scaffold_parses_to_its_facts_without_warnings() {
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        for files in REPOSITORIES {
            let facts = with(files, |files| Ecosystem::of(files).facts(files));
            let text = template(&facts);
            let config = parse_config(&text, "config.yaml", Dialect::Autoclave, &none)
                .unwrap_or_else(|problems| panic!("{text}\n{problems}"));
            let marker = &config.markers[0];
            assert_eq!(config.warnings, []);
            assert_eq!(marker.target.mutable, facts.mutable);
            assert_eq!(marker.target.immutable, facts.immutable);
            assert_eq!(marker.metric.command, facts.metric);
            assert_eq!(marker.metric.build, facts.build);
            assert_eq!(
                marker.prepare.as_ref().map(|step| &step.command),
                facts.prepare.as_ref()
            );
            assert_eq!(
                marker.guards.first().map(|guard| &guard.command),
                facts.guard.as_ref()
            );
            assert_eq!(marker.sandbox.policy.name, facts.policy);
        }
    }

    #[test]
    fn globs_match_something_where_there_is_anything_to_match() {
        for files in &REPOSITORIES[..8] {
            with(files, |files| {
                for glob in Ecosystem::of(files).facts(files).mutable {
                    assert!(files.matches(&glob), "{glob}");
                }
            });
        }
    }
}
