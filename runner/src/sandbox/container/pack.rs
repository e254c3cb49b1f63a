//! A workspace as a tar archive, owned as a plan says.

use std::collections::BTreeSet;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use autoclave_policies::{Plan, RepoPath};
use tar::{Builder, EntryType, Header};

use crate::model::{FileKind, SnapshotEntry};
use crate::sandbox::owners::{Attributes, Owners};
use crate::sandbox::{HOME, WORKSPACE};

/// Packs one archive, to be unpacked at `/`.
pub struct Packer {
    /// What was packed and not yet taken.
    builder: Builder<Vec<u8>>,
    owners: Owners,
    /// Already written, with all above them.
    directories: BTreeSet<RepoPath>,
    /// Seconds since 1970, of all entries.
    time: u64,
}

impl Packer {
    pub fn new(plan: &Plan) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            builder: Builder::new(Vec::new()),
            owners: Owners::new(plan),
            directories: BTreeSet::new(),
            time: since.map_or(0, |since| since.as_secs()),
        }
    }

    /// Returns what was packed since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.builder.get_mut())
    }

    /// Writes the workspace's root and the home.
    pub fn roots(&mut self) -> io::Result<()> {
        self.raw_directory(WORKSPACE.as_bytes(), self.owners.root())?;
        self.raw_directory(HOME.as_bytes(), self.owners.home())
    }

    /// Writes a directory outside of the workspace, root's.
    pub fn system_directory(&mut self, path: &str) -> io::Result<()> {
        self.raw_directory(path.as_bytes(), ROOTS)
    }

    /// Writes a file outside of the workspace, root's.
    pub fn system_file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.raw_file(path.as_bytes(), Attributes { mode, ..ROOTS }, bytes)
    }

    /// Writes an entry of the workspace, the directories above it first.
    pub fn entry(&mut self, entry: &SnapshotEntry) -> io::Result<()> {
        if let Some(parent) = entry.path.parent() {
            self.directory(&parent)?;
        }
        let path = in_workspace(&entry.path);
        match &entry.kind {
            FileKind::Directory => self.directory(&entry.path),
            FileKind::File { bytes, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                self.raw_file(&path, self.owners.file(&entry.path, mode), bytes)
            }
            FileKind::Symlink { target } => {
                let attributes = self.owners.file(&entry.path, 0o777);
                let mut header = self.header(EntryType::Symlink, attributes, 0);
                self.append(&path, Some(target), &mut header, &[])
            }
        }
    }

    /// Writes a directory of the workspace and all above it, each once.
    pub fn directory(&mut self, path: &RepoPath) -> io::Result<()> {
        if self.directories.contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(&parent)?;
        }
        self.directories.insert(path.clone());
        self.raw_directory(&in_workspace(path), self.owners.directory(path))
    }

    /// Ends the archive; returns the last of it.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.builder.into_inner()
    }

    fn raw_directory(&mut self, path: &[u8], attributes: Attributes) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, attributes, 0);
        self.append(path, None, &mut header, &[])
    }

    fn raw_file(&mut self, path: &[u8], attributes: Attributes, bytes: &[u8]) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, attributes, bytes.len() as u64);
        self.append(path, None, &mut header, bytes)
    }

    fn header(&self, kind: EntryType, attributes: Attributes, size: u64) -> Header {
        let (uid, gid) = attributes.owner.unwrap_or((0, 0));
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mode(attributes.mode);
        header.set_mtime(self.time);
        header.set_size(size);
        header
    }

    /// Appends one entry. Names are written as they are: the crate's own calls normalize them.
    fn append(
        &mut self,
        path: &[u8],
        link: Option<&[u8]>,
        header: &mut Header,
        bytes: &[u8],
    ) -> io::Result<()> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        self.name(
            path,
            EntryType::GNULongName,
            |header| &mut header.name,
            header,
        )?;
        if let Some(link) = link {
            self.name(
                link,
                EntryType::GNULongLink,
                |header| &mut header.linkname,
                header,
            )?;
        }
        header.set_cksum();
        self.builder.append(header, bytes)
    }

    /// Sets a name in the header; one that does not fit goes before it as an entry of its own.
    fn name(
        &mut self,
        name: &[u8],
        long: EntryType,
        field: impl Fn(&mut tar::GnuHeader) -> &mut [u8; 100],
        header: &mut Header,
    ) -> io::Result<()> {
        let gnu = header
            .as_gnu_mut()
            .ok_or_else(|| io::Error::other("not a GNU header"))?;
        let field = field(gnu);
        let fits = name.len().min(field.len());
        field[..fits].copy_from_slice(&name[..fits]);
        if name.len() <= field.len() {
            return Ok(());
        }
        let mut terminated = name.to_vec();
        terminated.push(0);
        let mut before = Header::new_gnu();
        before.set_entry_type(long);
        before.set_size(terminated.len() as u64);
        before.set_mode(0o644);
        if let Some(gnu) = before.as_gnu_mut() {
            gnu.name[..13].copy_from_slice(b"././@LongLink");
        }
        before.set_cksum();
        self.builder.append(&before, terminated.as_slice())
    }
}

