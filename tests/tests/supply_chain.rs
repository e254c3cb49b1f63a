//! What is built or installed comes from where it was pinned to; docs/supply-chain.md says why.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use autoclave_runner::marker::DEFAULT_IMAGE;
use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Returns what tells a build what to fetch, by path: recipes of images, scripts, sources of builds.
fn recipes() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in [
        ".ci",
        ".github",
        "fuzz/Cargo.toml",
        "fuzz/run",
        "sandbox-images",
        "tests/run",
        "docker-compose.yml",
        "runner/build.rs",
    ] {
        collect(&root().join(folder), &mut files);
    }
    let recipes: Vec<(String, String)> = files
        .into_iter()
        .filter_map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            let is_prose = path.extension().is_some_and(|extension| extension == "md");
            (!is_prose).then(|| (name.to_owned(), std::fs::read_to_string(&path).unwrap()))
        })
        .collect();
    for needed in ["sandbox-images/build", "tests/run", ".ci/run"] {
        assert!(recipes.iter().any(|(name, _)| name == needed), "{needed}");
    }
    recipes
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    } else if path.is_file() {
        files.push(path.to_owned());
    }
}

/// What a line may not do, unless it also matches the second pattern.
const RULES: [(&str, &str, &str); 8] = [
    (
        r"^FROM |^ARG [A-Z]+=[a-z0-9./-]+:",
        r"^FROM \$\{?[a-zA-Z_]+\}?( AS \w+)?$|@sha256:[0-9a-f]{64}( AS \w+)?$",
        "an image without its digest",
    ),
    (
        r"(curl|wget)\b.*\|\s*(ba|da|z)?sh\b|\b(sh|bash)\b.*<\(\s*(curl|wget)",
        NEVER,
        "a script of the network is run as it comes",
    ),
    (r"[:@]latest\b", NEVER, "whatever is the latest"),
    (
        r"\bnpm (install|i|add)\b",
        r"@[0-9$]|\\$",
        "an npm package of any version",
    ),
    (
        r"\bcargo install\b",
        r"--locked --version",
        "a program of any version, or of any dependencies",
    ),
    (
        r"\bpip install [a-z]",
        r"==",
        "a Python package of any version",
    ),
    (
        r"^-?\s*uses: ",
        r"@[0-9a-f]{40}\b",
        "an action by a name that can move",
    ),
    (
        r"^image: [a-z0-9./-]+(:|$)",
        r"@sha256:[0-9a-f]{64}$|autoclave/",
        "an image without its digest",
    ),
];
const NEVER: &str = r"[^\s\S]";

static COMPILED: LazyLock<Vec<(Regex, Regex, &str)>> = LazyLock::new(|| {
    let compiled = RULES.iter().map(|(what, unless, why)| {
        let [what, unless] = [what, unless].map(|pattern| Regex::new(pattern).unwrap());
        (what, unless, *why)
    });
    compiled.collect()
});

/// Returns what is wrong with a line of a recipe.
fn loose(line: &str) -> Vec<&'static str> {
    let code = line.trim_start();
    if code.starts_with('#') || code.starts_with("//") {
        return Vec::new();
    }
    let broken = COMPILED
        .iter()
        .filter(|(what, unless, _)| what.is_match(code) && !unless.is_match(code));
    broken.map(|(.., why)| *why).collect()
}

#[test]
fn every_recipe_names_exactly_what_it_fetches() {
    let problems: Vec<String> = recipes()
        .iter()
        .flat_map(|(name, text)| {
            text.lines().enumerate().flat_map(move |(at, line)| {
                let loose = loose(line).into_iter();
                loose.map(move |why| format!("{name}:{}: {why}: {line}", at + 1))
            })
        })
        .collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn what_is_loose_is_found() {
    let digest = "a".repeat(64);
    for (line, expected) in [
        ("FROM debian:bookworm", 1),
        ("FROM debian", 1),
        ("ARG DEBIAN=debian:bookworm-slim", 1),
        (&format!("FROM debian@sha256:{digest} AS base"), 0),
        (&format!("ARG DEBIAN=debian:bookworm@sha256:{digest}"), 0),
        ("FROM ${DEBIAN} AS claude", 0),
        ("RUN curl -fsSL https://example.org/install | sh", 1),
        ("bash <(curl https://example.org/install)", 1),
        ("    image: autoclave/autoclave:latest", 1),
        ("    image: autoclave/claude-code:2.1.197", 0),
        ("npm install --prefix x left-pad", 1),
        ("npm install --prefix x left-pad@1.3.0", 0),
        ("cargo install cargo-deny", 1),
        ("cargo install cargo-deny --locked --version 0.20.2", 0),
        ("      image: debian:bookworm", 1),
        ("pip install pytest", 1),
        ("pip install pytest==8.4.2", 0),
        ("      - uses: actions/checkout@v4", 1),
        (
            &format!("      - uses: actions/checkout@{}", "b".repeat(40)),
            0,
        ),
        ("# FROM debian:bookworm", 0),
    ] {
        assert_eq!(loose(line).len(), expected, "{line}");
    }
}

#[test]
fn the_agent_is_one_version_everywhere() {
    let version = DEFAULT_IMAGE.rsplit(':').next().unwrap();
    let lock: serde_json::Value =
        serde_json::from_str(&text("sandbox-images/claude-code/package-lock.json")).unwrap();
    for cpu in ["arm64", "x64"] {
        let package =
            &lock["packages"][format!("node_modules/@anthropic-ai/claude-code-linux-{cpu}")];
        assert_eq!(package["version"], version, "{cpu}");
        let integrity = package["integrity"].as_str().unwrap();
        assert!(integrity.starts_with("sha512-"), "{integrity}");
    }
    for (path, expected) in [
        ("sandbox-images/build", format!("\nversion={version}\n")),
        ("tests/run", format!("CLAUDE_VERSION={version}\n")),
        (
            "docker-compose.yml",
            format!("autoclave/claude-code:{version}\n"),
        ),
    ] {
        assert!(text(path).contains(&expected), "{path} has no {expected:?}");
    }
}

#[test]
fn the_compiler_is_one_version_everywhere() {
    let pinned = text("rust-toolchain.toml");
    let version = pinned.split('"').nth(1).unwrap();
    let recipe = text("sandbox-images/autoclave/Dockerfile");
    assert!(recipe.contains(&format!("rust:{version}-bookworm@sha256:")));
    assert!(recipe.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")));
}

#[test]
fn both_lock_files_hold_a_digest_for_each_crate_that_is_not_ours() {
    for path in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = text(path);
        let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
        assert!(packages.len() > 50, "{path}");
        for package in packages {
            let name = package.split('"').nth(1).unwrap();
            let is_ours = name == "autoclave" || name.starts_with("autoclave-") || name == "e2e";
            let is_pinned = package.contains("checksum = \"")
                && package.contains("registry+https://github.com/rust-lang/crates.io-index\"");
            assert!(is_ours || is_pinned, "{path}: {package}");
        }
    }
}

#[test]
fn building_the_helper_fetches_nothing() {
    let build = text("runner/build.rs");
    assert!(build.contains("\"--offline\"") && build.contains("\"--locked\""));
}
