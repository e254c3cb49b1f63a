//! What of this host the sandboxes of a marker see: its policy, applied to the files that are here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autoclave_policies::{PlanRequest, View, is_sandboxes_own, lies_in};

use super::CampaignError;
use super::workshop::HostFacts;
use crate::marker::{Marker, SandboxSpec};

/// Returns the views, environment and limits that `marker` asks for on this host.
///
/// # Errors
///
/// [`CampaignError::Marker`] when a path of `sandbox.read` is not there, or would show what the
/// policy denies.
pub(super) fn plan_request(
    marker: &Marker,
    host: &HostFacts,
) -> Result<PlanRequest, CampaignError> {
    let spec = &marker.sandbox;
    let asked = asked_for(spec, host).map_err(|problem| CampaignError::Marker {
        marker: marker.name.clone(),
        problem,
    })?;
    let home = host.home.as_deref();
    // A policy names what many machines have; what is not here is not needed.
    let usual = expand_all(&spec.policy.read, home);
    let is_here = |path: &PathBuf| path.exists() && !is_sandboxes_own(path);
    let mut shown: Vec<PathBuf> = usual.into_iter().filter(is_here).collect();
    shown.extend(asked.iter().cloned());
    check_denied(spec, &shown, home).map_err(|problem| CampaignError::Marker {
        marker: marker.name.clone(),
        problem,
    })?;
    shown.sort();
    shown.dedup();
    let views = shown.into_iter().map(|source| View {
        target: source.clone(),
        source,
    });
    Ok(PlanRequest {
        views: views.collect(),
        env: environment(spec, host, &asked),
        limits: spec.limits,
        allow_degraded: spec.allow_degraded.clone(),
    })
}

/// Returns what `marker` asks of a container: of this machine it sees what `sandbox.read` names
/// and nothing else; programs come with its image.
///
/// # Errors
///
/// As those of [`plan_request`].
pub(super) fn container_request(
    marker: &Marker,
    host: &HostFacts,
) -> Result<PlanRequest, CampaignError> {
    let spec = &marker.sandbox;
    let refused = |problem| CampaignError::Marker {
        marker: marker.name.clone(),
        problem,
    };
    let mut shown = asked_for(spec, host).map_err(refused)?;
    check_denied(spec, &shown, host.home.as_deref()).map_err(refused)?;
    shown.sort();
    shown.dedup();
    let views = shown.iter().map(|source| View {
        target: source.clone(),
        source: source.clone(),
    });
    Ok(PlanRequest {
        views: views.collect(),
        // What the policy sets points at programs of this machine, which are not there.
        env: spec.env.clone(),
        limits: spec.limits,
        allow_degraded: spec.allow_degraded.clone(),
    })
}

/// Returns the paths of `sandbox.read`, all of which must be there.
fn asked_for(spec: &SandboxSpec, host: &HostFacts) -> Result<Vec<PathBuf>, String> {
    let paths = spec.read.iter().map(|path| {
        let source = expand_home(Path::new(path), host.home.as_deref())
            .ok_or_else(|| format!("`sandbox.read`: `{path}` needs HOME, which is not set"))?;
        if is_sandboxes_own(&source) {
            let shown = source.display();
            Err(format!(
                "`sandbox.read`: `{shown}` cannot be shown: every sandbox has its own /tmp, \
                 /var/tmp, /run, /proc and /dev"
            ))
        } else if source.exists() {
            Ok(source)
        } else {
            let shown = source.display();
            Err(format!(
                "`sandbox.read`: there is no `{shown}` on this machine"
            ))
        }
    });
    paths.collect()
}

/// Compares what is really shown with what is really denied, links followed.
fn check_denied(spec: &SandboxSpec, shown: &[PathBuf], home: Option<&Path>) -> Result<(), String> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for denied in expand_all(&spec.policy.deny, home) {
        let real_denied = real(&denied);
        let showing = shown.iter().find(|path| {
            let path = real(path);
            real_denied.starts_with(&path) || path.starts_with(&real_denied)
        });
        if let Some(path) = showing {
            return Err(format!(
                "showing `{}` would show `{}`, which policy `{}` denies",
                path.display(),
                denied.display(),
                spec.policy.name
            ));
        }
    }
    Ok(())
}

/// Returns the policy's environment with the marker's over it. PATH begins with those entries of
/// the user's own that lie where the policy or the marker says that programs may be found.
fn environment(
    spec: &SandboxSpec,
    host: &HostFacts,
    asked: &[PathBuf],
) -> BTreeMap<String, String> {
    let home = host.home.as_deref();
    let mut places = expand_all(&spec.policy.path, home);
    places.extend(asked.iter().cloned());
    let mut env = BTreeMap::new();
    for (name, value) in &spec.policy.env {
        let expanded = value
            .starts_with("~/")
            .then(|| expand_home(Path::new(value), home));
        match expanded {
            None => env.insert(name.clone(), value.clone()),
            Some(Some(path)) => env.insert(name.clone(), path.display().to_string()),
            // Without a home there is nothing of it to point at.
            Some(None) => None,
        };
    }
    let own = host.path.as_deref().map(std::env::split_paths);
    let mut path: Vec<String> = Vec::new();
    for entry in own.into_iter().flatten() {
        if let (true, Some(entry)) = (lies_in(&entry, &places), entry.to_str())
            && !path.iter().any(|other| other == entry)
        {
            path.push(entry.to_owned());
        }
    }
    path.extend(env.remove("PATH"));
    env.insert("PATH".to_owned(), path.join(":"));
    env.extend(spec.env.clone());
    env
}