const ROOTS: Attributes = Attributes {
    owner: Some((0, 0)),
    mode: 0o755,
};

fn in_workspace(path: &RepoPath) -> Vec<u8> {
    [WORKSPACE.as_bytes(), b"/", path.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use autoclave_policies::{Grant, Identity, Level, Limits, Plan};

    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::try_from(text).unwrap()
    }

    fn plan() -> Plan {
        Plan {
            version: 1,
            level: Level::Sealed,
            identity: Identity::SecondUid {
                uid: 4242,
                gid: 4243,
            },
            grants: vec![
                Grant::Open {
                    path: Some(path("lib")),
                },
                Grant::File {
                    path: path("lib/open.py"),
                },
                Grant::Tree {
                    path: path("src"),
                    created: false,
                },
            ],
            in_place: Vec::new(),
            views: Vec::new(),
            env: BTreeMap::new(),
            limits: Limits {
                memory_bytes: 1,
                cpus: 1.0,
                pids: 1,
                disk_bytes: 1,
            },
        }
    }

    fn file(name: &str, executable: bool) -> SnapshotEntry {
        SnapshotEntry {
            path: path(name),
            kind: FileKind::File {
                bytes: b"x".to_vec(),
                executable,
            },
        }
    }

    #[test]
    fn owners_and_modes_tell_mutable_from_immutable() {
        let mut packer = Packer::new(&plan());
        packer.roots().unwrap();
        for entry in [
            file("lib/open.py", false),
            file("lib/shut.py", false),
            file("src/deep/run.sh", true),
        ] {
            packer.entry(&entry).unwrap();
        }
        let bytes = packer.finish().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let listed: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                format!(
                    "{}:{} {:o} {}",
                    header.uid().unwrap(),
                    header.gid().unwrap(),
                    header.mode().unwrap(),
                    String::from_utf8_lossy(&entry.path_bytes())
                )
            })
            .collect();
        assert_eq!(
            listed,
            [
                "0:0 755 workspace",
                "4242:4243 755 home/agent",
                "0:0 1777 workspace/lib",
                "4242:4243 644 workspace/lib/open.py",
                "0:0 644 workspace/lib/shut.py",
                "4242:4243 755 workspace/src",
                "4242:4243 755 workspace/src/deep",
                "4242:4243 755 workspace/src/deep/run.sh",
            ]
        );
    }

    #[test]
    fn names_of_any_bytes_and_length_survive() {
        let long = "d/".repeat(120) + "x";
        let odd: &[u8] = b"-odd \xff\n\"name\"";
        let mut packer = Packer::new(&plan());
        for name in [long.as_bytes(), odd] {
            packer
                .entry(&SnapshotEntry {
                    path: RepoPath::new(name).unwrap(),
                    kind: FileKind::Symlink {
                        target: name.to_vec(),
                    },
                })
                .unwrap();
        }
        let bytes = packer.finish().unwrap();
        let links: Vec<(Vec<u8>, Vec<u8>)> = tar::Archive::new(bytes.as_slice())
            .entries()
            .unwrap()
            .map(Result::unwrap)
            .filter(|entry| entry.header().entry_type().is_symlink())
            .map(|entry| {
                (
                    entry.path_bytes().into_owned(),
                    entry.link_name_bytes().unwrap().into_owned(),
                )
            })
            .collect();
        let expected = [long.as_bytes(), odd].map(|name| {
            let path = [b"workspace/", name].concat();
            (path, name.to_vec())
        });
        assert_eq!(links, expected);
    }
}
