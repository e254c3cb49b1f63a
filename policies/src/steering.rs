//! Files that steer tests and builds, by ecosystem: whoever writes one decides what passes.

use std::sync::LazyLock;

use crate::{Glob, RepoPath};

/// The names of one ecosystem, each at any depth, as a file or as a directory with all beneath.
struct Family {
    ecosystem: &'static str,
    /// Patterns of one path component each.
    names: &'static [&'static str],
    /// Patterns of more than one component.
    paths: &'static [&'static str],
}

/// What test runners, build tools, linters and interpreters of an ecosystem read without being
/// told to. That such a file does not exist is a setting, too: a new one is none of an agent's.
const FAMILIES: &[Family] = &[
    // Hooks that pytest and the interpreter load by themselves; settings of runners and linters.
    Family {
        ecosystem: "Python",
        names: &[
            "conftest.py",
            "pytest.ini",
            ".pytest.ini",
            "pytest.toml",
            ".pytest.toml",
            "tox.ini",
            "tox.toml",
            "setup.py",
            "setup.cfg",
            "pyproject.toml",
            "noxfile.py",
            "sitecustomize.py",
            "usercustomize.py",
            "*.pth",
            "pyvenv.cfg",
            ".python-version",
            ".coveragerc",
            "Pipfile",
            "Pipfile.lock",
            "poetry.lock",
            "pdm.lock",
            "uv.lock",
            "uv.toml",
            "hatch.toml",
            "pixi.toml",
            "pixi.lock",
            ".flake8",
            ".pylintrc",
            "mypy.ini",
            ".mypy.ini",
            "ruff.toml",
            ".ruff.toml",
            "pyrightconfig.json",
        ],
        paths: &[],
    },
    // Build scripts, manifests, and cargo's settings, of which `runner` replaces every test binary.
    Family {
        ecosystem: "Rust",
        names: &[
            "build.rs",
            "Cargo.toml",
            "Cargo.lock",
            ".cargo",
            "rust-toolchain",
            "rust-toolchain.toml",
            "clippy.toml",
            ".clippy.toml",
            "rustfmt.toml",
            ".rustfmt.toml",
        ],
        paths: &["**/.config/nextest.toml"],
    },
    // Scripts and lock files of package managers; settings of runners, compilers and bundlers.
    Family {
        ecosystem: "Node",
        names: &[
            "package.json",
            "package-lock.json",
            "npm-shrinkwrap.json",
            "yarn.lock",
            "pnpm-lock.yaml",
            "pnpm-workspace.yaml",
            "bun.lock",
            "bun.lockb",
            "bunfig.toml",
            "deno.json",
            "deno.jsonc",
            "deno.lock",
            ".npmrc",
            ".yarnrc",
            ".yarnrc.yml",
            ".yarn",
            ".pnp.*",
            ".pnpmfile.cjs",
            ".node-version",
            ".nvmrc",
            "jest.config.*",
            "jest.setup.*",
            "vitest.config.*",
            "vitest.workspace.*",
            "vitest.setup.*",
            "vite.config.*",
            "babel.config.*",
            ".babelrc*",
            ".swcrc",
            "tsconfig*.json",
            "jsconfig.json",
            ".mocharc*",
            "karma.conf.*",
            "ava.config.*",
            "playwright.config.*",
            "cypress.config.*",
            ".nycrc*",
            ".c8rc*",
            ".taprc",
            "webpack.config.*",
            "rollup.config.*",
            "esbuild.config.*",
            "tsup.config.*",
            "eslint.config.*",
            ".eslintrc*",
            "biome.json*",
            "nx.json",
            "turbo.json",
            "lerna.json",
            "binding.gyp",
        ],
        paths: &[],
    },
    Family {
        ecosystem: "Go",
        names: &[
            "go.mod",
            "go.sum",
            "go.work",
            "go.work.sum",
            ".golangci.*",
            "magefile.go",
        ],
        paths: &["**/vendor/modules.txt"],
    },
    // Build files, their wrappers, and what JUnit's platform reads from the class path.
    Family {
        ecosystem: "Java",
        names: &[
            "pom.xml",
            "mvnw",
            "mvnw.cmd",
            ".mvn",
            "build.gradle*",
            "settings.gradle*",
            "init.gradle*",
            "gradle.properties",
            "gradlew",
            "gradlew.bat",
            "buildSrc",
            "build.xml",
            "ivy.xml",
            "*.sbt",
            "junit-platform.properties",
            "testng.xml",
        ],
        paths: &["**/gradle/wrapper", "**/gradle/*.versions.toml"],
    },
    Family {
        ecosystem: "C and C++",
        names: &[
            "Makefile",
            "makefile",
            "GNUmakefile",
            "Makefile.*",
            "makefile.*",
            "*.mk",
            "CMakeLists.txt",
            "CMakePresets.json",
            "CMakeUserPresets.json",
            "*.cmake",
            "meson.build",
            "meson_options.txt",
            "meson.options",
            "configure",
            "configure.*",
            "conanfile.*",
            "vcpkg.json",
            "build.ninja",
            "SConstruct",
            "SConscript",
            "wscript",
            "xmake.lua",
            ".clang-tidy",
        ],
        paths: &[],
    },
    // Task runners, build tools and environments that serve any of them.
    Family {
        ecosystem: "any language",
        names: &[
            "justfile",
            "Justfile",
            ".justfile",
            "Taskfile*.yml",
            "Taskfile*.yaml",
            "*.bzl",
            "BUILD.bazel",
            "MODULE.bazel",
            "WORKSPACE",
            "WORKSPACE.bazel",
            ".bazelrc",
            ".pre-commit-config.yaml",
            ".tool-versions",
            "mise.toml",
            ".mise.toml",
            ".direnv",
            "flake.nix",
            "flake.lock",
            "shell.nix",
            "default.nix",
        ],
        paths: &[],
    },
];