fn expand_all(paths: &[PathBuf], home: Option<&Path>) -> Vec<PathBuf> {
    let expanded = paths.iter().filter_map(|path| expand_home(path, home));
    expanded.collect()
}

/// Returns `path` with a leading `~/` replaced; `None` when that needs a home and there is none.
pub(super) fn expand_home(path: &Path, home: Option<&Path>) -> Option<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) => home.map(|home| home.join(rest)),
        Err(_) => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::marker::{Dialect, parse_config};
    use crate::sandbox::container::EngineChoice;

    /// A home with a toolchain, a secret and a link to the secret.
    fn home() -> tempfile::TempDir {
        // What lies beneath /tmp cannot be shown.
        let beside = env!("CARGO_MANIFEST_DIR");
        let is_hidden = beside.starts_with("/tmp/") || beside.starts_with("/var/tmp/");
        let place = if is_hidden { "/srv" } else { beside };
        let home = tempfile::tempdir_in(place).unwrap();
        for folder in [".cargo/bin", ".rustup/toolchains", ".ssh", "tools/bin"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        symlink(".ssh", home.path().join("innocent")).unwrap();
        home
    }

    fn request(home: &Path, sandbox: &str) -> Result<PlanRequest, String> {
        let text = format!(
            "markers: [{{name: a, target: {{mutable: [a]}}, \
             metric: {{command: c, extract: e, direction: lower}}, sandbox: {sandbox}}}]"
        );
        let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let config = parse_config(&text, "c", Dialect::Autoclave, &none).unwrap();
        let entries = ["tools/bin", ".cargo/bin", "elsewhere"].map(|entry| home.join(entry));
        let host = HostFacts {
            without: Vec::new(),
            engine: EngineChoice::at("unix:///nonexistent"),
            home: Some(home.to_owned()),
            path: Some(std::env::join_paths(entries).unwrap()),
            state: PathBuf::new(),
        };
        plan_request(&config.markers[0], &host).map_err(|error| error.to_string())
    }

    fn shows(request: &PlanRequest, path: &Path) -> bool {
        request.views.iter().any(|view| view.source == path)
    }

    #[test]
    fn toolchains_show_the_managers_of_the_home_and_find_their_programs() {
        let home = home();
        let home = home.path();
        let plain = request(home, "{}").unwrap();
        assert!(!shows(&plain, &home.join(".cargo/bin")));
        assert_eq!(plain.env["PATH"], "/usr/local/bin:/usr/bin:/bin");

        let tools = request(home, "{policy: toolchains}").unwrap();
        assert!(shows(&tools, &home.join(".cargo/bin")));
        assert!(!shows(&tools, &home.join(".nvm/versions")));
        let cargo = home.join(".cargo/bin").display().to_string();
        assert_eq!(
            tools.env["PATH"],
            format!("{cargo}:/usr/local/bin:/usr/bin:/bin")
        );
        let rustup = home.join(".rustup").display().to_string();
        assert_eq!(tools.env["RUSTUP_HOME"], rustup);
    }

    #[test]
    fn programs_of_a_folder_that_the_marker_shows_are_found() {
        let home = home();
        let shown = request(home.path(), "{read: [~/tools/bin, ~/tools/bin]}").unwrap();
        let tools = home.path().join("tools/bin").display().to_string();
        assert_eq!(
            shown.env["PATH"],
            format!("{tools}:/usr/local/bin:/usr/bin:/bin")
        );
        let own = request(home.path(), "{read: [~/tools/bin], env: {PATH: /bin}}").unwrap();
        assert_eq!(own.env["PATH"], "/bin");
    }

    #[test]
    fn a_link_to_what_the_policy_denies_is_not_shown() {
        let home = home();
        let error = request(home.path(), "{read: [~/innocent]}").unwrap_err();
        let (link, secret) = (home.path().join("innocent"), home.path().join(".ssh"));
        assert_eq!(
            error,
            format!(
                "marker `a`: showing `{}` would show `{}`, which policy `default` denies",
                link.display(),
                secret.display()
            )
        );
    }

    #[test]
    fn a_home_in_a_place_that_sandboxes_have_themselves_cannot_be_shown() {
        let error = request(Path::new("/tmp/home"), "{read: [~/tools]}").unwrap_err();
        assert_eq!(
            error,
            "marker `a`: `sandbox.read`: `/tmp/home/tools` cannot be shown: every sandbox has its \
             own /tmp, /var/tmp, /run, /proc and /dev"
        );
    }

    #[test]
    fn what_is_asked_for_and_not_there_is_named() {
        let home = home();
        let error = request(home.path(), "{read: [~/nowhere]}").unwrap_err();
        let path = home.path().join("nowhere");
        assert_eq!(
            error,
            format!(
                "marker `a`: `sandbox.read`: there is no `{}` on this machine",
                path.display()
            )
        );
    }
}
