//! Which of the changes that an execution made are taken, within which limits.

use autoclave_policies::{Class, Policy, RepoPath};

use super::{ChangeLimits, Changes};
use crate::model::{Change, ChangeKind, Dropped};

const MAX_DROPPED: usize = 1000;
const STEERS: &str = "steers tests or builds, and `target.mutable` does not name it";

/// Takes changes one by one, whatever backend found them.
pub struct Intake<'a> {
    policy: &'a Policy,
    limits: ChangeLimits,
    bytes: u64,
    accepted: Vec<Change>,
    dropped: Vec<Dropped>,
    more_dropped: usize,
}

impl<'a> Intake<'a> {
    pub fn new(policy: &'a Policy, limits: ChangeLimits) -> Self {
        Self {
            policy,
            limits,
            bytes: 0,
            accepted: Vec::new(),
            dropped: Vec::new(),
            more_dropped: 0,
        }
    }

    /// Takes a change of `path`, passes over it where that is scratch, or drops it by name.
    pub fn take(&mut self, path: RepoPath, kind: ChangeKind) {
        let size = match &kind {
            ChangeKind::Write { bytes, .. } => bytes.len() as u64,
            ChangeKind::Link { .. } | ChangeKind::Delete => 0,
        };
        if self.policy.class_of(&path) == Class::Scratch {
            return;
        }
        if let Some(why) = self.refusal(&path, size) {
            self.drop(&path, why);
        } else if let ChangeKind::Link { target } = &kind
            && !resolve(&path, target).is_some_and(|target| self.policy.is_mutable(&target))
        {
            self.drop(&path, "a link that leaves the mutable set");
        } else {
            self.bytes += size;
            self.accepted.push(Change { path, kind });
        }
    }

    /// Returns why a change of `path` to a file of `size` bytes would not be taken, if so.
    pub fn refusal(&self, path: &RepoPath, size: u64) -> Option<&'static str> {
        if !self.policy.is_mutable(path) {
            Some(if self.policy.holds_back(path) {
                STEERS
            } else {
                "not mutable"
            })
        } else if self.accepted.len() >= self.limits.entries {
            Some("more changes than allowed")
        } else if size > self.limits.total_bytes.saturating_sub(self.bytes) {
            Some("larger than what is left of the allowed bytes")
        } else {
            None
        }
    }

    /// Drops a change, except of scratch; `why` is a fragment for people.
    pub fn drop(&mut self, path: &RepoPath, why: &str) {
        if self.policy.class_of(path) == Class::Scratch {
            return;
        }
        if self.dropped.len() < MAX_DROPPED {
            self.dropped.push(Dropped {
                path: path.clone(),
                why: why.to_owned(),
            });
        } else {
            self.more_dropped += 1;
        }
    }

    pub fn finish(mut self) -> Changes {
        self.accepted.sort_by(|a, b| a.path.cmp(&b.path));
        self.dropped.sort_by(|a, b| a.path.cmp(&b.path));
        if self.more_dropped > 0
            && let Some(last) = self.dropped.last_mut()
        {
            last.why = format!("{}, and {} more", last.why, self.more_dropped);
        }
        Changes {
            accepted: self.accepted,
            dropped: self.dropped,
        }
    }
}

/// Returns where a relative link leads by its text alone, or `None` where that is outside of the
/// workspace or depends on other links (a `..` after a name).
fn resolve(link: &RepoPath, target: &[u8]) -> Option<RepoPath> {
    let mut base = link.parent();
    let mut names = target.split(|b| *b == b'/').peekable();
    if target.starts_with(b"/") {
        return None;
    }
    while let Some(name) = names.next_if(|name| matches!(*name, b"." | b"..")) {
        if name == b".." {
            base = base?.parent();
        }
    }
    let rest = names.collect::<Vec<_>>().join(&b'/');
    let rest = rest.strip_suffix(b"/").unwrap_or(&rest);
    match base {
        Some(base) => base.join(rest).ok(),
        None => RepoPath::new(rest).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_resolve_inside_the_workspace_or_not_at_all() {
        let resolved = |link: &str, target: &str| {
            let link = RepoPath::try_from(link).unwrap();
            resolve(&link, target.as_bytes()).map(|path| path.to_string())
        };
        assert_eq!(resolved("a/b/link", "c"), Some("a/b/c".to_owned()));
        assert_eq!(resolved("a/b/link", ".././c/"), Some("a/c".to_owned()));
        assert_eq!(resolved("a/link", "../c"), Some("c".to_owned()));
        for (link, target) in [
            ("link", "../etc/passwd"),
            ("a/link", "../../etc"),
            ("a/link", "/etc/passwd"),
            ("a/link", "b/../../c"),
            ("a/link", ""),
            ("a/link", ".."),
        ] {
            assert_eq!(resolved(link, target), None, "{link} -> {target}");
        }
    }
}
