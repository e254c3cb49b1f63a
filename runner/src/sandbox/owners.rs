//! Whose the files of a workspace are: what is mutable belongs to the sandboxed command.

use std::collections::BTreeSet;

use autoclave_policies::{Grant, Identity, Plan, RepoPath};

/// Whose each path of the workspace is, and with which mode.
#[derive(Debug)]
pub struct Owners {
    user: Option<(u32, u32)>,
    trees: BTreeSet<RepoPath>,
    open: BTreeSet<RepoPath>,
    is_root_open: bool,
    files: BTreeSet<RepoPath>,
}

impl Owners {
    pub fn new(plan: &Plan) -> Self {
        let mut owners = Self {
            user: match plan.identity {
                Identity::SecondUid { uid, gid } => Some((uid, gid)),
                Identity::SameUser => None,
            },
            trees: BTreeSet::new(),
            open: BTreeSet::new(),
            is_root_open: false,
            files: BTreeSet::new(),
        };
        // The command's own, always: nothing of it is ever read back.
        owners.trees.extend(RepoPath::try_from(".git"));
        for grant in &plan.grants {
            match grant.clone() {
                Grant::Tree { path, .. } => drop(owners.trees.insert(path)),
                Grant::Open { path: Some(path) } => drop(owners.open.insert(path)),
                Grant::Open { path: None } => owners.is_root_open = true,
                Grant::File { path } => drop(owners.files.insert(path)),
            }
        }
        owners
    }

    pub fn root(&self) -> Attributes {
        self.attributes(false, if self.is_root_open { 0o1777 } else { 0o755 })
    }

    pub fn directory(&self, path: &RepoPath) -> Attributes {
        if self.open.contains(path) {
            return self.attributes(false, 0o1777);
        }
        self.attributes(self.is_in_tree(path), 0o755)
    }

    pub fn file(&self, path: &RepoPath, mode: u32) -> Attributes {
        self.attributes(self.files.contains(path) || self.is_in_tree(path), mode)
    }

    /// Returns the attributes of the home directory, the command's own.
    pub fn home(&self) -> Attributes {
        self.attributes(true, 0o755)
    }

    fn attributes(&self, is_users: bool, mode: u32) -> Attributes {
        let owner = self.user.map(|user| if is_users { user } else { (0, 0) });
        Attributes { owner, mode }
    }

    fn is_in_tree(&self, path: &RepoPath) -> bool {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if self.trees.contains(&path) {
                return true;
            }
            at = path.parent();
        }
        false
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// `None`: left as it is.
    pub owner: Option<(u32, u32)>,
    pub mode: u32,
}