/// One pattern of files that steer tests and builds.
#[derive(Debug, Clone)]
pub(crate) struct Steering {
    pub ecosystem: &'static str,
    glob: Glob,
}

impl Steering {
    /// Returns all patterns; few, because the names of an ecosystem are one.
    pub fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Steering>> =
            LazyLock::new(|| FAMILIES.iter().flat_map(Family::patterns).collect());
        &ALL
    }

    pub fn covers(&self, path: &RepoPath) -> bool {
        self.glob.covers(path)
    }
}

impl Family {
    fn patterns(&self) -> Vec<Steering> {
        let names = format!("**/{{{}}}", self.names.join(","));
        let paths = self.paths.iter().map(ToString::to_string);
        let patterns = std::iter::once(names).chain(paths);
        let steering = patterns.map(|pattern| Steering {
            ecosystem: self.ecosystem,
            glob: Glob::parse(&pattern).expect("the constant patterns are valid"),
        });
        steering.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ecosystem(path: &str) -> Option<&'static str> {
        let path = RepoPath::try_from(path).unwrap();
        let steering = Steering::all()
            .iter()
            .find(|steering| steering.covers(&path));
        steering.map(|steering| steering.ecosystem)
    }

    #[test]
    fn what_steers_tests_and_builds_is_known_at_any_depth() {
        for (expected, paths) in [
            (
                "Python",
                &[
                    "conftest.py",
                    "a/b/conftest.py",
                    "pytest.ini",
                    "tox.ini",
                    "setup.cfg",
                    "pyproject.toml",
                    "lib/sitecustomize.py",
                    "usercustomize.py",
                    "noxfile.py",
                    "a/evil.pth",
                    "pyvenv.cfg",
                ][..],
            ),
            (
                "Rust",
                &[
                    "build.rs",
                    "crates/a/build.rs",
                    ".cargo/config",
                    "a/.cargo/config.toml",
                    "Cargo.toml",
                    "Cargo.lock",
                    "rust-toolchain.toml",
                    ".config/nextest.toml",
                    "clippy.toml",
                ],
            ),
            (
                "Node",
                &[
                    "package.json",
                    "pnpm-lock.yaml",
                    "packages/a/jest.config.mjs",
                    "vitest.config.ts",
                    ".babelrc",
                    "tsconfig.build.json",
                    ".mocharc.yml",
                    ".npmrc",
                    ".node-version",
                ],
            ),
            ("Go", &["go.mod", "a/go.sum", "go.work"]),
            (
                "Java",
                &[
                    "pom.xml",
                    "build.gradle.kts",
                    "app/settings.gradle",
                    "gradle.properties",
                    "gradlew",
                    "gradle/wrapper/gradle-wrapper.jar",
                    "src/test/resources/junit-platform.properties",
                ],
            ),
            (
                "C and C++",
                &[
                    "Makefile",
                    "src/GNUmakefile",
                    "src/Makefile.am",
                    "rules.mk",
                    "CMakeLists.txt",
                    "CMakePresets.json",
                    "cmake/warnings.cmake",
                    "meson.build",
                    "configure.ac",
                    "conanfile.txt",
                ],
            ),
            ("any language", &["justfile", "Taskfile.yml", "flake.nix"]),
        ] {
            for path in paths {
                assert_eq!(ecosystem(path), Some(expected), "{path}");
            }
        }
    }

    #[test]
    fn code_is_not_taken_for_what_steers_it() {
        for path in [
            "src/main.rs",
            "src/builder.rs",
            "conftest/a.py",
            "tests/test_conftest.py",
            "lib/package.js",
            "jest.config",
            "configurer.c",
            "src/makefile_parser.c",
            "gradle/a.txt",
            "config/nextest.toml",
            "a.pthread",
        ] {
            assert_eq!(ecosystem(path), None, "{path}");
        }
    }
}
