//! Why a host forbids what sandboxes need, as far as it can be read.

use std::fs;
use std::path::Path;

use autoclave_policies::Ability;
use nix::unistd::geteuid;

use super::privileges;

/// What root needs to give files away, to become another user, and to end that user's processes;
/// bit numbers of capabilities(7).
const NEEDED: &[(u32, &str)] = &[
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
];

/// Settings of the kernel that forbid namespaces to ordinary users, and the value that does.
const SETTINGS: &[(&str, &str)] = &[
    // Ubuntu 23.10 and later.
    ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    // Debian's and Arch Linux's own.
    ("kernel/unprivileged_userns_clone", "0"),
    ("user/max_user_namespaces", "0"),
];

/// Says whether this process can start commands as who they are to be.
pub fn identity() -> Ability {
    if !geteuid().is_root() {
        // An ordinary user's commands run as that user.
        return Ability::Works;
    }
    match missing(privileges::effective()).as_slice() {
        [] => Ability::Works,
        names => Ability::Fails {
            why: format!(
                "this process is root, but without {}, and cannot give commands a user of their own",
                names.join(", ")
            ),
        },
    }
}

/// Returns the needed capabilities that are not among the `effective` ones.
fn missing(effective: u64) -> Vec<&'static str> {
    let is_missing = |(bit, _): &&(u32, &str)| effective & (1 << bit) == 0;
    NEEDED
        .iter()
        .filter(is_missing)
        .map(|(_, name)| *name)
        .collect()
}

/// Adds the setting of this host that explains why there are no namespaces, if one does.
pub fn with_setting(why: String) -> String {
    if geteuid().is_root() {
        return why;
    }
    match setting(Path::new("/proc/sys")) {
        Some(setting) => format!("{why}; {setting}"),
        None => why,
    }
}

fn setting(folder: &Path) -> Option<String> {
    SETTINGS.iter().find_map(|(name, forbids)| {
        let value = fs::read_to_string(folder.join(name)).ok()?;
        let name = name.replace('/', ".");
        (value.trim() == *forbids).then(|| format!("the setting `{name}` is {forbids}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_that_a_container_took_from_root_are_named() {
        // As Docker leaves them, as a virtual machine's root has them, and none.
        assert_eq!(missing(0xa804_25fb), Vec::<&str>::new());
        assert_eq!(missing(0x01ff_ffff_ffff), Vec::<&str>::new());
        assert_eq!(
            missing(0),
            [
                "CAP_CHOWN",
                "CAP_DAC_OVERRIDE",
                "CAP_FOWNER",
                "CAP_KILL",
                "CAP_SETGID",
                "CAP_SETUID"
            ]
        );
        assert_eq!(missing(0xa804_257b), ["CAP_SETUID"]);
    }

    #[test]
    fn the_setting_that_forbids_namespaces_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(setting(folder.path()), None);
        let write = |name: &str, value: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        };
        write("user/max_user_namespaces", "96000\n");
        write("kernel/apparmor_restrict_unprivileged_userns", "0\n");
        assert_eq!(setting(folder.path()), None);
        write("kernel/apparmor_restrict_unprivileged_userns", "1\n");
        assert_eq!(
            setting(folder.path()).unwrap(),
            "the setting `kernel.apparmor_restrict_unprivileged_userns` is 1"
        );
    }
}
